"""The server, as programs call it: over REST and gRPC, many at once, and with requests that cannot be answered."""

from __future__ import annotations

import asyncio
import gzip
import json
import re
import socket
import subprocess
import zlib
from types import SimpleNamespace

import grpc
import mindspore  # noqa: F401  before tritonclient: it needs a protobuf of its own choice
import numpy as np
import pytest
import tritonclient.grpc
import tritonclient.grpc.aio
import tritonclient.http
import tritonclient.http.aio
from bundles import INGREDIENTS, write_autoencoder, write_conditional
from commands import HANGS, environment
from servers import INFER, serving, tensor
from tritonclient.grpc import service_pb2, service_pb2_grpc
from tritonclient.utils import InferenceServerException

from ms_gan import cli
from ms_gan.delivery.bundle import Bundle
from ms_gan.evaluation.sampling import in_chunks, seeded_inputs

pytestmark = pytest.mark.usefixtures("device")

TYPES = {"float32": "FP32", "int32": "INT32"}


@pytest.fixture(scope="module")
def folder(device, tmp_path_factory):
    """A bundle of ten classes."""
    return write_conditional(tmp_path_factory.mktemp("conditional") / "bundle")


@pytest.fixture(scope="module")
def bundle(folder):
    return Bundle(folder)


@pytest.fixture(scope="module")
def server(folder, tmp_path_factory):
    with serving(folder, tmp_path_factory.mktemp("server") / "log") as started:
        yield started


@pytest.fixture(scope="module")
def onnx_server(folder, tmp_path_factory):
    with serving(
        folder, tmp_path_factory.mktemp("onnx") / "log", "--format", "onnx", "--max-batch", 16, host="127.0.0.2"
    ) as started:
        yield started


@pytest.fixture(scope="module")
def autoencoder_folder(device, tmp_path_factory):
    """A bundle with an encoder, and with tags."""
    return write_autoencoder(tmp_path_factory.mktemp("autoencoder") / "bundle")


@pytest.fixture(scope="module")
def autoencoder(autoencoder_folder):
    return Bundle(autoencoder_folder)


@pytest.fixture(scope="module")
def autoencoder_server(autoencoder_folder, tmp_path_factory):
    with serving(autoencoder_folder, tmp_path_factory.mktemp("autoencoder_server") / "log") as started:
        yield started


@pytest.fixture(scope="module")
def stub(server):
    """The protocol's own calls, without a client that keeps requests in order."""
    with grpc.insecure_channel(f"{server.host}:{server.grpc}") as channel:
        yield service_pb2_grpc.GRPCInferenceServiceStub(channel)


def seeded(bundle, seed, labels):
    """What a seed and labels stand for, and the images of them."""
    inputs = seeded_inputs(bundle.latent, len(labels), seed, np.asarray(labels, np.int32))
    return inputs[0], bundle.draw(inputs)


def answers(server, bundle):
    """Is the server there, with the image that it should draw?"""
    (image,) = server.draw(tensor("seed", "INT64", [3]), tensor("label", "INT32", [4]))
    return np.array_equal(image, seeded(bundle, 3, [4])[1])


# what it says of itself


def test_health_and_metadata_are_those_of_the_contract(server, bundle):
    http = tritonclient.http.InferenceServerClient(f"{server.host}:{server.http}")
    remote = tritonclient.grpc.InferenceServerClient(f"{server.host}:{server.grpc}")
    facts = bundle.contract["models"]["generator"]
    for client, told in (
        (http, http.get_model_metadata("generator")),
        (remote, remote.get_model_metadata("generator", as_json=True)),
    ):
        assert client.is_server_live() and client.is_server_ready() and client.is_model_ready("generator")
        assert (told["name"], told["platform"], told["versions"]) == ("generator", "ms_gan_mindir", ["1"])
        for kind in ("inputs", "outputs"):
            described = [(each["name"], each["datatype"], [int(size) for size in each["shape"]]) for each in told[kind]]
            expected = [(each["name"], TYPES[each["type"]], [-1, *each["shape"][1:]]) for each in facts[kind]]
            assert described[: len(expected)] == expected
            assert [name for name, _, _ in described[len(expected) :]] == (["seed", "num"] if kind == "inputs" else [])
        if client is http:  # Triton's own client knows no parameters of tensors over gRPC
            latent, label = (each["parameters"] for each in told["inputs"][:2])
            assert (latent["distribution"], label["range"]) == ("normal", "0 to 9")
            assert label["labels"] == "0, 1, 2, 3, 4, 5, 6, 7, 8, 9"
        index = client.get_model_repository_index()
        listed = index if client is http else [{"name": each.name, "state": each.state} for each in index.models]
        assert [(each["name"], each["state"].rpartition(".")[2]) for each in listed] == [("generator", "READY")]
    status, contract = server.ask("/contract.json", method="GET")
    assert status == 200 and contract.pop("server") == {"format": "mindir", "max_batch": 64}
    assert contract == bundle.contract
    assert server.ask("/v2/models/encoder/ready", method="GET")[0] == 404, "this bundle has no encoder"
    http.close()
    remote.close()


def test_the_page_is_there(server):
    status, page = server.ask("/", method="GET")
    assert status == 200 and page.startswith("<!DOCTYPE html>")


def test_it_listens_where_it_is_told_to_and_nowhere_else(server, onnx_server):
    for host, port, listens in (
        ("127.0.0.1", server.http, True),
        ("127.0.0.1", server.grpc, True),
        ("127.0.0.2", server.http, False),
        ("127.0.0.2", server.grpc, False),
        ("127.0.0.2", onnx_server.http, True),
        ("127.0.0.2", onnx_server.grpc, True),
        ("127.0.0.1", onnx_server.http, False),
        ("127.0.0.1", onnx_server.grpc, False),
    ):
        with socket.socket() as probe:
            assert (probe.connect_ex((host, port)) == 0) == listens, (host, port)


