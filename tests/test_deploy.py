"""The files for containers: the image's steps run outside Docker, and the manifests fit the image and each other.

Docker, Kubernetes and KServe are not here: what is theirs alone was not run.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import urllib.request
from pathlib import Path

import onnxruntime
import pytest
from helpers.commands import HANGS, ROOT, environment
from helpers.servers import end, free_ports, started, wait_until

DEPLOY = ROOT / "docs" / "deploy"
ABSENT = "mindspore onnx matplotlib cv2 download tqdm torch mlserver".split()  # what an image for serving goes without
USER = 10001


@pytest.fixture(scope="module")
def steps():
    """The Dockerfile's instructions, each with its text."""
    text = re.sub(r"^#.*\n", "", (DEPLOY / "Dockerfile").read_text(encoding="utf-8"), flags=re.M)
    return [tuple(line.split(" ", 1)) for line in text.replace("\\\n", " ").splitlines() if line]


def texts(steps, name):
    return [text for instruction, text in steps if instruction == name]


def test_the_packages_are_those_of_the_server_and_three_more_alone(steps, tmp_path):
    install, _ = texts(steps, "RUN")
    for name in texts(steps, "COPY")[0].split()[:-1]:
        shutil.copy(ROOT / name, tmp_path)
    select, command = install.split(" && ")
    subprocess.run(["sh", "-c", select], cwd=tmp_path, check=True)
    words = shlex.split(command, comments=True)
    assert words[:4] == ["python", "-m", "pip", "install"] and words[-3:] == ["numpy", "onnxruntime", "fastjsonschema"]
    assert words[words.index("-c") + 1] == "requirements.txt", "where the versions of these stand"
    chosen = {re.match(r"[\w-]+", line)[0] for line in (tmp_path / "serve.txt").read_text().splitlines()}
    extra = re.search(r"^serve = \[(.*?)^\]", (ROOT / "pyproject.toml").read_text(), re.M | re.S)[1]
    assert chosen == set(re.findall(r'"([\w-]+)', extra)), "what the extra `serve` asks for"


@pytest.fixture(scope="module")
def public():
    """A folder that other users can read, too; pytest's own cannot be."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@pytest.fixture(scope="module")
def installed(steps, public, tmp_path_factory):
    """What the image installs of ms_gan; what is not in the image cannot be imported."""
    clone, target = tmp_path_factory.mktemp("image"), public / "installed"
    for text in texts(steps, "COPY"):
        *sources, place = text.split()
        for source in sources:
            if place == "./":
                shutil.copy(ROOT / source, clone)
            else:
                shutil.copytree(ROOT / source, clone / place, ignore=shutil.ignore_patterns("__pycache__"))
    command = texts(steps, "RUN")[1].split(" && ")[0]
    assert shlex.split(command)[:4] == ["python", "-m", "pip", "install"]
    own = ["--no-build-isolation", "--no-index", "--target", target]  # without a network, and not into this Python
    subprocess.run([sys.executable, *shlex.split(command)[1:], *own], cwd=clone, check=True, capture_output=True)
    for name in ABSENT:
        (target / f"{name}.py").write_text(f"raise ModuleNotFoundError('no {name} in the image', name='{name}')\n")
    return target


def as_another_user(folder):
    """Return a prefix that runs a command as another user, where this one may and that one can read all of it."""
    prefix = ["setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups"]
    if os.geteuid() or shutil.which("setpriv") is None:
        return []
    read = f"open({str(folder / 'contract.json')!r})"
    tried = subprocess.run([*prefix, "env", os.path.realpath(sys.executable), "-c", read], env=environment())
    return [] if tried.returncode else prefix


def test_it_serves_as_another_user_with_nothing_but_the_images_environment(
    steps, installed, public, conditional_folder, tmp_path
):
    (stated,), (entry,) = texts(steps, "ENV"), texts(steps, "ENTRYPOINT")
    variables = dict(word.split("=", 1) for word in stated.split())
    assert variables["MS_GAN_SERVE_BUNDLE"] == "/mnt/models" and variables["MS_GAN_SERVE_HOST"] == "0.0.0.0"
    bundle, (http, remote) = shutil.copytree(conditional_folder, public / "bundle"), free_ports(2)
    bundle.chmod(0o755)
    here = {"BUNDLE": bundle, "HOST": "127.0.0.1", "HTTP_PORT": http, "GRPC_PORT": remote}
    variables |= {f"MS_GAN_SERVE_{name}": str(value) for name, value in here.items()}
    variables["PYTHONPATH"] = f"{installed}{os.pathsep}{Path(onnxruntime.__file__).parent.parent}"
    program, *arguments = json.loads(entry)
    assert program == "python"
    bare = ["env", "-i", *(f"{name}={value}" for name, value in variables.items()), os.path.realpath(sys.executable)]
    with started([*as_another_user(bundle), *bare, *arguments], tmp_path / "log") as process:
        wait_until(lambda: "serving " in (tmp_path / "log").read_text(), process, tmp_path / "log")
        (check,) = texts(steps, "HEALTHCHECK")
        program, *check = json.loads(check[len("CMD ") :])
        assert program == "python"
        assert subprocess.run([*bare, *check], timeout=HANGS).returncode == 0, "it asks the port that was chosen"
        with urllib.request.urlopen(f"http://127.0.0.1:{http}/contract.json", timeout=HANGS) as answer:
            assert json.load(answer)["server"]["format"] == "onnx"
        assert end(process) == 0, "as the first process of a container, too, it ends on SIGTERM"


def documents(name):
    yaml = pytest.importorskip("yaml")
    return list(yaml.safe_load_all((DEPLOY / name).read_text(encoding="utf-8")))


def test_the_manifests_name_the_ports_probes_and_variables_of_the_server(steps):
    from ms_gan.cli.serve import READ, VARIABLE

    (exposed,) = texts(steps, "EXPOSE")
    deployment, service = documents("kubernetes.yaml")
    (pod,) = deployment["spec"]["template"]["spec"]["containers"]
    ports = {port["name"]: port["containerPort"] for port in pod["ports"]}
    assert (
        list(ports.values()) == [int(port) for port in exposed.split()] == [READ["http_port"][1], READ["grpc_port"][1]]
    )
    assert {port["targetPort"] for port in service["spec"]["ports"]} == set(ports)
    assert service["spec"]["selector"] == deployment["spec"]["selector"]["matchLabels"]
    assert pod["startupProbe"]["httpGet"]["path"] == "/v2/health/ready" and pod["livenessProbe"]["grpc"]["port"] == 8081
    (mount,) = pod["volumeMounts"]
    assert f"MS_GAN_SERVE_BUNDLE={mount['mountPath']}" in texts(steps, "ENV")[0]
    own, triton = documents("kserve.yaml")
    (predictor,) = own["spec"]["predictor"]["containers"]
    assert predictor["image"] == pod["image"] and predictor["name"] == "kserve-container"
    assert triton["spec"]["predictor"]["model"]["storageUri"] == predictor["env"][0]["value"]
    for variable in pod["env"]:
        read, _ = READ[variable["name"].removeprefix(VARIABLE).lower()]
        read(variable["value"])
