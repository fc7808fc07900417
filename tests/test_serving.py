"""The server, as programs call it: over REST and gRPC, many at once, and with requests that cannot be answered."""

from __future__ import annotations

import asyncio
import gzip
import json
import re
import socket
import subprocess
import urllib.request
import zlib

import grpc
import mindspore  # noqa: F401  before tritonclient: it needs a protobuf of its own choice
import numpy as np
import pytest
import tritonclient.grpc
import tritonclient.grpc.aio
import tritonclient.http
import tritonclient.http.aio
from helpers.bundles import INGREDIENTS
from helpers.commands import HANGS, environment
from helpers.servers import INFER, serving, tensor
from tritonclient.grpc import service_pb2, service_pb2_grpc
from tritonclient.utils import InferenceServerException

from ms_gan import cli
from ms_gan.delivery.bundle import Bundle
from ms_gan.delivery.inference_request import Tensor
from ms_gan.delivery.served_model import ServedModel
from ms_gan.sampling import in_chunks, seeded_inputs

pytestmark = pytest.mark.usefixtures("device")

TYPES = {"float32": "FP32", "int32": "INT32"}
LETTERS = {"i": "INT32", "l": "INT64", "f": "FP32", "O": "BYTES"}  # of NumPy's types
GONE, INVALID = grpc.StatusCode.NOT_FOUND, grpc.StatusCode.INVALID_ARGUMENT


@pytest.fixture(scope="module")
def bundle(conditional_folder):
    return Bundle(conditional_folder)


@pytest.fixture(scope="module")
def autoencoder(autoencoder_folder):
    return Bundle(autoencoder_folder)


@pytest.fixture(scope="module")
def server(conditional_folder, tmp_path_factory):
    with serving(conditional_folder, tmp_path_factory.mktemp("server") / "log", "--format", "mindir") as started:
        yield started


@pytest.fixture(scope="module")
def onnx_server(conditional_folder, tmp_path_factory):
    options = ("--format", "onnx", "--max-batch", 16)
    with serving(conditional_folder, tmp_path_factory.mktemp("onnx") / "log", *options, host="127.0.0.2") as started:
        yield started


@pytest.fixture(scope="module")
def autoencoder_server(autoencoder_folder, tmp_path_factory):
    log = tmp_path_factory.mktemp("autoencoder_server") / "log"
    with serving(autoencoder_folder, log, "--format", "mindir") as started:
        yield started


@pytest.fixture(scope="module")
def stub(server):
    """The protocol's own calls, without a client that keeps requests in order."""
    with grpc.insecure_channel(f"{server.host}:{server.grpc}") as channel:
        yield service_pb2_grpc.GRPCInferenceServiceStub(channel)


@pytest.fixture
def goes_on(server, bundle):
    """Check behind a test that the server still draws what it should."""
    yield
    (image,) = server.draw(tensor("seed", "INT64", [3]), tensor("label", "INT32", [4]))
    assert np.array_equal(image, seeded(bundle, 3, [4])[1])


def seeded(bundle, seed, labels):
    """What a seed and labels stand for, and the images of them."""
    inputs = seeded_inputs(bundle.latent, len(labels), seed, np.asarray(labels, np.int32))
    return inputs[0], bundle.draw(inputs)


def one_sentence(text):
    assert isinstance(text, str) and 0 < len(text) < 1000 and "\n" not in text and "Traceback" not in text, text
    return text


def inputs_of(module, arrays, **options):
    """Inputs for one of Triton's clients."""
    inputs = []
    for name, array in arrays.items():
        inputs.append(module.InferInput(name, list(array.shape), LETTERS[array.dtype.char]))
        inputs[-1].set_data_from_numpy(array, **options)
    return inputs


def call(server, kind, model, arrays, outputs):
    """Call a model with one of Triton's clients; return these outputs."""
    module, options = (tritonclient.http, {"binary_data": False}) if kind == "http" else (tritonclient.grpc, {})
    client = module.InferenceServerClient(f"{server.host}:{getattr(server, kind)}")
    wanted = [module.InferRequestedOutput(name, **options) for name in outputs]
    answer = client.infer(model, inputs_of(module, arrays, **options), outputs=wanted)
    client.close()
    return [answer.as_numpy(name) for name in outputs]


CONTENTS = {"FP32": "fp32_contents", "INT32": "int_contents", "INT64": "int64_contents", "BYTES": "bytes_contents"}


def request_of(inputs=(), raw=(), outputs=(), model="generator", version=""):
    """A request over gRPC: inputs as JSON says them, their numbers beside them or raw."""
    request = service_pb2.ModelInferRequest(model_name=model, model_version=version)
    for each in inputs:
        given = request.inputs.add(name=each["name"], datatype=each["datatype"], shape=each["shape"])
        if not raw:
            values = [value.encode() if isinstance(value, str) else value for value in each["data"]]
            getattr(given.contents, CONTENTS.get(each["datatype"], "fp64_contents")).extend(values)
    request.raw_input_contents.extend(raw)
    for name in outputs:
        request.outputs.add(name=name)
    return request