def test_the_line_that_says_where_it_serves(server):
    line = next(line for line in server.log.read_text().splitlines() if line.startswith("serving "))
    assert line == (
        f"serving acgan, step 1,234, as mindir: page and REST at http://127.0.0.1:{server.http}/, "
        f"gRPC at 127.0.0.1:{server.grpc}; Ctrl-C ends it"
    )


# what it draws


def call(server, kind, model, arrays, outputs):
    """Call a model with one of the clients; return these outputs."""
    module, options = (tritonclient.http, {"binary_data": False}) if kind == "http" else (tritonclient.grpc, {})
    client = module.InferenceServerClient(f"{server.host}:{getattr(server, kind)}")
    inputs = []
    for name, array in arrays.items():
        datatype = {"i": "INT32", "l": "INT64", "f": "FP32", "O": "BYTES"}[array.dtype.char]
        inputs.append(module.InferInput(name, list(array.shape), datatype))
        inputs[-1].set_data_from_numpy(array, **options)
    answer = client.infer(model, inputs, outputs=[module.InferRequestedOutput(name, **options) for name in outputs])
    found = [answer.as_numpy(name) for name in outputs]
    client.close()
    return found


@pytest.mark.parametrize("kind", ["http", "grpc"])
def test_a_seed_draws_what_infer_draws(kind, server, folder, bundle, tmp_path):
    file = tmp_path / "images.npy"
    assert (
        cli.main(
            ["infer", str(folder), "--num", "20", "--seed", "7", "--label", "3", "--label", "8", "--output", str(file)]
        )
        == 0
    )
    asked = {"seed": np.int64([7]), "num": np.int32([20])}
    by_number, by_name = ({**asked, "label": label} for label in (np.int32([3, 8]), np.array(["3", "8"], object)))
    for arrays in (by_number, by_name, {**asked, "label": np.int32([[3], [8]])}):
        image, latent = call(server, kind, "generator", arrays, ("image", "latent"))
        assert image.dtype == np.float32 and np.array_equal(image, np.load(file))
        assert np.array_equal(latent, seeded_inputs(bundle.latent, 20, 7)[0])
    assert cli.main(["infer", str(folder), "--num", "13", "--output", str(file), "--overwrite"]) == 0
    (image,) = call(server, kind, "generator", {"num": np.int32([13])}, ("image",))
    assert np.array_equal(image, np.load(file)), "without seed and label what infer draws without them"


@pytest.mark.parametrize("kind", ["http", "grpc"])
def test_latents_give_their_images(kind, server, bundle):
    latents = np.random.default_rng(5).standard_normal((64, 100)).astype(np.float32)
    labels = np.arange(64, dtype=np.int32) % 10
    expected = bundle.draw((latents, labels))
    (image,) = call(server, kind, "generator", {"latent": latents, "label": labels}, ("image",))
    assert np.array_equal(image, expected)
    latent, image = call(server, kind, "generator", {"latent": latents[:1], "label": labels[:1]}, ("latent", "image"))
    assert np.array_equal(latent, latents[:1]) and np.array_equal(image, expected[:1])


def test_a_tensor_need_not_be_raw_over_grpc(stub, bundle):
    request = service_pb2.ModelInferRequest(model_name="generator")
    latents, expected = seeded(bundle, 2, [1, 6])
    for name, datatype, shape, contents in (
        ("latent", "FP32", [2, 100], {"fp32_contents": latents.ravel().tolist()}),
        ("label", "BYTES", [2], {"bytes_contents": [b"1", b"6"]}),
    ):
        add(request, name, datatype, shape, **contents)
    (output,) = stub.ModelInfer(request).outputs
    assert (output.name, output.datatype, list(output.shape)) == ("image", "FP32", [2, 1, 28, 28])
    assert np.array_equal(np.float32(output.contents.fp32_contents).reshape(2, 1, 28, 28), expected)


def test_curl_as_the_readme_says(server, folder, bundle):
    text = (folder / "README.md").read_text(encoding="utf-8")
    command = re.search(r"^curl .*$", text, re.M)[0].replace("127.0.0.1:8080", f"{server.host}:{server.http}")
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=HANGS)
    assert done.returncode == 0, done.stderr
    (output,) = json.loads(done.stdout)["outputs"]
    assert output["shape"] == [4, 1, 28, 28]
    assert np.array_equal(np.float32(output["data"]), seeded(bundle, 7, [0] * 4)[1].ravel())
    body = json.dumps({"inputs": [tensor("seed", "INT64", [7])]})
    bare = subprocess.run(
        ["curl", "-s", server.url + INFER, "-d", body], capture_output=True, text=True, timeout=HANGS
    )  # says that it sends a form
    assert json.loads(bare.stdout)["outputs"][0]["shape"] == [1, 1, 28, 28]


