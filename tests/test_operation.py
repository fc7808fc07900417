"""The server as those who operate it see it: figures, probes, a queue with an end, other origins, the environment."""

from __future__ import annotations

import asyncio
import json
import re
import resource
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor

import grpc
import mindspore  # noqa: F401  before tritonclient: it needs a protobuf of its own choice
import numpy as np
import pytest
import tritonclient.grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from helpers.commands import HANGS, ROOT, python, refused_here
from helpers.servers import INFER, end, free_ports, serving, started, tensor, wait_until
from prometheus_client.parser import text_string_to_metric_families

from ms_gan.cli import serve
from ms_gan.delivery.server_settings import MOST_ROWS, MOST_WAITING

pytestmark = pytest.mark.usefixtures("device")
OTHER = "https://gallery.example:8443"


@pytest.fixture(scope="module")
def server(conditional_folder, tmp_path_factory):
    log = tmp_path_factory.mktemp("operated") / "log"
    with serving(conditional_folder, log, "--format", "onnx", "--max-batch", 8, "--cors", OTHER) as one:
        yield one


def of(name, *labels):
    """What a figure is found by."""
    return (name, *sorted(labels))


def figures(server):
    """Every figure of /metrics, by its name and labels."""
    with urllib.request.urlopen(server.url + "/metrics", timeout=HANGS) as answer:
        assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
        text = answer.read().decode()
    families = list(text_string_to_metric_families(text))
    assert all(family.documentation for family in families if family.name.startswith("ms_gan_"))
    return {of(sample.name, *sample.labels.values()): sample.value for family in families for sample in family.samples}


def grown(server, act):
    """By how much each figure grows while something is done."""
    before = figures(server)
    act()
    return {key: value - before.get(key, 0) for key, value in figures(server).items() if value != before.get(key, 0)}


def over_grpc(server, rows):
    client = tritonclient.grpc.InferenceServerClient(f"{server.host}:{server.grpc}")
    num = tritonclient.grpc.InferInput("num", [1], "INT32")
    num.set_data_from_numpy(np.array([rows], np.int32))
    return client.infer("generator", [num]).as_numpy("image")


def test_requests_images_batches_and_seconds_are_counted(server):
    def act():
        server.draw(tensor("num", "INT32", [3]))
        over_grpc(server, 5)

    found = grown(server, act)
    for protocol, images in (("rest", 3), ("grpc", 5)):
        assert found[of("ms_gan_requests_total", "generator", protocol, "200")] == 1
        assert found[of("ms_gan_images_total", "generator", protocol)] == images
        assert found[of("ms_gan_request_duration_seconds_count", "generator", protocol)] == 1
    assert found["ms_gan_batch_images_count", "generator"] == 2
    assert found["ms_gan_batch_images_sum", "generator"] == 8
    assert 0 < found["ms_gan_compute_seconds_total", "generator"] < HANGS
    assert figures(server)["ms_gan_queue_images", "generator"] == 0
    assert figures(server)["process_resident_memory_bytes",] > 2**24


def test_latents_alone_are_no_images(server):
    found = grown(server, lambda: server.draw(tensor("num", "INT32", [3]), outputs=("latent",)))
    assert found[of("ms_gan_requests_total", "generator", "rest", "200")] == 1
    assert of("ms_gan_images_total", "generator", "rest") not in found


def test_refusals_are_counted_by_status_and_unknown_models_by_no_name(server):
    def act():
        assert server.ask(body={"inputs": [tensor("num", "INT32", [9])]})[0] == 400
        assert server.ask(body=b"{")[0] == 400
        assert server.ask("/v2/models/anything/infer", {"inputs": []})[0] == 404
        with pytest.raises(tritonclient.grpc.InferenceServerException):
            over_grpc(server, 9)

    found = {key: count for key, count in grown(server, act).items() if key[0] == "ms_gan_requests_total"}
    assert found == {
        ("ms_gan_requests_total", "400", "generator", "rest"): 2,
        ("ms_gan_requests_total", "", "404", "rest"): 1,
        ("ms_gan_requests_total", "400", "generator", "grpc"): 1,
    }