def refused(method, request, *codes):
    """The sentence with which a call over gRPC is refused."""
    with pytest.raises(grpc.RpcError) as caught:
        method(request, timeout=HANGS)
    assert caught.value.code() in (codes or (INVALID,)), caught.value
    return one_sentence(caught.value.details())


SEED, LABEL = tensor("seed", "INT64", [1]), tensor("label", "INT32", [1])

# what it says of itself


def test_health_and_metadata_are_those_of_the_contract(server, bundle, conditional_folder):
    model = bundle.contract.generator
    for module, kind in ((tritonclient.http, "http"), (tritonclient.grpc, "grpc")):
        client = module.InferenceServerClient(f"{server.host}:{getattr(server, kind)}")
        told = client.get_model_metadata("generator", **({} if kind == "http" else {"as_json": True}))
        assert client.is_server_live() and client.is_server_ready() and client.is_model_ready("generator")
        assert (told["name"], told["platform"], told["versions"]) == ("generator", "ms_gan_mindir", ["1"])
        for side, specs, more in (("inputs", model.inputs, ["seed", "num"]), ("outputs", model.outputs, [])):
            described = [(each["name"], each["datatype"], [int(size) for size in each["shape"]]) for each in told[side]]
            assert described[: len(specs)] == [(spec.name, TYPES[spec.type], spec.batch_of(-1)) for spec in specs]
            assert [name for name, _, _ in described[len(specs) :]] == more
        if kind == "http":  # over gRPC the protocol knows no parameters of tensors
            latent, label = (each["parameters"] for each in told["inputs"][:2])
            assert (latent["distribution"], label["range"]) == ("normal", "0 to 9")
            assert label["labels"] == "0, 1, 2, 3, 4, 5, 6, 7, 8, 9"
        client.close()
    status, contract = server.ask("/contract.json", method="GET")
    assert status == 200 and contract.pop("server") == {"format": "mindir", "max_batch": 64}
    assert contract == json.loads((conditional_folder / "contract.json").read_text())
    assert server.ask("/v2/models/encoder/ready", method="GET")[0] == 404, "this bundle has no encoder"
    status, page = server.ask("/", method="GET")
    assert status == 200 and page.startswith("<!DOCTYPE html>")


def test_the_index_lists_models_with_their_versions(server, stub):
    for body in (None, {}, {"ready": True}):
        status, answer = server.ask("/v2/repository/index", body)
        assert [(each["name"], each["version"], each["state"]) for each in answer] == [("generator", "1", "READY")]
    listed = stub.RepositoryIndex(service_pb2.RepositoryIndexRequest()).models
    assert [(each.name, each.version, each.state) for each in listed] == [("generator", "1", "READY")]


def test_it_listens_where_it_is_told_to_and_says_so(server, onnx_server):
    for each in (server, onnx_server):
        for host in ("127.0.0.1", "127.0.0.2"):
            for port in (each.http, each.grpc):
                with socket.socket() as probe:
                    assert (probe.connect_ex((host, port)) == 0) == (host == each.host), (host, port)
    line = next(line for line in server.log.read_text().splitlines() if line.startswith("serving "))
    assert line == (
        f"serving acgan, step 1,234, as mindir: page and REST at http://127.0.0.1:{server.http}/, "
        f"gRPC at 127.0.0.1:{server.grpc}; Ctrl-C ends it"
    )


# what it draws


@pytest.mark.parametrize("kind", ["http", "grpc"])
def test_a_seed_draws_what_infer_draws(kind, server, conditional_folder, bundle, tmp_path):
    def inferred(*options):
        file = tmp_path / f"{len(options)}.npy"
        assert cli.main(["infer", str(conditional_folder), *options, "--format", "mindir", "--output", str(file)]) == 0
        return np.load(file)

    expected = inferred("--num", "20", "--seed", "7", "--label", "3", "--label", "8")
    for label in (np.int32([3, 8]), np.array(["3", "8"], object), np.int32([[3], [8]])):
        arrays = {"seed": np.int64([7]), "num": np.int32([20]), "label": label}
        image, latent = call(server, kind, "generator", arrays, ("image", "latent"))
        assert image.dtype == np.float32 and np.array_equal(image, expected)
        assert np.array_equal(latent, seeded_inputs(bundle.latent, 20, 7)[0])
    (image,) = call(server, kind, "generator", {"num": np.int32([13])}, ("image",))
    assert np.array_equal(image, inferred("--num", "13")), "without seed and label what infer draws without them"


