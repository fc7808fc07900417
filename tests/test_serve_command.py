"""`serve`, from its beginning to its end: what it refuses to serve, and how it is stopped."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from types import SimpleNamespace

import mindspore  # noqa: F401  before tritonclient: it needs a protobuf of its own choice
import pytest
from helpers.bundles import write_conditional
from helpers.commands import HANGS, environment, refused_here, run
from helpers.servers import INFER, end, free_ports, serve_command, serving, tensor
from starlette.datastructures import Headers

from ms_gan.cli import serve
from ms_gan.delivery.inference_request import RequestError
from ms_gan.delivery.server import MOST_AT_THE_END, PATIENCE
from ms_gan.files import write_checksums

pytestmark = pytest.mark.usefixtures("device")


@pytest.mark.parametrize(
    "sent",
    ["", "POST ", f"POST {INFER} HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{{"],
    ids=["nothing", "half a head", "half a body"],
)
def test_a_signal_ends_it_with_status_0_and_frees_its_ports_whatever_a_client_does(sent, conditional_folder, tmp_path):
    with serving(conditional_folder, tmp_path / "log", "--format", "onnx") as server:
        server.draw(tensor("seed", "INT64", [1]))
        with socket.create_connection((server.host, server.http)) as connection:
            connection.sendall(sent.encode())
            time.sleep(0.5)
            assert end(server.process) == 0, server.log.read_text()
    for port in (server.http, server.grpc):
        with socket.socket() as probe:
            assert probe.connect_ex((server.host, port)) != 0
    assert "Traceback" not in server.log.read_text(), "who stops it on purpose wants no stack"


def test_another_signal_does_not_wait_for_a_body_that_is_still_sent(conditional_folder, tmp_path):
    with serving(conditional_folder, tmp_path / "log", "--format", "onnx") as server:
        with socket.create_connection((server.host, server.http)) as connection:
            connection.sendall(f"POST {INFER} HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{{".encode())
            time.sleep(0.5)
            server.process.send_signal(signal.SIGTERM)
            time.sleep(PATIENCE + 0.5)
            began = time.monotonic()
            assert end(server.process) == 0, server.log.read_text()
        assert time.monotonic() - began < MOST_AT_THE_END - PATIENCE - 1, "it waits as long as for the first one"
    assert "Traceback" not in server.log.read_text()


def test_a_body_that_stops_on_its_way_gets_408_and_a_sentence(monkeypatch):
    from ms_gan.delivery import rest

    class Stopped:
        headers, state = Headers(), SimpleNamespace()

        async def receive(self):
            await asyncio.Event().wait()

    monkeypatch.setattr(rest, "MOST_SILENCE", 0.2)
    with pytest.raises(RequestError, match="^the body stalled for 0.2 seconds$") as caught:
        asyncio.run(rest.read_body(Stopped(), 100))
    assert caught.value.status == 408


def test_a_body_that_is_refused_unread_is_read_so_that_its_sender_hears_why(conditional_folder, tmp_path):
    head = f"POST {INFER} HTTP/1.1\r\nHost: a\r\nContent-Encoding: br\r\nContent-Length: 800000\r\n\r\n".encode()
    with serving(conditional_folder, tmp_path / "log", "--format", "onnx") as server:
        with socket.create_connection((server.host, server.http), timeout=HANGS) as sender:
            sender.sendall(head)
            for _ in range(8):  # an answer before the end closes the connection, and what is sent then resets it
                time.sleep(0.1)
                sender.sendall(b"x" * 100_000)
            answer = b"".join(iter(lambda: sender.recv(100_000), b""))
    assert answer.startswith(b"HTTP/1.1 415 ") and b"this server does not unpack 'br'" in answer


@pytest.mark.parametrize("protocol", ["http", "grpc"])
def test_a_port_that_another_process_took_meanwhile_is_named(protocol):
    import uvicorn

    from ms_gan.delivery.grpc_service import GrpcServer
    from ms_gan.delivery.served_model import ServedModels
    from ms_gan.delivery.server import Server
    from ms_gan.delivery.server_metrics import Metrics
    from ms_gan.errors import UserError

    ports, models = dict(zip(("http", "grpc"), free_ports(2))), ServedModels([Failing()], Metrics())
    with socket.create_server(("127.0.0.1", ports[protocol])):

        async def listen():
            config = uvicorn.Config(None, host="127.0.0.1", port=ports["http"], log_config=None)
            await Server(config, GrpcServer(models, "127.0.0.1", ports["grpc"], 1000), models).listen("", None)

        with pytest.raises(UserError) as caught:
            asyncio.run(listen())
    assert f"127.0.0.1:{ports[protocol]} cannot be listened on (Address already in use)" in str(caught.value)
    assert f"choose another port with {protocol}_port" in str(caught.value)


class Failing:
    """A model at which the server itself fails."""

    name = "generator"

    def metadata(self):
        raise ArithmeticError("a stack")

    def require_room(self):
        raise ArithmeticError("a stack")


FAILED = "the server failed at this request; its log says how"


def test_a_page_of_another_origin_can_read_that_the_server_failed(caplog):
    from ms_gan.delivery.rest import rest_app
    from ms_gan.delivery.served_model import ServedModels
    from ms_gan.delivery.server_metrics import Metrics

    sent, other = [], "https://example.org"
    headers = [(b"host", b"x"), (b"origin", other.encode())]
    scope = {"type": "http", "method": "POST", "path": INFER, "query_string": b"", "headers": headers}

    async def receive():
        return {"type": "http.request", "body": b"{}"}

    async def send(message):
        sent.append(message)

    asyncio.run(rest_app({}, ServedModels([Failing()], Metrics()), 1000, [other])(scope, receive, send))
    assert sent[0]["status"] == 500 and json.loads(sent[1]["body"]) == {"error": FAILED}
    assert (b"access-control-allow-origin", other.encode()) in sent[0]["headers"]
    assert any("a request over REST" in record.message for record in caplog.records)


def test_where_the_server_itself_fails_it_says_so_and_its_log_says_how(tmp_path, caplog):
    import grpc
    from tritonclient.grpc import service_pb2, service_pb2_grpc

    from ms_gan.delivery.grpc_service import GrpcServer
    from ms_gan.delivery.rest import rest_app
    from ms_gan.delivery.served_model import ServedModels
    from ms_gan.delivery.server_metrics import Metrics

    sent, models, (port,) = [], ServedModels([Failing()], Metrics()), free_ports(1)
    scope = {"type": "http", "method": "GET", "path": "/v2/models/generator", "query_string": b"", "headers": []}

    async def send(message):
        sent.append(message)

    with pytest.raises(ArithmeticError):  # which the HTTP server writes into the log
        asyncio.run(rest_app({}, models, 100)(scope, None, send))
    assert sent[0]["status"] == 500 and json.loads(sent[1]["body"]) == {"error": FAILED}

    async def ask():
        server = GrpcServer(models, "127.0.0.1", port, 1000)
        await server.start()
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
            with pytest.raises(grpc.RpcError) as caught:
                await stub.ModelMetadata(service_pb2.ModelMetadataRequest(name="generator"))
        await server.stop(0)
        await server.ended()
        return caught.value.code(), caught.value.details()

    assert asyncio.run(ask()) == (grpc.StatusCode.INTERNAL, FAILED) and "a stack" in caplog.text


@pytest.mark.parametrize("option, other", [("--http-port", "--grpc-port"), ("--grpc-port", "--http-port")])
def test_a_port_in_use_is_refused(option, other, conditional_folder):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        ports = (option, taken.getsockname()[1], other, *free_ports(1))
        done = run("serve", conditional_folder, "--format", "onnx", *ports, status=2)
    assert re.fullmatch(r"error: [^\n]+\n", done.stderr) and option in done.stderr and done.stdout == ""


@pytest.mark.parametrize("host, url", [("localhost", "127.0.0.1"), ("::1", "[::1]"), ("[::1]", "[::1]")])
def test_a_name_or_an_address_of_ipv6_is_served(host, url, conditional_folder, tmp_path):
    with socket.socket(socket.AF_INET6) as probe:
        try:
            probe.bind(("::1", 0))
        except OSError:
            pytest.skip("this machine has no IPv6")
    with serving(conditional_folder, tmp_path / "log", "--format", "onnx", host=host) as server:
        said = server.log.read_text()
        assert f"at http://{url}:{server.http}/, gRPC at {url}:{server.grpc}" in said
        (image,) = server._replace(host=url).draw(tensor("seed", "INT64", [1]), tensor("label", "INT64", [0]))
        assert image.shape == (1, 1, 28, 28)
        client = "import sys, tritonclient.grpc as g\nassert g.InferenceServerClient(sys.argv[1]).is_server_live()"
        subprocess.run([sys.executable, "-c", client, f"{url}:{server.grpc}"], check=True, timeout=HANGS)
        ports = ("--http-port", server.http, "--grpc-port", *free_ports(1))
        taken = run("serve", conditional_folder, "--host", host, *ports, status=2).stderr
        assert taken.startswith(f"error: {url}:{server.http} cannot be listened on (")
        assert taken.endswith("); choose another port with --http-port, or another address with --host\n")


def test_without_a_format_it_serves_what_the_bundle_holds(tmp_path):
    folder = write_conditional(tmp_path / "bundle", formats=("onnx",))
    with serving(folder, tmp_path / "log") as server:
        lines = server.log.read_text().splitlines()
        assert lines[0] == f"opening {folder} as onnx: the bundle holds no MindIR"
        told = server.ask("/contract.json", method="GET")
        assert told[1]["server"]["format"] == "onnx"
        (folder / "contract.json").write_text("{}")  # as another export may replace it
        assert server.ask("/contract.json", method="GET") == told, "it is of what is served"


MODEL_FILES = ("generator.mindir", "encoder.mindir", "generator/1/generator.onnx", "encoder/1/encoder.onnx")
CHECKED = ("contract.json", *MODEL_FILES)


def wrong_byte(name, place):
    def change(folder):
        content = bytearray((folder / name).read_bytes())
        content[int(place * len(content))] ^= 1
        (folder / name).write_bytes(content)

    return change


def contract_with(change, part=lambda contract: contract["models"]):
    """Change the contract's models, and write every checksum anew: the contract contradicts nothing but the files."""

    def rewrite(folder):
        contract = json.loads((folder / "contract.json").read_text())
        change(part(contract))
        (folder / "contract.json").write_text(json.dumps(contract))
        write_checksums(folder)

    return rewrite