def test_the_encoder_as_the_readme_says(autoencoder_server, autoencoder_folder, autoencoder):
    text = (autoencoder_folder / "README.md").read_text(encoding="utf-8")
    (command,) = [block for block in re.findall(r"```bash\n(.*?)```", text, re.S) if "models/encoder/infer" in block]
    command = command.replace("127.0.0.1:8080", f"{autoencoder_server.host}:{autoencoder_server.http}")
    done = subprocess.run(["bash", "-c", command], env=environment(), capture_output=True, text=True, timeout=HANGS)
    assert done.returncode == 0, done.stderr
    mean = json.loads(done.stdout)["outputs"][0]
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
        ("deflate", b"".join(map(zlib.compress, halves))),
        ("identity", body),
    ):
        status, answer = server.ask(INFER, packed, Content_Encoding=name)
        assert status == 200, answer
        assert np.array_equal(np.float32(answer["outputs"][0]["data"]), seeded(bundle, 3, [4])[1].ravel())
    for name in ("br", "gzip, gzip", "", "x" * 5000):
        status, answer = server.ask(INFER, body, Content_Encoding=name)
        assert status == 415 and "gzip or deflate" in one_sentence(answer["error"])


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
def test_tritons_client_may_pack_its_requests(coding, server, bundle):
    client = tritonclient.http.InferenceServerClient(f"{server.host}:{server.http}")
    latent = np.random.default_rng(6).standard_normal((3, 100), dtype=np.float32)
    inputs = [
        tritonclient.http.InferInput("latent", [3, 100], "FP32"),
        tritonclient.http.InferInput("label", [3], "INT32"),
    ]
    for each, array in zip(inputs, (latent, np.int32([3, 0, 9]))):
        each.set_data_from_numpy(array)
    image = client.infer("generator", inputs, request_compression_algorithm=coding).as_numpy("image")
    assert np.array_equal(image, bundle.draw((latent, np.int32([3, 0, 9]))))
    client.close()


def test_onnx_draws_the_same_without_mindspore(onnx_server, server, bundle):
    asked = [tensor("seed", "INT64", [11]), tensor("num", "INT32", [16])]
    (found,) = onnx_server.draw(*asked)
    (expected,) = server.draw(*asked)
    np.testing.assert_allclose(found, expected, atol=1e-5, rtol=0)
    status, contract = onnx_server.ask("/contract.json", method="GET")
    assert contract["server"] == {"format": "onnx", "max_batch": 16}
    with open(f"/proc/{onnx_server.process.pid}/maps") as maps:
        assert "mindspore" not in maps.read()
    status, refused = onnx_server.ask(INFER, {"inputs": [tensor("num", "INT32", [17])]})
    assert (status, refused) == (400, {"error": "the request asks for 17 images; this server takes at most 16 at once"})


@pytest.mark.parametrize("kind", ["http", "grpc"])
def test_from_an_image_through_its_latent_to_an_image_with_other_tags(kind, autoencoder_server, autoencoder):
    own, other = np.int32([[1, 3, 0], [2, 0, 0], [0, 0, 0]]), np.int32([[4, 0, 0], [1, 2, 5], [3, 0, 0]])
    images = np.random.default_rng(3).random((3, 3, 16, 16), dtype=np.float32)
    mean, log_variance = call(
        autoencoder_server, kind, "encoder", {"image": images, "label": own}, ("mean", "log_variance")
    )
    expected = in_chunks(autoencoder.models["encoder"], (images, own))
    assert np.array_equal(mean, expected[0]) and np.array_equal(log_variance, expected[1])
    named = np.array([",".join(INGREDIENTS[tag - 1] for tag in row if tag) for row in other], object)
    for label in (other, named):
        (drawn,) = call(autoencoder_server, kind, "generator", {"latent": mean, "label": label}, ("image",))
        assert np.array_equal(drawn, autoencoder.draw((autoencoder.encode((images, own)), other)))


def test_encoder_and_generator_work_at_the_same_time(autoencoder_server, autoencoder):
    """MindSpore does not: two graphs at once, from two threads, and the process stands still."""
    images = np.random.default_rng(4).random((8, 3, 16, 16), dtype=np.float32)
    labels = np.int32([[1 + number % 5, 0, 0] for number in range(8)])
    mean = autoencoder.encode((images, labels))
    drawn = autoencoder.draw((mean, labels))
    grpc_module = tritonclient.grpc.aio

    async def all_at_once():
        client = grpc_module.InferenceServerClient(f"{autoencoder_server.host}:{autoencoder_server.grpc}")

        async def one(number):
            model, name, array = (("encoder", "image", images), ("generator", "latent", mean))[number % 2]
            inputs = [
                grpc_module.InferInput(name, list(array.shape), "FP32"),
                grpc_module.InferInput("label", [8, 3], "INT32"),
            ]
            for each, values in zip(inputs, (array, labels)):
                each.set_data_from_numpy(values)
            return (await client.infer(model, inputs, client_timeout=HANGS)).as_numpy(("mean", "image")[number % 2])

        try:
            return await asyncio.gather(*map(one, range(400)))
        finally:
            await client.close()

    for number, found in enumerate(asyncio.run(all_at_once())):
        assert np.array_equal(found, (mean, drawn)[number % 2])


def test_an_encoder_tells_of_itself_and_refuses(autoencoder_server):
    _, told = autoencoder_server.ask("/v2/models/encoder", method="GET")
    assert [each["name"] for each in told["inputs"]] == ["image", "label"]
    assert [each["name"] for each in told["outputs"]] == ["mean", "log_variance"]
    for inputs, named in (
        ([tensor("seed", "INT64", [1])], "no input 'seed'"),
        ([tensor("image", "FP32", [2.0] * 768, [1, 3, 16, 16])], "label is missing"),
        ([tensor("image", "FP32", [2.0] * 768, [1, 3, 16, 16]), tensor("label", "BYTES", ["basil"])], "outside 0 to 1"),
        (
            [tensor("image", "FP32", [0.0] * 768, [1, 3, 16, 16]), tensor("label", "BYTES", ["basil,basli"])],
            "did you mean basil?",
        ),
    ):
        status, answer = autoencoder_server.ask("/v2/models/encoder/infer", {"inputs": inputs})
        assert status == 400 and named in one_sentence(answer["error"])