@pytest.mark.parametrize("kind", ["http", "grpc"])
def test_latents_give_their_images(kind, server, bundle):
    latents, labels = np.random.default_rng(5).standard_normal((64, 100), np.float32), np.int32(np.arange(64) % 10)
    expected = bundle.draw((latents, labels))
    (image,) = call(server, kind, "generator", {"latent": latents, "label": labels}, ("image",))
    assert np.array_equal(image, expected)
    latent, image = call(server, kind, "generator", {"latent": latents[:1], "label": labels[:1]}, ("latent", "image"))
    assert np.array_equal(latent, latents[:1]) and np.array_equal(image, expected[:1])


@pytest.mark.parametrize("version", ["1", ""])
def test_the_models_have_the_version_that_triton_gives_them(version, server, stub, bundle):
    place = f"/v2/models/generator{'/versions/' * bool(version)}{version}"
    latents, expected = seeded(bundle, 2, [1, 6])
    inputs = [tensor("latent", "FP32", latents), tensor("label", "BYTES", ["1", "6"])]
    status, answer = server.ask(f"{place}/infer", {"inputs": inputs})
    assert (status, answer["model_version"]) == (200, "1")
    assert np.array_equal(np.float32(answer["outputs"][0]["data"]), expected.ravel())
    assert server.ask(f"{place}/ready", method="GET")[0] == 200
    assert server.ask(place, method="GET")[1]["versions"] == ["1"]
    answer = stub.ModelInfer(request_of(inputs, version=version), timeout=HANGS)
    (output,) = answer.outputs
    assert (output.name, output.datatype, list(output.shape)) == ("image", "FP32", [2, 1, 28, 28])
    assert np.array_equal(np.float32(output.contents.fp32_contents), expected.ravel()) and answer.model_version == "1"
    assert stub.ModelReady(service_pb2.ModelReadyRequest(name="generator", version=version)).ready
    told = stub.ModelMetadata(service_pb2.ModelMetadataRequest(name="generator", version=version))
    assert list(told.versions) == ["1"]


def run_in_bash(command, server):
    command = command.replace("127.0.0.1:8080", f"{server.host}:{server.http}")
    done = subprocess.run(["bash", "-c", command], env=environment(), capture_output=True, text=True, timeout=HANGS)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)["outputs"][0]


def test_curl_as_the_readme_says(server, conditional_folder, bundle):
    text = (conditional_folder / "README.md").read_text(encoding="utf-8")
    output = run_in_bash(re.search(r"^curl .*$", text, re.M)[0], server)
    assert output["shape"] == [4, 1, 28, 28]
    assert np.array_equal(np.float32(output["data"]), seeded(bundle, 7, [0] * 4)[1].ravel())
    form = f"curl -s {server.url}{INFER} -d '{json.dumps({'inputs': [SEED]})}'"  # it says that it sends a form
    assert run_in_bash(form, server)["shape"] == [1, 1, 28, 28]


def test_the_encoder_as_the_readme_says(autoencoder_server, autoencoder_folder, autoencoder):
    text = (autoencoder_folder / "README.md").read_text(encoding="utf-8")
    (command,) = [block for block in re.findall(r"```bash\n(.*?)```", text, re.S) if "models/encoder/infer" in block]
    mean = run_in_bash(command, autoencoder_server)
    grey, label = np.full((1, 3, 16, 16), 0.5, np.float32), np.int32([[1, 0, 0]])
    assert (mean["name"], mean["shape"]) == ("mean", [1, 6])
    assert np.array_equal(np.float32(mean["data"]), autoencoder.encode((grey, label)).ravel())


def test_a_packed_request_is_unpacked(server, bundle):
    body = json.dumps({"inputs": [tensor("seed", "INT64", [3]), tensor("label", "INT32", [4])]}).encode()
    halves = body[:20], body[20:]
    for name, packed in (
        ("gzip", gzip.compress(body)),
        ("GZIP", b"".join(map(gzip.compress, halves))),
        ("deflate", zlib.compress(body)),
        ("identity", body),
        ("", body),
    ):
        status, answer = server.ask(INFER, packed, Content_Encoding=name)
        assert status == 200, answer
        assert np.array_equal(np.float32(answer["outputs"][0]["data"]), seeded(bundle, 3, [4])[1].ravel())
    for name in ("br", "gzip, gzip", "x" * 5000):
        status, answer = server.ask(INFER, body, Content_Encoding=name)
        assert status == 415 and "gzip or deflate" in one_sentence(answer["error"])