def test_a_probe_over_grpc_is_answered_until_the_server_ends_which_no_watcher_delays(conditional_folder, tmp_path):
    from ms_gan.delivery import server as module

    with serving(conditional_folder, tmp_path / "log", "--format", "onnx") as one:
        with grpc.insecure_channel(f"{one.host}:{one.grpc}") as channel:
            stub = health_pb2_grpc.HealthStub(channel)
            for service in ("", "inference.GRPCInferenceService"):
                answer = stub.Check(health_pb2.HealthCheckRequest(service=service), timeout=HANGS)
                assert answer.status == health_pb2.HealthCheckResponse.SERVING
            with pytest.raises(grpc.RpcError) as unknown:
                stub.Check(health_pb2.HealthCheckRequest(service="another"), timeout=HANGS)
            assert unknown.value.code() == grpc.StatusCode.NOT_FOUND
            watched = stub.Watch(health_pb2.HealthCheckRequest(), timeout=HANGS)
            assert next(watched).status == health_pb2.HealthCheckResponse.SERVING
            begun = time.monotonic()
            end(one.process)
            assert time.monotonic() - begun < module.MOST_AT_THE_END, "a watcher does not hold it to the last second"
            assert next(watched).status == health_pb2.HealthCheckResponse.NOT_SERVING
        assert "Traceback" not in one.log.read_text() and "Error" not in one.log.read_text()


@pytest.mark.parametrize("sent", [b"", b'{"inputs"'], ids=["nothing", "half a body"])
def test_a_client_that_goes_away_before_its_request_is_whole_is_counted_as_such(sent, server):
    def act():
        with socket.create_connection((server.host, server.http)) as connection:
            head = f"POST {INFER} HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n"
            connection.sendall(head.encode() + sent)

    before = figures(server).get(of("ms_gan_requests_total", "generator", "rest", "499"), 0)
    act()
    limit = time.monotonic() + HANGS
    while figures(server).get(of("ms_gan_requests_total", "generator", "rest", "499"), 0) != before + 1:
        assert time.monotonic() < limit
        time.sleep(0.05)


def test_reflection_tells_the_protocol_so_that_no_file_of_it_is_needed(server):
    with grpc.insecure_channel(f"{server.host}:{server.grpc}") as channel:
        stub = reflection_pb2_grpc.ServerReflectionStub(channel)
        asked = [
            reflection_pb2.ServerReflectionRequest(list_services=""),
            reflection_pb2.ServerReflectionRequest(file_containing_symbol="inference.GRPCInferenceService"),
        ]
        listed, described = stub.ServerReflectionInfo(iter(asked), timeout=HANGS)
    names = {service.name for service in listed.list_services_response.service}
    assert names >= {"inference.GRPCInferenceService", "grpc.health.v1.Health"}
    assert b"ModelInfer" in described.file_descriptor_response.file_descriptor_proto[0]


def asked_by_a_page(server, origin, method="POST", **more):
    headers = {"Origin": origin, "Content-Type": "application/json", **more}
    body = json.dumps({"inputs": [tensor("num", "INT32", [1])]}).encode() if method == "POST" else None
    request = urllib.request.Request(server.url + INFER, body, headers, method=method)
    with urllib.request.urlopen(request, timeout=HANGS) as answer:
        return answer.headers


def test_pages_of_an_origin_that_is_allowed_may_ask_and_read(server):
    preflight = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type"}
    allowed = asked_by_a_page(server, OTHER, "OPTIONS", **preflight)
    assert allowed["Access-Control-Allow-Origin"] == OTHER and "POST" in allowed["Access-Control-Allow-Methods"]
    assert asked_by_a_page(server, OTHER)["Access-Control-Allow-Origin"] == OTHER
    assert asked_by_a_page(server, "https://other.example")["Access-Control-Allow-Origin"] is None


