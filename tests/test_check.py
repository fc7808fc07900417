"""`check`: a bundle against its golden images, here and on servers; what is wrong, and what is not installed."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import socket
import sys
import types
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from helpers.commands import here, refused_here, run
from helpers.servers import free_ports, mlserver, serving

from ms_gan.cli import check
from ms_gan.delivery import elsewhere
from ms_gan.delivery.elsewhere import LITE_PYTHON
from ms_gan.runtime import python

pytestmark = pytest.mark.usefixtures("device")
LITE = os.environ.get(LITE_PYTHON)
LINE = r"right: (\w+) in (.+): differs by (\S+), 1e-05 is allowed"


@pytest.fixture(autouse=True)
def without_lite(monkeypatch):
    monkeypatch.delenv(LITE_PYTHON, raising=False)


def spoiled(folder, place, by=0.01):
    """A copy of a bundle, with one number changed of what the golden file says is due."""
    shutil.copytree(folder, place)
    document = json.loads((place / "golden.json").read_text())
    document["generator"]["outputs"]["image"]["data"][5] += by
    (place / "golden.json").write_text(json.dumps(document))
    return place


def lines(capsys, *arguments, status=0):
    capsys.readouterr()
    here("check", *arguments, status=status)
    return capsys.readouterr().out.splitlines()


def test_each_runtime_that_is_here_is_asked_and_the_others_are_named(autoencoder_folder, capsys):
    found = lines(capsys, autoencoder_folder)
    told = [re.fullmatch(LINE, line).groups() for line in found if line.startswith("right")]
    assert {(model, runtime.split()[0]) for model, runtime, _ in told} >= {
        (model, runtime) for model in ("generator", "encoder") for runtime in ("mindspore", "onnxruntime")
    }
    assert all(float(difference) == 0 for _, runtime, difference in told if runtime.startswith("mindspore"))
    absent = [name for name in check.RUNTIMES if not elsewhere.RUNTIMES[name].installed]
    assert "lite" in absent
    for name in absent:
        assert f"{name}: not installed here; {elsewhere.RUNTIMES[name].how_to_install}" in found


@pytest.mark.parametrize("name", ["onnxruntime", "mindspore"])
def test_wrong_images_are_found_and_end_it_with_status_1(name, conditional_folder, tmp_path, capsys):
    folder = spoiled(conditional_folder, tmp_path / "bundle")
    (line,) = lines(capsys, folder, "--with", name, status=1)
    assert re.fullmatch(rf"wrong: generator in {name} .*: differs by 0\.01, 1e-05 is allowed", line)
    for by in (float("nan"), float("inf")):
        shutil.rmtree(folder)
        assert lines(capsys, spoiled(conditional_folder, folder, by), "--with", name, status=1)[0].startswith("wrong")


def test_outputs_of_another_shape_are_wrong(conditional_folder, tmp_path, capsys):
    shutil.copytree(conditional_folder, tmp_path / "bundle")
    document = json.loads((tmp_path / "bundle" / "golden.json").read_text())
    image = document["generator"]["outputs"]["image"]
    image["shape"] = image["shape"][:1] + [784]
    (tmp_path / "bundle" / "golden.json").write_text(json.dumps(document))
    assert "differs by inf" in lines(capsys, tmp_path / "bundle", "--with", "onnxruntime", status=1)[0]


def test_a_server_is_asked_over_the_protocol(autoencoder_folder, tmp_path, capsys):
    with serving(autoencoder_folder, tmp_path / "log", "--format", "onnx") as server:
        found = lines(capsys, autoencoder_folder, "--with", server.url + "/")
        told = [re.fullmatch(LINE, line).groups() for line in found]
        assert [(model, place) for model, place, _ in told] == [
            (model, f"the server at {server.url}/") for model in ("generator", "encoder")
        ]
        assert lines(capsys, spoiled(autoencoder_folder, tmp_path / "other"), "--with", server.url, status=1)


@pytest.mark.slow
def test_mlservers_own_command_is_a_server_as_well(conditional_folder, tmp_path, capsys):
    variables = {"PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION": "python"}
    with mlserver(conditional_folder, tmp_path / "log", models=1, **variables) as server:
        assert lines(capsys, conditional_folder, "--with", server.url)[0].startswith("right")


def test_a_server_that_refuses_or_is_another_or_none_is_told_of(
    conditional_folder, autoencoder_folder, tmp_path, capsys
):
    (port,) = free_ports(1)
    line = refused_here(capsys, "check", conditional_folder, "--with", f"http://127.0.0.1:{port}")
    assert "does not answer (" in line and f":{port}/v2/models/generator/infer" in line
    with serving(conditional_folder, tmp_path / "log", "--format", "onnx", "--max-batch", 1) as server:
        assert "status 400" in refused_here(capsys, "check", conditional_folder, "--with", server.url)
        line = refused_here(capsys, "check", conditional_folder, "--with", server.url + "/nowhere")
        assert "status 404" in line


def test_a_runtime_that_is_not_here_is_refused_with_how_to_get_it(conditional_folder, capsys, monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "openvino" else find(name))
    line = refused_here(capsys, "check", conditional_folder, "--with", "openvino")
    assert line == f"error: openvino is not installed here; {python()} -m pip install openvino\n"


def test_a_runtime_that_fails_keeps_no_other_from_being_tried(conditional_folder, capsys, monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "openvino" else find(name))
    here("check", conditional_folder, "--with", "openvino", "--with", "onnxruntime", status=2)
    printed, line = capsys.readouterr()
    assert "openvino: openvino is not installed here; " in printed and "right: generator in onnxruntime " in printed
    assert line.startswith("error: openvino is not installed here; ")


def test_bundles_without_a_golden_pair_or_the_file_are_refused(conditional_folder, tmp_path, capsys):
    shutil.copytree(conditional_folder, tmp_path / "bundle")
    (tmp_path / "bundle" / "golden.json").write_text("{")
    assert "golden.json: damaged" in refused_here(capsys, "check", tmp_path / "bundle")
    (tmp_path / "bundle" / "golden.json").unlink()
    assert "has no golden.json" in refused_here(capsys, "check", tmp_path / "bundle")
    assert "not a bundle" in refused_here(capsys, "check", tmp_path)
    shutil.copy(conditional_folder / "golden.json", tmp_path / "bundle")
    contract = json.loads((tmp_path / "bundle" / "contract.json").read_text())
    del contract["models"]["generator"]["files"]["onnx"]
    (tmp_path / "bundle" / "contract.json").write_text(json.dumps(contract))
    assert "holds no onnx" in refused_here(capsys, "check", tmp_path / "bundle", "--with", "onnxruntime")
    found = lines(capsys, tmp_path / "bundle")
    assert "onnxruntime: the bundle holds no onnx" in found and sum(line.startswith("right") for line in found) == 1


class Rounding:
    """What OpenVINO does: numbers of 16 bits unless it is told float32."""

    def __init__(self, session, hint):
        self.session, self.hint = session, hint

    def __call__(self, inputs):
        (image,) = self.session.run(["image"], inputs)
        return {"image": image if self.hint else image.astype(np.float16).astype(np.float32) + 0.001}


def test_openvino_that_rounds_is_told_to_compute_in_float32(conditional_folder, capsys, monkeypatch):
    """With a stand-in of the four calls that are used; OpenVINO itself is not in the requirements."""
    import onnxruntime

    class Core:
        def read_model(self, path):
            return onnxruntime.InferenceSession(path)

        def compile_model(self, session, device, config):
            assert device == "CPU"
            return Rounding(session, config.get("EXECUTION_MODE_HINT") == "ACCURACY")

    module = types.ModuleType("openvino")
    module.Core, module.__spec__ = Core, importlib.util.spec_from_loader("openvino", None)
    monkeypatch.setitem(sys.modules, "openvino", module)
    monkeypatch.setattr(elsewhere, "version", lambda _: "0")
    (line,) = lines(capsys, conditional_folder, "--with", "openvino", status=1)
    assert line.startswith("wrong: generator in openvino 0, as it is: differs by 0.001")
    assert re.search(r"; with EXECUTION_MODE_HINT=ACCURACY it differs by \S*e-\d\d$", line)


def test_what_a_runtime_says_is_passed_on_in_a_line(conditional_folder, capsys, monkeypatch):
    monkeypatch.setenv(LITE_PYTHON, sys.executable)  # which has no mindspore_lite
    line = refused_here(capsys, "check", conditional_folder, "--with", "lite")
    assert "lite does not run " in line and "No module named 'mindspore_lite'" in line


def test_a_runtime_that_dies_is_told_of(conditional_folder, tmp_path, capsys, monkeypatch):
    (tmp_path / "python").write_text("#!/bin/sh\nkill -SEGV $$\n")
    (tmp_path / "python").chmod(0o755)
    monkeypatch.setenv(LITE_PYTHON, str(tmp_path / "python"))
    line = refused_here(capsys, "check", conditional_folder, "--with", "lite")
    assert line.endswith("generator.onnx: it died of SIGSEGV\n")


@pytest.mark.slow
@pytest.mark.skipif(not LITE, reason=f"{LITE_PYTHON} names no Python with mindspore-lite 2.0.0")
def test_mindspore_lite_draws_the_golden_images(autoencoder_folder):
    done = run("check", ".", "--with", "lite", cwd=autoencoder_folder, **{LITE_PYTHON: LITE})
    assert done.stdout.count("right: ") == 2


def test_where_nothing_can_run_it_that_is_no_success(conditional_folder, capsys, monkeypatch):
    find = importlib.util.find_spec
    absent = {known.package for known in elsewhere.RUNTIMES.values()}
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name in absent else find(name))
    line = refused_here(capsys, "check", conditional_folder)
    assert "nothing that is installed here runs it; name what is to, or a server, with --with" in line


@pytest.mark.parametrize("content", ["{}", "[]", '{"generator": {}}', '{"generator": {"inputs": {}, "outputs": {}}}'])
def test_half_a_golden_file_is_damaged(content, conditional_folder, tmp_path, capsys):
    shutil.copytree(conditional_folder, tmp_path / "bundle")
    (tmp_path / "bundle" / "golden.json").write_text(content)
    assert "golden.json: damaged; use another copy" in refused_here(capsys, "check", tmp_path / "bundle")


def test_a_golden_file_in_another_order_is_the_same(conditional_folder, tmp_path, capsys):
    shutil.copytree(conditional_folder, tmp_path / "bundle")
    document = json.loads((conditional_folder / "golden.json").read_text())
    inputs = document["generator"]["inputs"]
    document["generator"]["inputs"] = dict(reversed(inputs.items()))
    assert list(document["generator"]["inputs"]) != list(inputs)
    (tmp_path / "bundle" / "golden.json").write_text(json.dumps(document))
    assert lines(capsys, tmp_path / "bundle", "--with", "onnxruntime")[0].startswith("right")


def test_what_speaks_no_http_is_told_of(conditional_folder, capsys):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()

        def answer():
            connection, _ = other.accept()
            with connection:
                connection.recv(1 << 16)
                connection.sendall(b"\0\0\6\4 no HTTP\r\n\r\n")

        with ThreadPoolExecutor(1) as server:
            server.submit(answer)
            line = refused_here(
                capsys, "check", conditional_folder, "--with", f"http://127.0.0.1:{other.getsockname()[1]}"
            )
    assert "does not answer (" in line


@pytest.mark.parametrize(
    "address",
    [
        "http://x:y",
        "http://",
        "ftp://x",
        "http://a:123456",
        "http://a:84016",
        "http://a:0",
        "http://a?x",
        "http://[::1",
    ],
)
def test_what_is_no_address_is_refused(address, capsys):
    assert "must be mindspore, onnxruntime" in refused_here(capsys, "check", "x", "--with", address)


@pytest.mark.parametrize("address", ["http://a..b:80", f"http://{'a' * 64}:80", "http://127.0.0.1:1/é"])
def test_what_nobody_can_be_asked_is_said_to_be_no_address(address, conditional_folder, capsys):
    assert "is no address that can be asked" in refused_here(capsys, "check", conditional_folder, "--with", address)


def test_a_wrong_name_is_refused(capsys):
    line = refused_here(capsys, "check", "x", "--with", "tflite")
    assert "must be mindspore, onnxruntime, openvino, lite or http://HOST:PORT, not 'tflite'" in line


def test_the_names_are_those_that_are_known():
    assert set(check.RUNTIMES) == set(elsewhere.RUNTIMES)