@pytest.mark.parametrize("coding", [None, "gzip", "deflate"])
def test_tritons_client_may_send_binary_tensors_and_pack_them_and_its_answers(coding, server, bundle):
    client = tritonclient.http.InferenceServerClient(f"{server.host}:{server.http}")
    latent = np.random.default_rng(6).standard_normal((3, 100), np.float32)
    for label in (np.int32([3, 0, 9]), np.array(["3", "0", "9"], object)):
        inputs = inputs_of(tritonclient.http, {"latent": latent, "label": label}, binary_data=True)
        algorithms = {f"{way}_compression_algorithm": coding for way in ("request", "response")}
        image = client.infer("generator", inputs, **algorithms).as_numpy("image")
        assert np.array_equal(image, bundle.draw((latent, np.int32([3, 0, 9]))))
    client.close()


def in_bytes(server, asked, **headers):
    """A request's answer: its JSON, and the bytes behind it."""
    request = urllib.request.Request(server.url + INFER, json.dumps(asked).encode(), headers)
    with urllib.request.urlopen(request, timeout=HANGS) as answer:
        body, length = answer.read(), int(answer.headers["Inference-Header-Content-Length"])
        assert answer.headers["Content-Type"] == "application/octet-stream"
    return json.loads(body[:length]), body[length:]


@pytest.mark.parametrize("headers", [{}, {"Accept-Encoding": "gzip"}], ids=["", "gzip"])
def test_outputs_are_sent_as_bytes_where_they_are_asked_for(headers, server, bundle):
    inputs = [tensor("seed", "INT64", [3]), tensor("label", "INT32", [4, 5])]
    latent, image = seeded(bundle, 3, [4, 5])
    everything = {"inputs": inputs, "parameters": {"binary_data_output": True}}
    told, raw = in_bytes(server, everything, **headers)
    (output,) = told["outputs"]
    assert raw == image.tobytes() and output["parameters"]["binary_data_size"] == len(raw) and "data" not in output
    assert (output["name"], output["datatype"], output["shape"]) == ("image", "FP32", [2, 1, 28, 28])
    both = [{"name": "latent", "parameters": {"binary_data": False}}, {"name": "image"}]
    told, raw = in_bytes(server, {**everything, "outputs": both}, **headers)
    assert raw == image.tobytes() and np.array_equal(np.float32(told["outputs"][0]["data"]), latent.ravel())
    told, raw = in_bytes(server, {"inputs": inputs, "outputs": [{**both[0], "parameters": {"binary_data": True}}]})
    assert raw == latent.tobytes()
    client = tritonclient.http.InferenceServerClient(f"{server.host}:{server.http}")
    arrays = {"seed": np.int64([3]), "label": np.int32([4, 5])}
    wanted = [tritonclient.http.InferRequestedOutput(name) for name in ("image", "latent")]
    answer = client.infer("generator", inputs_of(tritonclient.http, arrays), outputs=wanted)
    assert np.array_equal(answer.as_numpy("image"), image) and np.array_equal(answer.as_numpy("latent"), latent)
    client.close()


def test_a_request_of_one_image_computes_one_row_where_the_bits_allow_it(conditional_folder):
    opened, rows = Bundle(conditional_folder, "onnx"), []

    def model(*arrays):
        rows.append(len(arrays[0]))
        return opened.models["generator"](*arrays)

    served = ServedModel(model, "generator", opened.contract, "onnx", 64)
    for count in (1, 5, 64):
        given = [("seed", Tensor("INT64", [1], [3])), ("num", Tensor("INT32", [1], [count]))]
        rows.clear()
        found = asyncio.run(served.infer(given, []))["image"]
        assert rows == [count]
        assert np.array_equal(found, opened.draw(seeded_inputs(opened.latent, count, 3, np.arange(count) % 10)))


def test_onnx_draws_the_same_without_mindspore(onnx_server, server):
    asked = [tensor("seed", "INT64", [11]), tensor("num", "INT32", [16])]
    (found,), (expected,) = onnx_server.draw(*asked), server.draw(*asked)
    np.testing.assert_allclose(found, expected, atol=1e-5, rtol=0)
    status, contract = onnx_server.ask("/contract.json", method="GET")
    assert contract["server"] == {"format": "onnx", "max_batch": 16}
    with open(f"/proc/{onnx_server.process.pid}/maps") as maps:
        assert "mindspore" not in maps.read()
    status, answer = onnx_server.ask(INFER, {"inputs": [tensor("num", "INT32", [17])]})
    assert (status, answer) == (400, {"error": "the request asks for 17 images; this server takes at most 16 at once"})


@pytest.mark.parametrize("kind", ["http", "grpc"])
def test_from_an_image_through_its_latent_to_an_image_with_other_tags(kind, autoencoder_server, autoencoder):
    own, other = np.int32([[1, 3, 0], [2, 0, 0], [0, 0, 0]]), np.int32([[4, 0, 0], [1, 2, 5], [3, 0, 0]])
    images = np.random.default_rng(3).random((3, 3, 16, 16), dtype=np.float32)
    found = call(autoencoder_server, kind, "encoder", {"image": images, "label": own}, ("mean", "log_variance"))
    assert all(map(np.array_equal, found, in_chunks(autoencoder.models["encoder"], (images, own))))
    named = np.array([",".join(INGREDIENTS[tag - 1] for tag in row if tag) for row in other], object)
    for label in (other, named):
        (drawn,) = call(autoencoder_server, kind, "generator", {"latent": found[0], "label": label}, ("image",))
        assert np.array_equal(drawn, autoencoder.draw((autoencoder.encode((images, own)), other)))