def test_without_cors_no_other_origin_is_allowed(conditional_folder, tmp_path):
    with serving(conditional_folder, tmp_path / "log", "--format", "onnx") as one:
        assert asked_by_a_page(one, OTHER)["Access-Control-Allow-Origin"] is None


@pytest.mark.parametrize("page", ["docs/serving.md", "README.md"])
def test_the_request_for_triton_gets_the_golden_images_here_too(page, server, conditional_folder):
    file = ROOT / page if page.startswith("docs") else conditional_folder / page
    blocks = re.findall(r"```python\n(.*?)```", file.read_text(encoding="utf-8"), re.S)
    (program,) = [block for block in blocks if ":8000/" in block]  # Triton's port
    done = python("-c", program.replace("http://127.0.0.1:8000", server.url), cwd=conditional_folder)
    assert done.returncode == 0, done.stderr
    difference, most = re.fullmatch(r"(\S+) of at most (\S+)\n", done.stdout).groups()
    assert 0 < float(most) < 1e-4 and float(difference) <= float(most)


@pytest.mark.parametrize("pieces, read", [([b"x" * 40] * 2, 2), ([b"x" * 40] * 9, 3)])
def test_a_full_queue_answers_503_and_says_when_to_come_back(pieces, read):
    """A body of a size that may be sent is read, since its sender reads no answer before; no more of a larger one."""
    from ms_gan.delivery.inference_request import RequestError
    from ms_gan.delivery.rest import rest_app
    from ms_gan.delivery.served_model import ServedModels
    from ms_gan.delivery.server_metrics import Metrics

    class Full:
        name = "generator"

        def require_room(self):
            raise RequestError("the server is busy: 5 images wait already; ask again later", 503)

    sent, metrics = [], Metrics()
    app = rest_app({}, ServedModels([Full()], metrics), 100)
    scope = {"type": "http", "method": "POST", "path": INFER, "query_string": b"", "headers": []}

    async def send(message):
        sent.append(message)

    async def receive():
        left.pop()
        return {"type": "http.request", "body": pieces[0], "more_body": bool(left)}

    left = list(pieces)
    asyncio.run(app(scope, receive, send))
    assert len(pieces) - len(left) == read
    assert sent[0]["status"] == 503 and (b"retry-after", b"1") in sent[0]["headers"]
    assert json.loads(sent[1]["body"]) == {"error": "the server is busy: 5 images wait already; ask again later"}
    assert b'ms_gan_requests_total{model="generator",protocol="rest",status="503"} 1.0' in metrics.text("")[0]


class Held:
    """A model that answers as soon as it is let; `ends` is how its requests ended."""

    name = "generator"

    def __init__(self):
        self.ends, self.asked, self.let = [], asyncio.Event(), asyncio.Event()

    def require_room(self):
        pass

    async def infer(self, tensors, outputs):
        try:
            self.asked.set()
            await self.let.wait()
            self.ends.append("answered")
            return {"image": np.zeros((1, 1, 2, 2), np.float32)}
        except asyncio.CancelledError:
            self.ends.append("cancelled")
            raise


@pytest.mark.parametrize("leaves", [True, False])
def test_what_a_client_over_rest_that_went_away_waited_for_is_not_computed(leaves, tmp_path, monkeypatch):
    from ms_gan.delivery import rest
    from ms_gan.delivery.served_model import ServedModels
    from ms_gan.delivery.server_metrics import Metrics

    async def call():
        model, metrics, left = Held(), Metrics(), asyncio.Event()
        messages = [{"type": "http.request", "body": json.dumps({"inputs": [tensor("num", "INT32", [1])]}).encode()}]

        async def receive():
            if messages:
                return messages.pop()
            await left.wait()
            return {"type": "http.disconnect"}

        async def send(message):
            pass

        scope = {"type": "http", "method": "POST", "path": INFER, "query_string": b"", "headers": []}
        app = rest.rest_app({}, ServedModels([model], metrics), 1000)
        app = asyncio.ensure_future(app(scope, receive, send))
        await model.asked.wait()
        await asyncio.sleep(0.1)
        (left if leaves else model.let).set()
        await app
        await asyncio.sleep(0)
        return model.ends, len(asyncio.all_tasks()), metrics.text("")[0]

    monkeypatch.setattr(rest, "UNWATCHED", 0.01)
    ends, tasks, figures = asyncio.run(call())
    assert (ends, tasks) == (["cancelled" if leaves else "answered"], 1), "and nothing waits any more"
    status = b"499" if leaves else b"200"
    assert b'ms_gan_requests_total{model="generator",protocol="rest",status="' + status + b'"} 1.0' in figures