# what it refuses


def one_sentence(text):
    assert isinstance(text, str) and 0 < len(text) < 1000 and "\n" not in text and "Traceback" not in text, text
    return text


SEED, LABEL = tensor("seed", "INT64", [1]), tensor("label", "INT32", [1])
REFUSED = {  # inputs, and what the sentence names
    "no inputs": ([], "no inputs"),
    "an unknown input": ([tensor("noise", "FP32", [0.0])], "no input 'noise'"),
    "an input twice": ([SEED, SEED], "twice"),
    "an input twice, of two lines": ([tensor("a\nb", "INT64", [1])] * 2, "twice"),
    "latent and seed": ([SEED, LABEL, tensor("latent", "FP32", [0.0] * 100, [1, 100])], "not both"),
    "a latent without label": ([tensor("latent", "FP32", [0.0] * 100, [1, 100])], "label is missing"),
    "a latent of another size": ([LABEL, tensor("latent", "FP32", [0.0] * 99, [1, 99])], "shape [n, 100], not [1, 99]"),
    "a latent of another type": ([LABEL, tensor("latent", "FP64", [0.0] * 100, [1, 100])], "must be FP32"),
    "too few numbers": ([LABEL, tensor("latent", "FP32", [0.0] * 99, [1, 100])], "99 elements"),
    "a negative shape": ([LABEL, tensor("latent", "FP32", [0.0] * 100, [-1, 100])], "latent"),
    "an enormous shape": ([LABEL, tensor("latent", "FP32", [0.0] * 100, [2**62, 100])], "latent has 100 elements"),
    "a negative seed": ([tensor("seed", "INT64", [-1])], "seed must be from 0"),
    "two seeds": ([tensor("seed", "INT64", [1, 2])], "seed must be one whole number"),
    "no images": ([tensor("num", "INT32", [0])], "num must be from 1"),
    "too many images": ([tensor("num", "INT32", [65])], "asks for 65 images; this server takes at most 64"),
    "far too many": ([tensor("num", "INT64", [2**31 - 1])], "asks for 2,147,483,647 images"),
    "no such label": ([tensor("label", "INT32", [10])], "label must be from 0 to 9, not 10"),
    "no such name": ([tensor("label", "BYTES", ["cat"])], "there is no class 'cat'; send one of 0, 1"),
    "labels in a square": ([tensor("label", "INT32", [1, 2, 3, 4], [2, 2])], "shape [n]"),
    "more labels than images": ([tensor("num", "INT32", [1]), tensor("label", "INT32", [1, 2])], "label has 2 rows"),
    "numbers that overflow": ([LABEL, tensor("latent", "FP32", [1e39] * 100, [1, 100])], "not finite"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_over_rest_a_request_that_cannot_be_answered_gets_400_and_a_sentence(what, server, bundle):
    inputs, named = REFUSED[what]
    status, answer = server.ask(INFER, {"inputs": inputs})
    assert (status, list(answer)) == (400, ["error"]) and named in one_sentence(answer["error"])
    assert answers(server, bundle)


CONTENTS = {
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
    "INT32": "int_contents",
    "INT64": "int64_contents",
    "BYTES": "bytes_contents",
}


def add(request, name, datatype, shape, **contents):
    described = request.inputs.add(name=name, datatype=datatype, shape=shape)
    for field, values in contents.items():
        getattr(described.contents, field).extend(values)


def request_of(inputs=(), raw=(), outputs=(), model="generator"):
    """A request over gRPC: inputs as JSON says them, their numbers beside them or raw."""
    request = service_pb2.ModelInferRequest(model_name=model)
    for each in inputs:
        values = [value.encode() if isinstance(value, str) else value for value in each["data"]]
        contents = {} if raw else {CONTENTS[each["datatype"]]: values}
        add(request, each["name"], each["datatype"], each["shape"], **contents)
    request.raw_input_contents.extend(raw)
    for name in outputs:
        request.outputs.add(name=name)
    return request


def refused_over_grpc(stub, request, *codes):
    with pytest.raises(grpc.RpcError) as caught:
        stub.ModelInfer(request, timeout=HANGS)
    assert caught.value.code() in (codes or (grpc.StatusCode.INVALID_ARGUMENT,)), caught.value
    return one_sentence(caught.value.details())


@pytest.mark.parametrize("what", REFUSED)
def test_over_grpc_it_gets_invalid_argument_and_the_same_sentence(what, stub, server, bundle):
    inputs, named = REFUSED[what]
    if what == "numbers that overflow":  # here they can be said
        inputs = [LABEL, tensor("latent", "FP32", [float("inf")] * 100, [1, 100])]
    assert named in refused_over_grpc(stub, request_of(inputs))
    assert answers(server, bundle)


ONE = tensor("seed", "INT64", [1])
BODIES = {  # what is no request at all
    "nothing": b"",
    "no JSON": b"x",
    "half of it": b'{"inputs": [',
    "not a number": b'{"inputs": [NaN]}',
    "no text": b"\xff\xfe\x00",
    "a list": [],
    "a number": 3,
    "an empty one": {},
    "inputs that are none": {"inputs": 3},
    "an input that is none": {"inputs": [3]},
    "an input without anything": {"inputs": [{}]},
    "no shape": {"inputs": [{"name": "seed", "datatype": "INT64", "data": [1]}]},
    "no data": {"inputs": [{"name": "seed", "datatype": "INT64", "shape": [1]}]},
    "an unknown type": {"inputs": [tensor("seed", "INT65", [1])]},
    "a shape of words": {"inputs": [tensor("seed", "INT64", [1], ["one"])]},
    "a shape of halves": {"inputs": [tensor("seed", "INT64", [1], [0.5])]},
    "a shape beyond 64 bits": {"inputs": [tensor("seed", "INT64", [1], [10**30])]},
    "no numbers": {"inputs": [tensor("seed", "INT64", None, [1])]},
    "words for numbers": {"inputs": [tensor("seed", "INT64", ["one"])]},
    "words for latents": {"inputs": [LABEL, tensor("latent", "FP32", ["one"] * 100, [1, 100])]},
    "a dictionary for numbers": {"inputs": [tensor("seed", "INT64", {"one": 1}, [1])]},
    "a seed beyond 64 bits": {"inputs": [tensor("seed", "INT64", [10**30])]},
    "a deep nest": json.dumps({"inputs": [tensor("seed", "INT64", "?", [1])]})
    .encode()
    .replace(b'"?"', b"[" * 900 + b"]" * 900),
    "a deeper nest": b'{"inputs": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "an unknown output": {"inputs": [ONE], "outputs": [{"name": "sound"}]},
    "an output without a name": {"inputs": [ONE], "outputs": [{}]},
    "an output again and again": {"inputs": [ONE], "outputs": [{"name": "latent"}] * 300},
}


@pytest.mark.parametrize("what", BODIES)
def test_what_is_no_request_gets_400_and_a_sentence(what, server, bundle):
    body = BODIES[what]
    status, answer = server.ask(INFER, body if isinstance(body, bytes) else json.dumps(body).encode())
    assert (status, list(answer)) == (400, ["error"])
    one_sentence(answer["error"])
    assert answers(server, bundle)


@pytest.mark.parametrize("version", ["1", ""])
def test_the_models_have_the_version_that_triton_gives_them(version, server, stub, bundle):
    place = f"/v2/models/generator{'/versions/' * bool(version)}{version}"
    expected = seeded(bundle, 3, [4])[1]
    inputs = [tensor("seed", "INT64", [3]), tensor("label", "INT32", [4])]
    status, answer = server.ask(f"{place}/infer", {"inputs": inputs})
    assert (status, answer["model_version"]) == (200, "1")
    assert np.array_equal(np.float32(answer["outputs"][0]["data"]), expected.ravel())
    assert server.ask(f"{place}/ready", method="GET")[0] == 200
    assert server.ask(place, method="GET")[1]["versions"] == ["1"]
    request = request_of(inputs)
    request.model_version = version
    answer = stub.ModelInfer(request, timeout=HANGS)
    assert answer.model_version == "1"
    assert np.array_equal(np.float32(answer.outputs[0].contents.fp32_contents), expected.ravel())
    assert stub.ModelReady(service_pb2.ModelReadyRequest(name="generator", version=version)).ready
    told = stub.ModelMetadata(service_pb2.ModelMetadataRequest(name="generator", version=version))
    assert list(told.versions) == ["1"]


@pytest.mark.parametrize("version", ["2", "0", "01", "-1", "latest", "1.0"])
def test_another_version_is_not_there(version, server, stub):
    for path in ("", "/ready", "/infer"):
        method = "POST" if path == "/infer" else "GET"
        status, answer = server.ask(
            f"/v2/models/generator/versions/{version}{path}", {"inputs": [ONE]} if method == "POST" else None, method
        )
        assert status == 404 and version in one_sentence(answer["error"])
    request = request_of([ONE])
    request.model_version = version
    assert version in refused_over_grpc(stub, request, grpc.StatusCode.NOT_FOUND)
    for call, asked in (
        (stub.ModelReady, service_pb2.ModelReadyRequest(name="generator", version=version)),
        (stub.ModelMetadata, service_pb2.ModelMetadataRequest(name="generator", version=version)),
    ):
        with pytest.raises(grpc.RpcError) as caught:
            call(asked, timeout=HANGS)
        assert caught.value.code() == grpc.StatusCode.NOT_FOUND


def test_the_index_tells_of_the_version(server, stub):
    status, answer = server.ask("/v2/repository/index", {})
    assert [(each["name"], each["version"]) for each in answer] == [("generator", "1")]
    listed = stub.RepositoryIndex(service_pb2.RepositoryIndexRequest()).models
    assert [(each.name, each.version) for each in listed] == [("generator", "1")]


@pytest.mark.parametrize(
    "path, method, status",
    [
        ("/v2/models/absent/infer", "POST", 404),
        ("/v2/models/generator/versions/7/infer", "POST", 404),
        ("/v2/models/generator/infer", "GET", 405),
        ("/absent", "GET", 404),
        ("/../contract.json", "GET", 404),
        ("/generator.mindir", "GET", 404),
    ],
)
def test_what_is_not_there_is_not_served(path, method, status, server):
    found, answer = server.ask(path, None if method == "GET" else {"inputs": [ONE]}, method)
    assert (found, list(answer)) == (status, ["error"]) and one_sentence(answer["error"])


LONG = "long\n" * 2000  # longer than an error over gRPC may be


def test_a_long_name_is_not_repeated_whole(server, stub):
    text = {"inputs": [ONE, tensor("label", "BYTES", [LONG])]}
    for body in (
        {"inputs": [tensor(LONG, "INT64", [1])]},
        {"inputs": [tensor(LONG, "INT64", [1])] * 2},
        text,
        {"inputs": [ONE], "outputs": [{"name": LONG}]},
        {"inputs": [tensor("seed", "INT64", [1], [10**19] * 32)]},
    ):
        status, answer = server.ask(INFER, body)
        assert status == 400 and len(one_sentence(answer["error"])) < 900
    for path, method in (
        (f"/v2/models/{'long' * 200}/infer", "POST"),
        (f"/{'long' * 200}", "GET"),
        (f"/v2/models/generator/versions/{'long' * 200}/ready", "GET"),
    ):
        status, answer = server.ask(path, {"inputs": [ONE]} if method == "POST" else None, method)
        assert status == 404 and len(one_sentence(answer["error"])) < 300
    for request in (
        request_of([tensor(LONG, "INT64", [1])]),
        request_of([tensor(LONG, "INT64", [1])] * 2),
        request_of(text["inputs"]),
        request_of([ONE], outputs=[LONG]),
    ):
        assert len(refused_over_grpc(stub, request)) < 500
    assert len(refused_over_grpc(stub, request_of([ONE], model=LONG), grpc.StatusCode.NOT_FOUND)) < 300
    for call, request in (
        (stub.ModelReady, service_pb2.ModelReadyRequest(name=LONG)),
        (stub.ModelMetadata, service_pb2.ModelMetadataRequest(name=LONG)),
    ):
        with pytest.raises(grpc.RpcError) as caught:
            call(request, timeout=HANGS)
        assert caught.value.code() == grpc.StatusCode.NOT_FOUND and len(one_sentence(caught.value.details())) < 300


@pytest.mark.parametrize("path", ["infer_stream", "generate_stream", "generate"])
def test_the_other_ways_to_ask_refuse_likewise(path, server, bundle):
    """Or are not there."""
    status, answer = server.ask(f"/v2/models/generator/{path}", {"inputs": [tensor("seed", "INT64", [-1])]})
    assert status in (404, 405) or status == 400 and "seed must be" in one_sentence(answer["error"])
    assert answers(server, bundle)


def test_over_grpc_nothing_streams(stub, server, bundle):
    for requests in ([], [request_of([SEED])] * 2):
        with pytest.raises(grpc.RpcError) as caught:
            list(stub.ModelStreamInfer(iter(requests), timeout=HANGS))
        assert caught.value.code() == grpc.StatusCode.UNIMPLEMENTED and "ModelInfer" in caught.value.details()
    assert answers(server, bundle)


@pytest.mark.parametrize("kind", ["http", "grpc"])
def test_nobody_but_its_owner_can_take_the_model_away(kind, server, bundle):
    module = {"http": tritonclient.http, "grpc": tritonclient.grpc}[kind]
    client = module.InferenceServerClient(f"{server.host}:{getattr(server, kind)}")
    try:
        with pytest.raises(InferenceServerException):
            client.unload_model("generator")
    finally:
        client.close()
        if server.ask("/v2/models/generator/ready", method="GET")[0] != 200:
            server.ask("/v2/repository/models/generator/load", {})  # so that the other tests have a model
    assert answers(server, bundle)


@pytest.mark.parametrize(
    "name",
    ["", "one", "☃", "a\nb", "a\r\nSet-Cookie: b", "\0", "x" * 20_000],
    ids=["empty", "short", "snowman", "two lines", "a header", "zero", "long"],
)
def test_the_id_of_a_request_comes_back_as_it_is(name, server, stub):
    status, answer = server.ask(INFER, {"id": name, "inputs": [SEED, LABEL]})
    assert (status, answer["id"]) == (200, name)
    request = request_of([SEED, LABEL])
    request.id = name
    assert stub.ModelInfer(request, timeout=HANGS).id == name


def test_an_id_that_is_no_text_is_refused(server, bundle):
    for name in (b"3", b"[]", b'"\\ud800"'):
        status, answer = server.ask(INFER, b'{"id": ' + name + b', "inputs": ' + json.dumps([SEED]).encode() + b"}")
        assert status == 400 and one_sentence(answer["error"])
    assert answers(server, bundle)


RAW = {  # of one seed, int64: how its bytes may be wrong
    "too few bytes": ([ONE], [b"abc"]),
    "too many bytes": ([ONE], [bytes(24)]),
    "no bytes": ([ONE], [b""]),
    "fewer than inputs": ([ONE, LABEL], [bytes(8)]),
    "more than inputs": ([ONE], [bytes(8), bytes(8)]),
    "a text cut off": ([tensor("label", "BYTES", ["1"])], [b"\5\0\0\0ab"]),
    "a text of 4 GB": ([tensor("label", "BYTES", ["1"])], [b"\xff\xff\xff\xff"]),
    "a length cut off": ([tensor("label", "BYTES", ["1"])], [b"\1\0"]),
    "no text": ([tensor("label", "BYTES", ["1"])], [b"\2\0\0\0\xff\xfe"]),
    "an enormous shape": ([tensor("latent", "FP32", [], [2**62, 100])], [bytes(400)]),
    "a negative shape": ([tensor("latent", "FP32", [], [-1, 100])], [bytes(400)]),
    "half precision": ([tensor("latent", "FP16", [], [1, 100])], [bytes(200)]),
    "truth": ([tensor("seed", "BOOL", [], [1])], [b"\1"]),
    "an unknown type": ([tensor("seed", "INT65", [], [1])], [bytes(8)]),
    "no type": ([tensor("seed", "", [], [1])], [bytes(8)]),
    "not a number": ([LABEL, tensor("latent", "FP32", [], [1, 100])], [bytes(4), b"\0\0\xc0\x7f" * 100]),
}


@pytest.mark.parametrize("what", RAW)
def test_raw_contents_that_do_not_fit_get_invalid_argument_and_a_sentence(what, stub, server, bundle):
    refused_over_grpc(stub, request_of(*RAW[what]))
    assert answers(server, bundle)


def test_over_grpc_too_what_is_not_there_is_refused(stub, server, bundle):
    assert "absent" in refused_over_grpc(stub, request_of([ONE], model="absent"), grpc.StatusCode.NOT_FOUND)
    assert "no output 'sound'" in refused_over_grpc(stub, request_of([ONE], outputs=["sound"]))
    assert "image is asked for twice" in refused_over_grpc(stub, request_of([ONE], outputs=["image"] * 300))
    refused_over_grpc(stub, request_of(model=""), grpc.StatusCode.NOT_FOUND, grpc.StatusCode.INVALID_ARGUMENT)
    mixed = request_of([tensor("seed", "INT64", [1])])
    mixed.inputs[0].contents.fp32_contents.append(1.0)
    del mixed.inputs[0].contents.int64_contents[:]
    assert "seed must be one whole number" in refused_over_grpc(stub, mixed)
    assert answers(server, bundle)


def test_tensors_in_binary_over_http_are_read(server, bundle):
    client = tritonclient.http.InferenceServerClient(f"{server.host}:{server.http}")
    latent = np.random.default_rng(4).standard_normal((3, 100), dtype=np.float32)
    inputs = [
        tritonclient.http.InferInput("latent", [3, 100], "FP32"),
        tritonclient.http.InferInput("label", [3], "BYTES"),
    ]
    inputs[0].set_data_from_numpy(latent, binary_data=True)
    inputs[1].set_data_from_numpy(np.array(["3", "0", "9"], object), binary_data=True)
    image = client.infer("generator", inputs).as_numpy("image")
    assert np.abs(image - bundle.draw((latent, np.int32([3, 0, 9])))).max() < 1e-6
    client.close()
    body = b'{"inputs": [{"name": "seed", "datatype": "INT64", "shape": [1], "parameters": {"binary_data_size": 8}}]}'
    for rest in (b"", b"abc"):
        status, answer = server.ask(INFER, body + rest, Inference_Header_Content_Length=str(len(body)))
        assert status == 400 and one_sentence(answer["error"])
    assert answers(server, bundle)


def binary(datatype, size, name="seed", shape=(1,)):
    """JSON of a request whose tensor lies behind it."""
    return json.dumps(
        {"inputs": [{"name": name, "datatype": datatype, "shape": shape, "parameters": {"binary_data_size": size}}]}
    ).encode()


EIGHT = bytes(8)
BINARY = {  # JSON, and what lies behind it
    "more than it says": (binary("INT64", 8), bytes(16)),
    "no multiple of its type": (binary("INT64", 6), bytes(6)),
    "more than its shape": (binary("INT64", 16), bytes(16)),
    "less than its shape": (binary("INT64", 8, shape=(2,)), EIGHT),
    "a size below zero": (binary("INT64", -1), EIGHT),
    "half a size": (binary("INT64", 0.5), EIGHT),
    "a size of words": (binary("INT64", "8"), EIGHT),
    "a size beyond all": (binary("INT64", 10**30), EIGHT),
    "no type": (binary("INT65", 8), EIGHT),
    "a list as type": (binary([], 8), EIGHT),
    "truth": (binary("BOOL", 1), b"\1"),
    "a text cut off": (binary("BYTES", 5, "label"), b"\2\0\0\0" + b"1"),
    "a length cut off": (binary("BYTES", 2, "label"), b"\1\0"),
    "no text": (binary("BYTES", 6, "label"), b"\2\0\0\0\xff\xfe"),
    "not a number": (binary("FP32", 400, "latent", (1, 100)), b"\0\0\xc0\x7f" * 100),
    "no JSON": (b"x" * 9, EIGHT),
    "a list": (b"[]", b""),
    "a deep nest": (b"[" * 100_000, b""),
    "a nest that can just be read": (b'{"inputs": [], "x": ' + b"[" * 980 + b"]" * 980 + b"}", b""),
    "inputs that are none": (b'{"inputs": [3]}', b""),
    "no inputs": (b"{}", EIGHT),
    "parameters that are none": (binary("INT64", 8).replace(b'{"binary_data_size": 8}', b"3"), EIGHT),
}


@pytest.mark.parametrize("what", BINARY)
def test_binary_tensors_that_do_not_fit_get_400_and_a_sentence(what, server, bundle):
    head, rest = BINARY[what]
    status, answer = server.ask(INFER, head + rest, Inference_Header_Content_Length=str(len(head)))
    assert (status, list(answer)) == (400, ["error"]), answer
    one_sentence(answer["error"])
    assert answers(server, bundle)


@pytest.mark.parametrize("length", ["x", "", "0", "-8", "1.5", "100000", "1" * 5000], ids=lambda length: length[:8])
def test_a_wrong_length_of_the_json_before_binary_tensors_is_refused(length, server, bundle):
    status, answer = server.ask(INFER, binary("INT64", 8) + EIGHT, Inference_Header_Content_Length=length)
    assert status == 400 and one_sentence(answer["error"])
    assert answers(server, bundle)


def test_nobody_can_unload_what_is_served(server, stub, bundle):
    for what in ("unload", "load"):
        status, answer = server.ask(f"/v2/repository/models/generator/{what}", b"")
        assert status == 400 and one_sentence(answer["error"])
    assert answers(server, bundle)


def test_a_body_of_100_megabytes_is_refused(server, stub, bundle):
    status, answer = server.ask(INFER, bytes(100_000_000))
    assert status == 413 and re.search(r"more than [\d,]+ bytes", one_sentence(answer["error"]))
    assert answers(server, bundle)
    request = request_of([tensor("latent", "FP32", [], [250_000, 100])], [bytes(100_000_000)])
    refused_over_grpc(stub, request, grpc.StatusCode.RESOURCE_EXHAUSTED)
    assert answers(server, bundle)


def test_a_small_body_that_unpacks_to_much_is_refused(server, bundle):
    with open(f"/proc/{server.process.pid}/status") as status:
        before = int(re.search(r"VmHWM:\s+(\d+) kB", status.read())[1])
    bomb = gzip.compress(bytes(1 << 30), 1)
    assert len(bomb) < 10_000_000
    for body in (gzip.compress(bytes(100_000_000)), bomb):
        status, answer = server.ask(INFER, body, Content_Encoding="gzip")
        assert status == 413 and re.search(r"more than [\d,]+ bytes", one_sentence(answer["error"]))
    assert server.ask(INFER, zlib.compress(bytes(100_000_000)), Content_Encoding="deflate")[0] == 413
    for body in (b"no gzip", gzip.compress(b"{}")[:-9]):
        assert server.ask(INFER, body, Content_Encoding="gzip")[0] == 400
    with open(f"/proc/{server.process.pid}/status") as status:
        assert int(re.search(r"VmHWM:\s+(\d+) kB", status.read())[1]) < before + 200_000, "it was never unpacked whole"
    assert answers(server, bundle)


def test_the_largest_request_and_answer_pass(server, bundle):
    latents = np.random.default_rng(9).standard_normal((64, 100)).astype(np.float32)
    labels = np.arange(64) % 10
    image, latent = server.draw(
        tensor("latent", "FP32", latents.astype(float)), tensor("label", "INT64", labels), outputs=("image", "latent")
    )
    assert image.shape == (64, 1, 28, 28) and np.array_equal(latent, latents)


# many at once


def test_a_thousand_requests_at_once_are_all_answered_right(server, bundle):
    """By seed and by latent, of one to sixteen images, over REST and gRPC: each as if it were alone."""
    random = np.random.default_rng(0)
    requests = []
    for number in range(1000):
        count = int(random.choice([1, 2, 3, 5, 16], p=[0.7, 0.15, 0.1, 0.04, 0.01]))
        labels = random.integers(0, 10, count).astype(np.int32)
        seed = int(random.integers(0, 50))
        latents = seeded_inputs(bundle.latent, count, seed)[0]
        if number % 3 == 0:
            inputs = {"latent": ("FP32", latents), "label": ("INT32", labels)}
        elif number % 3 == 1:
            inputs = {"seed": ("INT64", np.int64([seed])), "label": ("INT32", labels[:, None])}
        else:
            inputs = {
                "seed": ("INT32", np.int32([seed])),
                "num": ("INT32", np.int32([count])),
                "label": ("BYTES", np.array([str(label) for label in labels], object)),
            }
        requests.append(SimpleNamespace(inputs=inputs, given=(latents, labels), count=count))

    async def ask(client, module, options, request):
        tensors = []
        for name, (datatype, array) in request.inputs.items():
            tensors.append(module.InferInput(name, list(array.shape), datatype))
            tensors[-1].set_data_from_numpy(array, **options)
        answer = await client.infer("generator", tensors, outputs=[module.InferRequestedOutput("image", **options)])
        return answer.as_numpy("image")

    async def all_at_once():
        http = tritonclient.http.aio.InferenceServerClient(
            f"{server.host}:{server.http}", conn_limit=1000, conn_timeout=HANGS
        )
        remote = tritonclient.grpc.aio.InferenceServerClient(f"{server.host}:{server.grpc}")
        ways = [(http, tritonclient.http.aio, {"binary_data": False}), (remote, tritonclient.grpc.aio, {})]
        try:
            return await asyncio.gather(*(ask(*ways[number % 2], request) for number, request in enumerate(requests)))
        finally:
            await http.close()
            await remote.close()

    found = asyncio.run(all_at_once())
    latents, labels = (np.concatenate(parts) for parts in zip(*(request.given for request in requests)))
    expected = np.split(bundle.draw((latents, labels)), np.cumsum([request.count for request in requests])[:-1])
    wrong = [number for number, pair in enumerate(zip(found, expected)) if not np.array_equal(*pair)]
    assert len(found) == 1000 and not wrong, f"{len(wrong)} of 1000, the first of them {wrong[:5]}"


def test_a_wrong_request_takes_no_neighbour_down(server, bundle):
    async def mixed():
        client = tritonclient.grpc.aio.InferenceServerClient(f"{server.host}:{server.grpc}")

        async def one(number):
            seed = tritonclient.grpc.aio.InferInput("seed", [1], "INT64")
            seed.set_data_from_numpy(np.int64([-1 if number % 2 else number]))
            return (await client.infer("generator", [seed])).as_numpy("image")

        try:
            return await asyncio.gather(*map(one, range(60)), return_exceptions=True)
        finally:
            await client.close()

    for number, answer in enumerate(asyncio.run(mixed())):
        if number % 2:
            assert isinstance(answer, InferenceServerException) and "seed must be" in answer.message()
        else:
            assert np.array_equal(answer, seeded(bundle, number, [0])[1])


def test_clients_that_hang_up_do_no_harm(server, bundle):
    body = json.dumps({"inputs": [tensor("seed", "INT64", [1]), tensor("num", "INT32", [64])]}).encode()
    head = (
        f"POST {INFER} HTTP/1.1\r\nHost: {server.host}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    ).encode()
    for sent in (head, head + body[:20], head + body):
        for _ in range(5):
            with socket.create_connection((server.host, server.http)) as connection:
                connection.sendall(sent)
    assert answers(server, bundle)
