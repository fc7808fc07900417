"""What lies in a bundle beside contract and models is the operator's: changed, removed, added to; what it may say."""

from __future__ import annotations

import json
import os
import shutil
import socket
import urllib.request

import numpy as np
import pytest
from helpers.bundles import write_autoencoder
from helpers.commands import HANGS, ROOT, SMALL, here, python, run, write_mnist
from helpers.servers import INFER, MLSERVER, free_ports, mlserver, mlserver_variables, serving, started, tensor

from ms_gan.delivery.bundle import Bundle
from ms_gan.delivery.contract import read_contract
from ms_gan.delivery.server_settings import ModelSettings, model_settings
from ms_gan.errors import UserError
from ms_gan.sampling import seeded_inputs

pytestmark = pytest.mark.usefixtures("device")


@pytest.fixture(scope="module")
def bundle(device, tmp_path_factory):
    """A bundle with an encoder, as ONNX."""
    return write_autoencoder(tmp_path_factory.mktemp("settings") / "My Drive" / "bundle", formats=("onnx",))


@pytest.fixture
def copy(bundle, tmp_path):
    return shutil.copytree(bundle, tmp_path / "My Drive" / "copy")


def edit(file, change):
    content = json.loads(file.read_text())
    change(content)
    file.write_text(json.dumps(content))


def set_extra(folder, model, **extra):
    edit(folder / model / "model-settings.json", lambda settings: settings["parameters"]["extra"].update(extra))


SERVER_FILES = (
    "settings.json",
    "README.md",
    "samples.png",
    "generator/model-settings.json",
    "generator/config.pbtxt",
    "encoder/model-settings.json",
    "encoder/config.pbtxt",
)


def edit_all(folder):
    for name in SERVER_FILES:
        with open(folder / name, "ab") as file:
            file.write(b"\n")


def remove_all(folder):
    for name in SERVER_FILES:
        (folder / name).unlink()


def add_all(folder):
    shutil.copytree(folder / "generator" / "1", folder / "generator" / "2")
    (folder / "generator" / "warmup").mkdir()
    for name in ("notes.txt", ".hidden", "generator/warmup/request", "generator/.hidden"):
        (folder / name).write_text("mine")


CHANGES = {"edited": edit_all, "removed": remove_all, "added to": add_all}


@pytest.mark.parametrize("what", CHANGES)
def test_a_bundle_whose_server_files_are_changed_draws_and_is_served(what, copy, bundle, tmp_path):
    CHANGES[what](copy)
    inputs = seeded_inputs(Bundle(bundle).latent, 3, 7, np.int32([[1, 0, 0]] * 3))
    expected = Bundle(bundle).draw(inputs)
    assert np.array_equal(Bundle(copy).draw(inputs), expected)
    wanted = ("--num", 3, "--seed", 7, "--label", "basil", "--output", tmp_path / "x.npy")
    here("infer", copy, *wanted)
    assert np.array_equal(np.load(tmp_path / "x.npy"), expected)
    with serving(copy, tmp_path / "log") as server:
        (image,) = server.draw(
            tensor("seed", "INT64", [7]), tensor("num", "INT32", [3]), tensor("label", "BYTES", ["basil"])
        )
        assert np.array_equal(image, expected)


# what may be in the settings of a model


@pytest.mark.parametrize(
    "extra, told",
    [
        ({"max_batch": "abc"}, "parameters.extra.max_batch must be a whole number of at least 1, not 'abc'"),
        ({"max_batch": 0}, "max_batch must be a whole number of at least 1, not 0"),
        ({"max_batch": True}, "max_batch"),
        ({"max_batch": [64]}, "max_batch"),
        ({"max_batch": "x\n" * 999}, "max_batch"),
        ({"format": "torch"}, "parameters.extra.format must be one of mindir, onnx, not 'torch'"),
        ({"format": ["onnx"]}, "format"),
        ({"device_target": "TPU"}, "device_target must be one of auto, Ascend, GPU, CPU, not 'TPU'"),
        ({"device_id": -1}, "device_id must be a whole number of at least 0, not -1"),
        ({"batch": 3}, "no parameters.extra 'batch'; it takes format, max_batch, device_target, device_id"),
        ({"x" * 999: 1}, "no parameters.extra 'xxx"),
    ],
)
def test_a_wrong_setting_is_refused_in_a_sentence(extra, told, bundle):
    with pytest.raises(UserError) as caught:
        model_settings({"max_batch": 8, **extra}, read_contract(bundle), "model-settings.json")
    said = str(caught.value)
    assert said.startswith("model-settings.json: ") and told in said and "\n" not in said and len(said) < 400