# what it refuses; that everything wrong with tensors is found, test_requests.py proves

REFUSED = [  # inputs, and what the sentence names
    ([], "no inputs"),
    ([SEED, SEED], "twice"),
    ([LABEL, tensor("latent", "FP32", [0.0] * 99, [1, 99])], "must have the shape [n, 100], not [1, 99]"),
    ([LABEL, tensor("latent", "FP32", [0.0] * 100, [2**62, 100])], "latent has 100 elements"),
    ([tensor("num", "INT32", [65])], "asks for 65 images; this server takes at most 64"),
    ([tensor("label", "BYTES", ["cat"])], "there is no class 'cat'; send one of 0, 1"),
    ([LABEL, tensor("latent", "FP32", [3e38, -3e38] * 50, [1, 100])], "not finite"),
]


def test_a_request_that_cannot_be_answered_gets_the_same_sentence_over_rest_and_grpc(server, stub, goes_on):
    for inputs, named in REFUSED:
        status, answer = server.ask(INFER, {"inputs": inputs})
        assert (status, list(answer)) == (400, ["error"]) and named in one_sentence(answer["error"])
        assert refused(stub.ModelInfer, request_of(inputs)) == answer["error"]


def test_an_encoder_tells_of_itself_and_refuses(autoencoder_server):
    _, told = autoencoder_server.ask("/v2/models/encoder", method="GET")
    assert [each["name"] for each in told["inputs"]] == ["image", "label"]
    assert [each["name"] for each in told["outputs"]] == ["mean", "log_variance"]
    image = tensor("image", "FP32", [0.0] * 768, [1, 3, 16, 16])
    for inputs, named in (([image], "label is missing"), ([image, tensor("label", "BYTES", ["basli"])], "mean basil?")):
        status, answer = autoencoder_server.ask("/v2/models/encoder/infer", {"inputs": inputs})
        assert status == 400 and named in one_sentence(answer["error"])


def binary(datatype, size, name="seed", shape=(1,)):
    """JSON of a request whose tensor lies behind it."""
    given = {"name": name, "datatype": datatype, "shape": shape, "parameters": {"binary_data_size": size}}
    return json.dumps({"inputs": [given]}).encode()


NEST = b'{"inputs": [{"name": "seed", "datatype": "INT64", "shape": [1], "data": [%s]}]}' % (b"[" * 900 + b"]" * 900)
BODIES = {  # what is no request at all
    "nothing": b"",
    "no JSON": b"x",
    "not a number": b'{"inputs": [NaN]}',
    "a list": [],
    "an empty one": {},
    "an input that is none": {"inputs": [3]},
    "no shape": {"inputs": [{"name": "seed", "datatype": "INT64", "data": [1]}]},
    "no data": {"inputs": [{"name": "seed", "datatype": "INT64", "shape": [1]}]},
    "a shape beyond 64 bits": {"inputs": [tensor("seed", "INT64", [1], [10**30])]},
    "a deep nest": NEST,
    "a deeper nest": b'{"inputs": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "an unknown output": {"inputs": [SEED], "outputs": [{"name": "sound"}]},
    "an output without a name": {"inputs": [SEED], "outputs": [{}]},
    "a shape of text": {"inputs": [tensor("seed", "INT64", [1], ["1"])]},
    "a shape of truth": {"inputs": [tensor("seed", "INT64", [1], [True])]},
    "more than its type holds": {"inputs": [tensor("seed", "UINT8", [300])]},
    "less than its type holds": {"inputs": [tensor("seed", "UINT8", [-1])]},
    "another nest than its shape": {"inputs": [tensor("seed", "INT64", [[1]], [1])]},
    "an id that is a number": b'{"id": 3, "inputs": [%s]}' % json.dumps(SEED).encode(),
    "an id that is no text": b'{"id": "\\ud800", "inputs": [%s]}' % json.dumps(SEED).encode(),
}
EIGHT = bytes(8)
BINARY = {  # JSON, what lies behind it, and how long the JSON is said to be where that is not true
    "nothing behind": (binary("INT64", 8), b""),
    "more than it says": (binary("INT64", 8), bytes(16)),
    "no multiple of its type": (binary("INT64", 6), bytes(6)),
    "less than its shape": (binary("INT64", 8, shape=(2,)), EIGHT),
    "elements in the JSON, too": (binary("INT64", 8).replace(b'"shape"', b'"data": [1], "shape"'), EIGHT),
    "a size below zero": (binary("INT64", -1), EIGHT),
    "a list as type": (binary([], 8), EIGHT),
    "a text cut off": (binary("BYTES", 5, "label"), b"\2\0\0\0" + b"1"),
    "binary, and not a number": (binary("FP32", 400, "latent", (1, 100)), b"\0\0\xc0\x7f" * 100),
    "a nest that can just be read": (b'{"inputs": [], "x": ' + b"[" * 980 + b"]" * 980 + b"}", b""),
    **{f"a length of {length[:8]!r}": (binary("INT64", 8), EIGHT, length) for length in ("x", "-8", "1" * 5000)},
}


