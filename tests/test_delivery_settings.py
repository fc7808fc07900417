"""What lies in a bundle beside contract and models is the operator's: changed, removed, added to; what it may say."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import urllib.request

import numpy as np
import pytest
from helpers.bundles import write_autoencoder
from helpers.commands import HANGS, ROOT, SMALL, environment, run, write_mnist
from helpers.servers import INFER, Server, end, free_ports, serving, tensor, wait_until

from ms_gan import cli
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
    assert (
        cli.main(
            ["infer", str(copy), "--num", "3", "--seed", "7", "--label", "basil", "--output", str(tmp_path / "x.npy")]
        )
        == 0
    )
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
        ({"max_batch": "abc"}, "parameters.extra.max_batch must be a whole number from 1, not 'abc'"),
        ({"max_batch": 0}, "max_batch must be a whole number from 1, not 0"),
        ({"max_batch": -1}, "max_batch"),
        ({"max_batch": 1.5}, "max_batch"),
        ({"max_batch": True}, "max_batch"),
        ({"max_batch": "64"}, "max_batch"),
        ({"max_batch": None}, "max_batch"),
        ({"max_batch": [64]}, "max_batch"),
        ({"format": "torch"}, "parameters.extra.format must be mindir or onnx, not 'torch'"),
        ({"format": 3}, "format"),
        ({"format": ["onnx"]}, "format"),
        ({"format": "ONNX"}, "format"),
        ({"device_target": "TPU"}, "device_target must be one of auto, Ascend, GPU, CPU, not 'TPU'"),
        ({"device_target": {}}, "device_target"),
        ({"device_id": -1}, "device_id must be a whole number from 0, not -1"),
        ({"device_id": "0"}, "device_id"),
        ({"batch": 3}, "no parameters.extra 'batch'; it takes format, max_batch, device_target, device_id"),
        ({"bundle": "elsewhere"}, "no parameters.extra 'bundle'"),
        ({"": 1}, "no parameters.extra ''"),
        ({"x" * 999: 1}, "no parameters.extra 'xxx"),
        ({"max_batch": "x\n" * 999}, "max_batch"),
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
    assert model_settings({}, read_contract(ROOT / "ckpt" / "mlp"), "").format == "mindir"


def test_settings_hold_only_what_has_to_beat_the_environment(bundle):
    assert json.loads((bundle / "settings.json").read_text()) == {"parallel_workers": 0}
    settings = json.loads((bundle / "encoder" / "model-settings.json").read_text())
    assert settings["name"] == "encoder" and settings["parameters"]["version"] == "1"
    assert model_settings(settings["parameters"]["extra"], read_contract(bundle), "").max_batch == 64


def test_the_readme_says_how_to_listen_on_this_machine_alone(bundle):
    text = (bundle / "README.md").read_text(encoding="utf-8")
    before, line = re.search(r"((?:^#.*\n)+)^(.*mlserver start \.)$", text, re.M).groups()
    assert line == "MLSERVER_HOST=127.0.0.1 mlserver start ."
    assert "this machine alone" in before and "without encryption" in before


# MLServer's own command


@contextlib.contextmanager
def started(folder, log, **variables):
    """Start MLServer's own command, with these variables; it has to be ended by whoever started it."""
    with open(log, "wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "mlserver.cli.main", "start", str(folder)],
            stdout=output,
            stderr=subprocess.STDOUT,
            env=environment(**variables),
            start_new_session=True,
        )
    try:
        yield process
    finally:
        if process.poll() is None:
            end(process, signal.SIGKILL, group=True)


def command(folder, log, **variables):
    """MLServer's own command, run to its end: its log."""
    http, remote, metrics = free_ports(3)
    ports = {"MLSERVER_HTTP_PORT": str(http), "MLSERVER_GRPC_PORT": str(remote), "MLSERVER_METRICS_PORT": str(metrics)}
    with started(folder, log, **{**ports, "MLSERVER_HOST": "127.0.0.1", **variables}) as process:
        process.wait(HANGS)
    return log.read_text()


def listens(host, port):
    with socket.socket() as probe:
        return probe.connect_ex((host, port)) == 0