def of_tensor(model, side, which, **change):
    return lambda models: models[model][side][which].update(change)


DISAGREEING = {
    "a smaller latent": of_tensor("generator", "inputs", 0, shape=["batch", 5]),
    "larger images": of_tensor("generator", "outputs", 0, shape=["batch", 3, 32, 32]),
    "more tags": lambda models: [facts["inputs"][1].update(shape=["batch", 4]) for facts in models.values()],
    "an encoder of larger images": of_tensor("encoder", "inputs", 0, shape=["batch", 3, 32, 32]),
    "an encoder of longer latents": of_tensor("encoder", "outputs", 1, shape=["batch", 7]),
    "an encoder that is the generator": lambda models: models["encoder"].update(files=models["generator"]["files"]),
}
SLOW_TO_OPEN = ("larger images", "an encoder of longer latents")  # of MindIR these are enough


def with_labels(names):
    """Change the labels, and the ranges with them."""

    def change(contract):
        contract["labels"] = names(contract["labels"])
        for facts in contract["models"].values():
            facts["inputs"][1]["range"][1] = len(contract["labels"])

    return contract_with(change, lambda contract: contract)


def nothing(folder):
    """Leave the bundle as it is: what is wrong is said by the options."""


REFUSED_BUNDLES = {  # how a bundle is made unusable, how it is served, and what the line names
    **{
        f"{name}: a wrong byte near its {where}": (wrong_byte(name, place), [], name)
        for name in CHECKED
        for where, place in (("start", 0.05), ("end", 0.95))
    },
    **{f"no {name}": (lambda folder, name=name: (folder / name).unlink(), [], name) for name in CHECKED},
    **{
        f"{what}, {form}": (contract_with(change), ["--format", form], "contract.json")
        for what, change in DISAGREEING.items()
        for form in ("mindir", "onnx")
        if form == "onnx" or what in SLOW_TO_OPEN
    },
    **{
        f"{what}, {form}": (with_labels(names), ["--format", form], "knows another number of labels than the ")
        for what, names, form in (
            ("more labels", lambda labels: [*labels, "one more"], "mindir"),
            ("fewer labels", lambda labels: labels[:-1], "onnx"),
        )
    },
    "a wrong field": (
        contract_with(of_tensor("encoder", "inputs", 0, range=[1.0, 0.0])),
        [],
        "contract.json: damaged (models.encoder.inputs.0.range must be",
    ),
    "no onnx": (
        contract_with(lambda models: [facts["files"].pop("onnx") for facts in models.values()]),
        ["--format", "onnx"],
        "holds no onnx, only mindir; export it again with --format onnx",
    ),
    "batches too large": (nothing, ["--max-batch", "86999"], "give --max-batch 86998 for this bundle, or less"),
    "one port for two": (nothing, ["--http-port", "{free}", "--grpc-port", "{free}"], "choose two"),
    **{
        f"{host} that is not here": (nothing, ["--host", host], "or another address with --host")
        for host in ("203.0.113.1", "2001:db8::1")
    },
    **{
        f"{host[:20]} that is none": (nothing, ["--host", host], "no name or address that this machine knows")
        for host in ("no such host", "", "::g", "a" * 300)
    },
    "no folder": (shutil.rmtree, [], "not a bundle"),
}
OPENING = r"opening [^\n]+ as (?:mindir|onnx)(?:: [^\n]+)?\n"  # what takes seconds is announced
SERVE = """
import asyncio, contextlib, io, json, sys
from ms_gan import cli

def serves(work):
    work.close()
    raise AssertionError("it serves")

asyncio.run = serves
for arguments in json.load(sys.stdin):
    said = io.StringIO()
    with contextlib.redirect_stderr(said), contextlib.redirect_stdout(said):
        try:
            status = cli.main(arguments)
        except BaseException as error:
            status = repr(error)
    print(json.dumps([status, said.getvalue()]))
"""