@pytest.mark.parametrize("what", [*BODIES, *BINARY])
def test_what_is_no_request_gets_400_and_a_sentence(what, server, goes_on):
    if what in BODIES:
        status, answer = server.ask(INFER, BODIES[what])
    else:
        head, rest, *length = BINARY[what]
        status, answer = server.ask(INFER, head + rest, Inference_Header_Content_Length=(length or [str(len(head))])[0])
    assert (status, list(answer)) == (400, ["error"]) and one_sentence(answer["error"])


RAW = [  # of one seed, int64: how its bytes may be wrong
    ([SEED], b"abc"),
    ([SEED], b""),
    ([SEED], bytes(8), bytes(8)),
    ([tensor("label", "BYTES", ["1"])], b"\5\0\0\0ab"),
    ([tensor("label", "BYTES", ["1"])], b"\1\0"),
    ([tensor("latent", "FP32", [], [2**62, 100])], bytes(400)),
    ([tensor("seed", "BOOL", [], [1])], b"\1"),
    ([tensor("seed", "", [], [1])], bytes(8)),
    ([LABEL, tensor("latent", "FP32", [], [1, 100])], bytes(4), b"\0\0\xc0\x7f" * 100),
]


def test_raw_contents_that_do_not_fit_get_invalid_argument_and_a_sentence(stub, goes_on):
    for inputs, *raw in RAW:
        refused(stub.ModelInfer, request_of(inputs, raw))


@pytest.mark.parametrize("version", ["2", "01", "latest"])
def test_another_version_is_not_there(version, server, stub):
    for path, method in (("", "GET"), ("/ready", "GET"), ("/infer", "POST")):
        body = {"inputs": [SEED]} if method == "POST" else None
        status, answer = server.ask(f"/v2/models/generator/versions/{version}{path}", body, method)
        assert status == 404 and version in one_sentence(answer["error"])
    assert version in refused(stub.ModelInfer, request_of([SEED], version=version), GONE)
    refused(stub.ModelReady, service_pb2.ModelReadyRequest(name="generator", version=version), GONE)
    refused(stub.ModelMetadata, service_pb2.ModelMetadataRequest(name="generator", version=version), GONE)


@pytest.mark.parametrize(
    "path, status",
    [("/", 200), ("/v2", 200), ("/v2/health/ready", 200), ("/v2/models/generator", 200), ("/absent", 404)],
)
def test_what_can_be_read_can_be_asked_for_by_its_head(path, status, server):
    assert server.ask(path, method="HEAD") == (status, "")


def test_a_body_that_is_not_waited_for_ends_its_connection(server, goes_on):
    """Otherwise the next request would be taken for the body of the first."""
    head = "POST /v2/models/absent/infer HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 50\r\n\r\n"
    with socket.create_connection((server.host, server.http), timeout=HANGS) as connection:
        connection.sendall(head.encode())
        answer = b""
        while piece := connection.recv(4096):  # to the end of the connection
            answer += piece
    assert answer.startswith(b"HTTP/1.1 404") and b"connection: close" in answer.lower()


@pytest.mark.parametrize(
    "path, method, status",
    [
        ("/v2/models/absent/infer", "POST", 404),
        ("/v2/models/generator/infer", "GET", 405),
        ("/v2/models/generator/infer_stream", "POST", 404),
        ("/absent", "GET", 404),
        ("/../contract.json", "GET", 404),
        ("/generator.mindir", "GET", 404),
    ],
)
def test_what_is_not_there_is_not_served(path, method, status, server):
    found, answer = server.ask(path, None if method == "GET" else {"inputs": [SEED]}, method)
    assert (found, list(answer)) == (status, ["error"]) and one_sentence(answer["error"])