def test_what_is_not_said_is_what_the_bundle_holds(bundle):
    contract = read_contract(bundle)
    assert model_settings({}, contract, "") == ModelSettings("onnx", 64, "auto", 0)
    assert model_settings({"max_batch": 8, "device_id": 3}, contract, "").max_batch == 8
    assert model_settings({}, read_contract(ROOT / "ckpt" / "rpgan_residual"), "").format == "mindir"


def test_settings_hold_only_what_has_to_beat_the_environment(bundle):
    assert json.loads((bundle / "settings.json").read_text()) == {"parallel_workers": 0}
    settings = json.loads((bundle / "encoder" / "model-settings.json").read_text())
    assert settings["name"] == "encoder" and settings["parameters"]["version"] == "1"
    assert model_settings(settings["parameters"]["extra"], read_contract(bundle), "").max_batch == 64


# MLServer's own command


def answers(server):
    (image,) = server.draw(tensor("seed", "INT64", [1]), tensor("label", "BYTES", ["basil"]))
    return image.shape == (1, 3, 16, 16)


def listens(host, port):
    with socket.socket() as probe:
        return probe.connect_ex((host, port)) == 0


def test_the_environment_says_where_mlserver_listens(bundle, tmp_path):
    (metrics,) = free_ports(1)
    with mlserver(bundle, tmp_path / "log", host="127.0.0.2", MLSERVER_METRICS_PORT=str(metrics)) as server:
        for port in (server.http, server.grpc, metrics):
            assert listens("127.0.0.2", port) and not listens("127.0.0.1", port), server.log.read_text()
        assert answers(server)
        assert server.ask("/v2/models/encoder/versions/1/ready", method="GET")[0] == 200
        assert server.ask("/v2/models/generator", method="GET")[1]["versions"] == ["1"]
        with urllib.request.urlopen(f"http://127.0.0.2:{metrics}/metrics", timeout=HANGS) as page:
            assert b"model_infer_request_success" in page.read()


def test_edited_settings_are_those_that_mlserver_takes(copy, tmp_path):
    http, remote = free_ports(2)
    places = {"host": "127.0.0.3", "http_port": http, "grpc_port": remote, "metrics_endpoint": None, "debug": False}
    edit(copy / "settings.json", lambda settings: settings.update(places))
    set_extra(copy, "generator", max_batch=2)
    with mlserver(copy, tmp_path / "log") as other:
        server = other._replace(host="127.0.0.3", http=http, grpc=remote)
        assert answers(server) and not listens("127.0.0.1", http) and not listens("127.0.0.3", other.http)
        status, answer = server.ask(INFER, {"inputs": [tensor("num", "INT32", [3])]})
        assert (status, answer["error"]) == (400, "the request asks for 3 images; this server takes at most 2 at once")


def test_a_bundle_that_is_mounted_is_found_by_its_own_path(bundle, tmp_path):
    """As KServe says where models are, for all of them."""
    with mlserver(bundle, tmp_path / "log", MLSERVER_MODEL_URI=str(bundle)) as server:
        assert answers(server)


def damage_contract(folder):
    with open(folder / "contract.json", "ab") as file:
        file.write(b" ")