def test_what_a_client_over_grpc_that_went_away_waited_for_is_not_computed():
    from ms_gan.delivery.grpc_service import GrpcServer
    from ms_gan.delivery.served_model import ServedModels
    from ms_gan.delivery.server_metrics import Metrics

    async def call():
        model, metrics, (port,) = Held(), Metrics(), free_ports(1)
        server = GrpcServer(ServedModels([model], metrics), "127.0.0.1", port, 1 << 20)
        await server.start()
        client = tritonclient.grpc.InferenceServerClient(f"127.0.0.1:{port}")
        num = tritonclient.grpc.InferInput("num", [1], "INT32")
        num.set_data_from_numpy(np.array([1], np.int32))
        under_way = client.async_infer("generator", [num], callback=lambda result, error: None)
        await model.asked.wait()
        under_way.cancel()
        while not model.ends:
            await asyncio.sleep(0.01)
        await server.stop(0)
        await server.ended()
        return model.ends, metrics.text("")[0]

    ends, figures = asyncio.run(asyncio.wait_for(call(), HANGS))
    assert ends == ["cancelled"]
    assert b'ms_gan_requests_total{model="generator",protocol="grpc",status="499"} 1.0' in figures


def test_under_load_each_answer_is_right_or_a_refusal_and_all_are_counted(conditional_folder, tmp_path):
    options = ("--format", "mindir", "--max-batch", 4, "--max-queue", 4)
    with serving(conditional_folder, tmp_path / "log", *options) as one:
        due = one.draw(tensor("seed", "INT64", [3]), tensor("num", "INT32", [4]))[0]
        body = {"inputs": [tensor("seed", "INT64", [3]), tensor("num", "INT32", [4])]}
        with ThreadPoolExecutor(32) as clients:
            answers = list(clients.map(lambda _: one.ask(body=body), range(256)))
        drawn = [answer for status, answer in answers if status == 200]
        assert {status for status, _ in answers} <= {200, 503} and drawn
        for answer in drawn:
            assert np.array_equal(np.float32(answer["outputs"][0]["data"]), due.ravel())
        counted = figures(one)
        for status in ("200", "503"):
            seen = sum(str(code) == status for code, _ in answers) + (status == "200")
            assert counted.get(("ms_gan_requests_total", status, "generator", "rest"), 0) == seen
        assert counted["ms_gan_queue_images", "generator"] == 0