def answers(server):
    (image,) = server.draw(tensor("seed", "INT64", [1]), tensor("label", "BYTES", ["basil"]))
    return image.shape == (1, 3, 16, 16)


def loaded(log):
    return lambda: log.read_text().count("Loaded model") == 2


def test_the_environment_says_where_mlserver_listens(bundle, tmp_path):
    http, remote, metrics = free_ports(3)
    log = tmp_path / "log"
    with started(
        bundle,
        log,
        MLSERVER_HOST="127.0.0.2",
        MLSERVER_HTTP_PORT=str(http),
        MLSERVER_GRPC_PORT=str(remote),
        MLSERVER_METRICS_PORT=str(metrics),
    ) as process:
        wait_until(loaded(log), process, log)
        for port in (http, remote, metrics):
            assert listens("127.0.0.2", port) and not listens("127.0.0.1", port), log.read_text()
        server = Server(process, "127.0.0.2", http, remote, log)
        assert answers(server)
        assert server.ask("/v2/models/encoder/versions/1/ready", method="GET")[0] == 200
        assert server.ask("/v2/models/generator", method="GET")[1]["versions"] == ["1"]
        with urllib.request.urlopen(f"http://127.0.0.2:{metrics}/metrics", timeout=HANGS) as page:
            assert b"model_infer_request_success" in page.read()


def test_edited_settings_are_those_that_mlserver_takes(copy, tmp_path):
    http, remote, wrong = free_ports(3)
    edit(
        copy / "settings.json",
        lambda settings: settings.update(
            host="127.0.0.3", http_port=http, grpc_port=remote, metrics_endpoint=None, debug=False
        ),
    )
    edit(
        copy / "generator" / "model-settings.json", lambda settings: settings["parameters"]["extra"].update(max_batch=2)
    )
    log = tmp_path / "log"
    with started(copy, log, MLSERVER_HTTP_PORT=str(wrong)) as process:
        wait_until(loaded(log), process, log)
        server = Server(process, "127.0.0.3", http, remote, log)
        assert answers(server) and not listens("127.0.0.1", http) and not listens("127.0.0.3", wrong)
        status, answer = server.ask(INFER, {"inputs": [tensor("num", "INT32", [3])]})
        assert (status, answer["error"]) == (400, "the request asks for 3 images; this server takes at most 2 at once")


def test_a_bundle_that_is_mounted_is_found_by_its_own_path(bundle, tmp_path):
    """As KServe says where models are, for all of them."""
    http, remote, metrics = free_ports(3)
    log = tmp_path / "log"
    with started(
        bundle,
        log,
        MLSERVER_MODEL_URI=str(bundle),
        MLSERVER_HOST="127.0.0.1",
        MLSERVER_HTTP_PORT=str(http),
        MLSERVER_GRPC_PORT=str(remote),
        MLSERVER_METRICS_PORT=str(metrics),
    ) as process:
        wait_until(loaded(log), process, log)
        assert answers(Server(process, "127.0.0.1", http, remote, log))


def damage_contract(folder):
    with open(folder / "contract.json", "ab") as file:
        file.write(b" ")


def unreadable(folder):
    (folder / "contract.json").unlink()
    (folder / "contract.json").mkdir()


@pytest.mark.parametrize(
    "spoil, told",
    [
        (
            lambda folder: [
                edit(
                    folder / model / "model-settings.json",
                    lambda settings: settings["parameters"].update(extra={"max_batch": "abc"}),
                )
                for model in ("generator", "encoder")
            ],
            "max_batch must be a whole number from 1, not 'abc'",
        ),
        (
            lambda folder: edit(
                folder / "encoder" / "model-settings.json",
                lambda settings: settings["parameters"].update(extra={"speed": 3}),
            ),
            "no parameters.extra 'speed'",
        ),
        (damage_contract, "contract.json: damaged or changed"),
        (unreadable, "not a bundle"),
        (
            lambda folder: edit(
                folder / "generator" / "model-settings.json",
                lambda settings: settings["parameters"].update(extra={"format": "mindir"}),
            ),
            "protobuf",
        ),
    ],
)
def test_the_reason_for_which_mlserver_does_not_start_is_the_last_thing_it_says(spoil, told, copy, tmp_path):
    spoil(copy)
    said = command(copy, tmp_path / "log", PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION="upb")
    lines = said.splitlines()
    assert lines[-1].startswith("error: ") and told in lines[-1]
    assert "AttributeError" not in said, said  # (MLServer may add a stack of its own end, which comes before)
    assert "failed to load during startup! " in said and sum(line.startswith("error: ") for line in lines) <= 2