def test_over_grpc_too_what_is_not_there_is_refused(stub, goes_on):
    assert "absent" in refused(stub.ModelInfer, request_of([SEED], model="absent"), GONE)
    assert "no output 'sound'" in refused(stub.ModelInfer, request_of([SEED], outputs=["sound"]))
    assert "the output image is there twice" in refused(stub.ModelInfer, request_of([SEED], outputs=["image"] * 300))
    refused(stub.ModelInfer, request_of(model=""), GONE, INVALID)
    mixed = request_of([SEED])
    mixed.inputs[0].contents.fp32_contents.append(1.0)
    del mixed.inputs[0].contents.int64_contents[:]
    assert "its elements belong into int64_contents" in refused(stub.ModelInfer, mixed)
    mixed.inputs[0].contents.int64_contents.append(1)
    assert "int64_contents, fp32_contents" in refused(stub.ModelInfer, mixed)
    both = request_of([SEED], [bytes(8)])
    both.inputs[0].contents.int64_contents.append(1)
    assert "its elements belong into raw_input_contents" in refused(stub.ModelInfer, both)
    for call, request in ((stub.ModelConfig, service_pb2.ModelConfigRequest(name="generator")),
                          (stub.SystemSharedMemoryStatus, service_pb2.SystemSharedMemoryStatusRequest())):  # fmt: skip
        assert "has no such call" in refused(call, request, grpc.StatusCode.UNIMPLEMENTED)
    for requests in ([], [request_of([SEED])] * 2):
        with pytest.raises(grpc.RpcError) as caught:
            list(stub.ModelStreamInfer(iter(requests), timeout=HANGS))
        assert caught.value.code() == grpc.StatusCode.UNIMPLEMENTED and "ModelInfer" in caught.value.details()


LONG = "long\n" * 2000  # longer than an error over gRPC may be


def test_a_long_name_is_not_repeated_whole(server, stub):
    named = [SEED, tensor("label", "BYTES", [LONG])]
    for inputs, outputs in (([tensor(LONG, "INT64", [1])], []), ([tensor("seed", LONG, [1])], []), (named, [LONG])):
        status, answer = server.ask(INFER, {"inputs": inputs, "outputs": [{"name": name} for name in outputs]})
        assert status == 400 and len(one_sentence(answer["error"])) < 500
        assert len(refused(stub.ModelInfer, request_of(inputs, outputs=outputs))) < 500
    for path in (f"/{'long' * 200}", f"/v2/models/{'long' * 200}", f"/v2/models/generator/versions/{'long' * 200}"):
        status, answer = server.ask(path, method="GET")
        assert status == 404 and len(one_sentence(answer["error"])) < 300
    assert len(refused(stub.ModelInfer, request_of([SEED], model=LONG), GONE)) < 300


@pytest.mark.parametrize("kind", ["http", "grpc"])
def test_nobody_can_load_or_unload_what_is_served(kind, server, goes_on):
    module = {"http": tritonclient.http, "grpc": tritonclient.grpc}[kind]
    client = module.InferenceServerClient(f"{server.host}:{getattr(server, kind)}")
    for method in (client.load_model, client.unload_model):
        with pytest.raises(InferenceServerException, match="from the start to the end of this server"):
            method("generator")
        with pytest.raises(InferenceServerException, match="Model 'absent' not found"):
            method("absent")
    client.close()


def test_the_id_of_a_request_comes_back_as_it_is(server, stub):
    for name in ("", "☃", "a\r\nSet-Cookie: b", "\0", "x" * 20_000):
        status, answer = server.ask(INFER, {"id": name, "inputs": [SEED, LABEL]})
        assert (status, answer["id"]) == (200, name)
        request = request_of([SEED, LABEL])
        request.id = name
        assert stub.ModelInfer(request, timeout=HANGS).id == name


def test_a_body_of_100_megabytes_is_refused(server, stub, goes_on):
    status, answer = server.ask(INFER, bytes(100_000_000))
    assert status == 413 and re.search(r"more than [\d,]+ bytes", one_sentence(answer["error"]))
    request = request_of([tensor("latent", "FP32", [], [250_000, 100])], [bytes(100_000_000)])
    refused(stub.ModelInfer, request, grpc.StatusCode.RESOURCE_EXHAUSTED)


def most_memory(server):
    with open(f"/proc/{server.process.pid}/status") as status:
        return int(re.search(r"VmHWM:\s+(\d+) kB", status.read())[1])


def test_a_small_body_that_unpacks_to_much_is_refused(server, goes_on):
    before, bomb = most_memory(server), gzip.compress(bytes(1 << 30), 1)
    assert len(bomb) < 10_000_000
    for coding, body, expected in (
        ("gzip", gzip.compress(bytes(100_000_000)), 413),
        ("gzip", bomb, 413),
        ("deflate", zlib.compress(bytes(100_000_000)), 413),
        ("gzip", b"no gzip", 400),
        ("gzip", gzip.compress(b"{}")[:-9], 400),
        ("deflate", zlib.compress(b'{"inputs": []}')[:-4], 400),
    ):
        status, answer = server.ask(INFER, body, Content_Encoding=coding)
        assert status == expected and one_sentence(answer["error"])
        told = "more than [0-9,]+ bytes" if status == 413 else f"the body is not packed as {coding}"
        assert re.search(told, answer["error"])
    assert most_memory(server) < before + 200_000, "it was never unpacked whole"