@pytest.fixture(scope="module")
def lines(autoencoder_folder, tmp_path_factory):
    """What `serve` says of each unusable bundle, all in one process of their own, and its status."""
    folders, commands = tmp_path_factory.mktemp("unusable"), []
    for number, (spoil, options, _) in enumerate(REFUSED_BUNDLES.values()):
        shutil.copytree(autoencoder_folder, folders / str(number))
        spoil(folders / str(number))
        http, remote = free_ports(2)
        command = serve_command(folders / str(number), http, remote, *(option.format(free=http) for option in options))
        commands.append(list(map(str, command[3:])))
    asked = {"input": json.dumps(commands), "env": environment(), "capture_output": True, "text": True}
    done = subprocess.run([sys.executable, "-c", SERVE], timeout=HANGS, **asked)
    assert done.returncode == 0, done.stderr
    return dict(zip(REFUSED_BUNDLES, map(json.loads, done.stdout.splitlines())))


@pytest.mark.parametrize("what", REFUSED_BUNDLES)
def test_an_unusable_bundle_is_refused_in_one_line(what, lines):
    status, said = lines[what]
    assert status == 2 and re.fullmatch(rf"({OPENING})?error: [^\n]+\n", said), said
    assert not ("not a bundle" in said and "opening" in said), "what can be refused at once is"
    assert REFUSED_BUNDLES[what][2] in said.splitlines()[-1]


def test_a_process_that_refuses_says_nothing_else(autoencoder_folder, tmp_path):
    shutil.copytree(autoencoder_folder, tmp_path / "bundle")
    contract_with(DISAGREEING["a smaller latent"])(tmp_path / "bundle")
    done = run("serve", tmp_path / "bundle", status=2)
    assert re.fullmatch(rf"{OPENING}error: [^\n]+\n", done.stderr), done.stderr


@pytest.mark.parametrize("package", serve.PACKAGES)
def test_without_a_package_one_line_says_so(package, conditional_folder, monkeypatch, capsys):
    find = importlib.util.find_spec
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == package else find(name))
    line = refused_here(capsys, "serve", conditional_folder)
    assert re.fullmatch(rf"error: {package} is not installed; [^\n]*requirements-serve.txt\n", line)