def test_a_released_bundle_is_served_as_it_is(tmp_path):
    """Its models' settings hold no version."""
    folder = shutil.copytree(ROOT / "ckpt" / "mlp", tmp_path / "My Drive" / "mlp")
    http, remote, metrics = free_ports(3)
    log = tmp_path / "log"
    with started(
        folder,
        log,
        MLSERVER_HTTP_PORT=str(http),
        MLSERVER_GRPC_PORT=str(remote),
        MLSERVER_METRICS_PORT=str(metrics),
        MLSERVER_HOST="127.0.0.2",
        PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION="python",
    ) as process:
        wait_until(lambda: "Loaded model" in log.read_text(), process, log)
        server = Server(process, "127.0.0.2", http, remote, log)
        assert server.draw(tensor("seed", "INT64", [1]))[0].shape == (1, 1, 28, 28)
        assert server.ask("/v2/models/generator/versions/1/ready", method="GET")[0] == 200
        latent = tensor("latent", "FP32", [1e38] * 100, [1, 100])
        status, answer = server.ask(INFER, {"inputs": [latent]})
        assert status == 400 and "not finite" in answer["error"], "its graph would draw black for it"
        assert server.ask(INFER, {"inputs": [tensor("latent", "FP32", [1e20] * 100, [1, 100])]})[0] == 200


# exported again


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained")
    data = write_mnist(folder / "data", 80)
    run("train", "--data-path", data, "--epochs", 1, "--batch-size", 8, *SMALL, "--output-dir", folder)
    run("export", folder / "mlp" / "1", "--format", "onnx", "--output-dir", folder / "bundle")
    return folder


OF_MLP = [name for name in SERVER_FILES if "encoder" not in name]


@pytest.mark.parametrize("name", OF_MLP)
@pytest.mark.parametrize("what", ["edited", "removed"])
def test_a_bundle_whose_server_files_are_changed_is_replaced_when_asked(what, name, trained, tmp_path, monkeypatch):
    from ms_gan.delivery import export

    folder = shutil.copytree(trained / "bundle", tmp_path / "bundle")
    if what == "edited":
        (folder / name).write_text("mine")
    else:
        (folder / name).unlink()
    monkeypatch.setattr(export, "PARITY_BATCHES", (1,))
    assert (
        cli.main(["export", str(trained / "mlp" / "1"), "--format", "onnx", "--output-dir", str(folder), "--overwrite"])
        == 0
    )
    files = {str(path.relative_to(folder)): path for path in folder.rglob("*")}
    assert set(files) == {str(path.relative_to(trained / "bundle")) for path in (trained / "bundle").rglob("*")}
    assert files[name].read_bytes() == (trained / "bundle" / name).read_bytes() or name == "README.md"
    assert os.listdir(tmp_path) == ["bundle"]


@pytest.mark.parametrize("stranger", ["notes.txt", ".hidden", "generator/warmup/request", "generator/2/generator.onnx"])
def test_a_strangers_file_is_not_removed(stranger, trained, tmp_path, capsys):
    folder = shutil.copytree(trained / "bundle", tmp_path / "bundle")
    (folder / stranger).parent.mkdir(parents=True, exist_ok=True)
    (folder / stranger).write_text("mine")
    before = sorted(tmp_path.rglob("*"))
    assert cli.main(["export", str(trained / "mlp" / "1"), "--output-dir", str(folder), "--overwrite"]) == 2
    assert f"holds {stranger}, which this command did not write" in capsys.readouterr().err
    assert sorted(tmp_path.rglob("*")) == before and (folder / stranger).read_text() == "mine"