@pytest.mark.parametrize(
    "spoil, told",
    [
        (
            lambda folder: set_extra(folder, "generator", max_batch="abc"),
            "max_batch must be a whole number of at least 1",
        ),
        (lambda folder: set_extra(folder, "encoder", speed=3), "no parameters.extra 'speed'"),
        (damage_contract, "contract.json: damaged or changed"),
        (lambda folder: (folder / "contract.json").unlink(), "not a bundle"),
        (lambda folder: set_extra(folder, "generator", format="mindir"), "protobuf"),
    ],
    ids=["setting", "name", "damaged", "gone", "protobuf"],
)
def test_the_reason_for_which_mlserver_does_not_start_is_the_last_thing_it_says(spoil, told, copy, tmp_path):
    spoil(copy)
    variables = {**mlserver_variables(), "PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION": "upb"}
    with started([*MLSERVER, copy], tmp_path / "log", **variables) as process:
        process.wait(HANGS)
    lines = (tmp_path / "log").read_text().splitlines()
    assert lines[-1].startswith("error: ") and told in lines[-1]
    assert sum(line.startswith("error: ") for line in lines) <= 2


LOADED_LATER = """
import asyncio, json, sys
from pathlib import Path
from mlserver import ModelSettings
from ms_gan.delivery.serving import GeneratorRuntime

place = Path(sys.argv[1]) / "generator"
settings = json.loads((place / "model-settings.json").read_text())
settings["parameters"]["uri"] = str(place)
for speed in (3, None):
    settings["parameters"]["extra"].update({"speed": speed})
    if speed is None:
        del settings["parameters"]["extra"]["speed"]
    try:
        print(asyncio.run(GeneratorRuntime(ModelSettings(**settings)).load()))
    except Exception as error:
        print(type(error).__name__)
"""


def test_a_model_that_could_be_loaded_later_is_not_reported_at_the_end(bundle):
    done = python("-c", LOADED_LATER, bundle)
    assert done.stdout.splitlines() == ["UserError", "True"] and "error:" not in done.stderr


def test_a_released_bundle_is_served_as_it_is(tmp_path):
    """Also where its models' settings hold no version, as those of 0.1.0."""
    folder = shutil.copytree(ROOT / "ckpt" / "rpgan_residual_mnist", tmp_path / "My Drive" / "digits")
    label, settings = tensor("label", "INT32", [3]), folder / "generator" / "model-settings.json"
    content = json.loads(settings.read_text())
    del content["parameters"]["version"]
    settings.write_text(json.dumps(content))
    variables = {"PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION": "python"}
    with mlserver(folder, tmp_path / "log", models=1, host="127.0.0.2", **variables) as server:
        assert server.draw(tensor("seed", "INT64", [1]), label)[0].shape == (1, 1, 28, 28)
        assert server.ask("/v2/models/generator/versions/1/ready", method="GET")[0] == 200
        for size, expected in ((1e38, 400), (-1e38, 400), (1e20, 200)):
            status, answer = server.ask(INFER, {"inputs": [tensor("latent", "FP32", [size] * 64, [1, 64]), label]})
            assert status == expected, answer
            assert status == 200 or "not finite" in answer["error"]


# exported again


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained")
    data = write_mnist(folder / "data", 80)
    run("train", "--data-path", data, "--epochs", 1, "--batch-size", 8, *SMALL, "--output-dir", folder)
    run("export", folder / "mlp" / "1", "--format", "onnx", "--output-dir", folder / "bundle")
    return folder


OF_MLP = [name for name in SERVER_FILES if "encoder" not in name]


@pytest.mark.parametrize("what", ["edited", "removed"])
def test_a_bundle_whose_server_files_are_changed_is_replaced_when_asked(what, trained, tmp_path, monkeypatch):
    from ms_gan.delivery import export

    folder = shutil.copytree(trained / "bundle", tmp_path / "bundle")
    for name in OF_MLP:
        (folder / name).write_text("mine") if what == "edited" else (folder / name).unlink()
    monkeypatch.setattr(export, "PARITY_BATCHES", (1,))
    here("export", trained / "mlp" / "1", "--format", "onnx", "--output-dir", folder, "--overwrite")
    files = {str(path.relative_to(folder)): path for path in folder.rglob("*")}
    assert set(files) == {str(path.relative_to(trained / "bundle")) for path in (trained / "bundle").rglob("*")}
    for name in OF_MLP:
        found = files[name].read_bytes()
        assert found == (trained / "bundle" / name).read_bytes() or name == "README.md" and found != b"mine"
    assert os.listdir(tmp_path) == ["bundle"]