@pytest.mark.slow
def test_a_thousand_clients_are_answered_right_over_both_protocols_in_bounded_memory(conditional_folder):
    command = ["-m", "benchmarks", "clients", conditional_folder, "--clients", 1000, "--seconds", 10]
    done = python(*command, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert (found["lost"], found["wrong"], found["refused"]) == (0, 0, 0), found["how"]
    fewer, more = sorted(found[protocol]["answered"] for protocol in ("rest", "grpc"))
    assert fewer > more / 5, "neither protocol starves while the other is busy"
    assert found["memory_megabytes"]["most"] < found["memory_megabytes"]["idle"] + 250


def test_it_takes_more_connections_than_a_shell_allows_files(conditional_folder, tmp_path):
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < 512:
        pytest.skip("this machine allows fewer than 512 files")
    http, remote = free_ports(2)
    served = (
        f"{sys.executable} -m ms_gan serve {conditional_folder} --http-port {http} --grpc-port {remote} --format onnx"
    )
    with started(["bash", "-c", f"ulimit -Sn 128; exec {served}"], tmp_path / "log") as process:
        wait_until(lambda: "serving " in (tmp_path / "log").read_text(), process, tmp_path / "log")
        held = [socket.create_connection(("127.0.0.1", http), HANGS) for _ in range(300)]
        try:
            for one in held:
                one.sendall(b"GET /v2/health/ready HTTP/1.1\r\nHost: x\r\n\r\n")
            assert all(one.recv(12) == b"HTTP/1.1 200" for one in held)
        finally:
            for one in held:
                one.close()
        assert end(process) == 0


def test_it_starts_of_the_environment_alone(conditional_folder, tmp_path):
    shutil.copytree(conditional_folder, tmp_path / "a bundle")
    http, remote = free_ports(2)
    said = {"BUNDLE": tmp_path / "a bundle", "HTTP_PORT": http, "GRPC_PORT": remote, "FORMAT": "onnx", "MAX_BATCH": 3}
    said |= {"CORS": f"{OTHER}, https://b.example"}
    variables = {serve.VARIABLE + name: str(value) for name, value in said.items()}
    with started([sys.executable, "-m", "ms_gan", "serve"], tmp_path / "log", **variables) as process:
        wait_until(lambda: "serving " in (tmp_path / "log").read_text(), process, tmp_path / "log")
        with urllib.request.urlopen(f"http://127.0.0.1:{http}/contract.json", timeout=HANGS) as answer:
            assert json.load(answer)["server"] == {"format": "onnx", "max_batch": 3}
        assert end(process) == 0


WRONG = {
    "HTTP_PORT": ("x", "must be a whole number from 1 to 65535, not 'x'"),
    "MAX_QUEUE": ("0", "must be a whole number from 1, not '0'"),
    "FORMAT": ("tflite", "must be one of mindir, onnx, not 'tflite'"),
    "CORS": ("https://a.example,b", "must be like http://name or https://name:port, or *, not 'b'"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_variable_is_named(name, conditional_folder, monkeypatch, capsys):
    text, wrong = WRONG[name]
    monkeypatch.setenv(serve.VARIABLE + name, text)
    assert refused_here(capsys, "serve", conditional_folder) == f"error: {serve.VARIABLE}{name} {wrong}\n"


def test_an_option_wins_over_its_variable_and_an_empty_one_says_nothing(monkeypatch, conditional_folder):
    from ms_gan.cli import _parser

    monkeypatch.setenv(serve.VARIABLE + "HTTP_PORT", "x")
    monkeypatch.setenv(serve.VARIABLE + "HOST", "")
    options = _parser()[0].parse_args(["serve", "b", "--http-port", "9000"])
    serve.complete(options)
    assert (options.http_port, options.host, options.max_queue, options.cors) == (9000, "127.0.0.1", 4096, [])


def test_every_option_has_a_variable_and_help_states_the_defaults():
    from ms_gan.cli import _parser

    options = vars(_parser()[0].parse_args(["serve", "b"]))
    assert set(serve.READ) == set(options) - {"command", "debug"}
    help_text = re.sub(
        r"\s+",
        " ",
        subprocess.run(
            [sys.executable, "-m", "ms_gan", "serve", "--help"], capture_output=True, text=True, check=True
        ).stdout,
    )
    for name in ("host", "http_port", "grpc_port", "max_batch", "max_queue"):
        assert f"(default: {serve.READ[name][1]}" in help_text
    assert serve.VARIABLE + "BUNDLE" in help_text
    assert (serve.READ["max_batch"][1], serve.READ["max_queue"][1]) == (MOST_ROWS, MOST_WAITING)


def test_without_a_bundle_it_says_how_to_name_one(capsys):
    line = refused_here(capsys, "serve")
    assert line == "error: no bundle is named; give its folder, or set MS_GAN_SERVE_BUNDLE\n"


def test_a_variable_that_is_no_number_is_refused_however_long_it_is(capsys, monkeypatch):
    monkeypatch.setenv("MS_GAN_SERVE_MAX_BATCH", "9" * 4400)
    assert "MS_GAN_SERVE_MAX_BATCH must be a whole number from 1" in refused_here(capsys, "serve", "x")