def test_the_largest_request_and_answer_pass(server):
    latents, labels = np.random.default_rng(9).standard_normal((64, 100), np.float32), np.arange(64) % 10
    asked = tensor("latent", "FP32", latents.astype(float)), tensor("label", "INT64", labels)
    image, latent = server.draw(*asked, outputs=("image", "latent"))
    assert image.shape == (64, 1, 28, 28) and np.array_equal(latent, latents)


# many at once


def all_at_once(server, requests):
    """Ask all of them at once, over REST and gRPC in turn; return the first output of each, or how it failed.

    A request is a model, its inputs as arrays, and the name of the output.
    """

    async def ask():
        options = {"conn_limit": 1000, "conn_timeout": HANGS}
        http = tritonclient.http.aio.InferenceServerClient(f"{server.host}:{server.http}", **options)
        remote = tritonclient.grpc.aio.InferenceServerClient(f"{server.host}:{server.grpc}")
        ways = [(http, tritonclient.http.aio, {"binary_data": False}), (remote, tritonclient.grpc.aio, {})]

        async def one(number, model, arrays, output):
            client, module, options = ways[number % 2]
            wanted = [module.InferRequestedOutput(output, **options)]
            answer = await client.infer(model, inputs_of(module, arrays, **options), outputs=wanted)
            return answer.as_numpy(output)

        try:
            asked = (one(number, *request) for number, request in enumerate(requests))
            return await asyncio.gather(*asked, return_exceptions=True)
        finally:
            await http.close()
            await remote.close()

    return asyncio.run(ask())


def test_a_thousand_requests_at_once_are_all_answered_right(server, bundle):
    """By seed and by latent, of one to sixteen images, over REST and gRPC: each as if it were alone."""
    random = np.random.default_rng(0)
    requests, given = [], []
    for number in range(1000):
        count = int(random.choice([1, 2, 3, 5, 16], p=[0.7, 0.15, 0.1, 0.04, 0.01]))
        labels, seed = random.integers(0, 10, count).astype(np.int32), int(random.integers(0, 50))
        latents = seeded_inputs(bundle.latent, count, seed)[0]
        named = np.array([str(label) for label in labels], object)
        arrays = (
            {"latent": latents, "label": labels},
            {"seed": np.int64([seed]), "label": labels[:, None]},
            {"seed": np.int32([seed]), "num": np.int32([count]), "label": named},
        )[number % 3]
        requests.append(("generator", arrays, "image"))
        given.append((latents, labels))
    found = all_at_once(server, requests)
    latents, labels = (np.concatenate(parts) for parts in zip(*given))
    ends = np.cumsum([len(labels) for _, labels in given])
    expected = np.split(bundle.draw((latents, labels)), ends[:-1])
    wrong = [number for number, pair in enumerate(zip(found, expected)) if not np.array_equal(*pair)]
    assert len(found) == 1000 and not wrong, f"{len(wrong)} of 1000, the first of them {wrong[:5]}"


def test_encoder_and_generator_work_at_the_same_time(autoencoder_server, autoencoder):
    """MindSpore does not: two graphs at once, from two threads, and the process stands still."""
    images = np.random.default_rng(4).random((8, 3, 16, 16), dtype=np.float32)
    labels = np.int32([[1 + number % 5, 0, 0] for number in range(8)])
    mean = autoencoder.encode((images, labels))
    drawn = autoencoder.draw((mean, labels))
    kinds = [("encoder", {"image": images, "label": labels}, "mean")] * 2
    kinds += [("generator", {"latent": mean, "label": labels}, "image")] * 2
    for number, found in enumerate(all_at_once(autoencoder_server, kinds * 100)):
        assert np.array_equal(found, mean if number % 4 < 2 else drawn)


def test_a_wrong_request_takes_no_neighbour_down(server, bundle):
    seeds = [-1 if number // 2 % 2 else number for number in range(60)]
    found = all_at_once(server, [("generator", {"seed": np.int64([seed])}, "image") for seed in seeds])
    for seed, answer in zip(seeds, found):
        if seed < 0:
            assert isinstance(answer, InferenceServerException) and "seed must be" in answer.message()
        else:
            assert np.array_equal(answer, seeded(bundle, seed, [0])[1])


def test_clients_that_hang_up_do_no_harm(server, goes_on):
    body = json.dumps({"inputs": [SEED, tensor("num", "INT32", [64])]}).encode()
    head = f"POST {INFER} HTTP/1.1\r\nHost: {server.host}\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    for sent in (head, head + body[:20], head + body):
        for _ in range(5):
            with socket.create_connection((server.host, server.http)) as connection:
                connection.sendall(sent)
