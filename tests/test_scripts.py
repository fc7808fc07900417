"""The shell scripts, as a person types them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from commands import HANGS, ROOT, SMALL, environment, write_mnist


def script(name, *arguments, cwd, status=0, **more):
    done = subprocess.run(
        ["bash", str(ROOT / "scripts" / name), *map(str, arguments)],
        cwd=cwd,
        env=environment(**more),
        capture_output=True,
        text=True,
        timeout=HANGS,
    )
    assert done.returncode == status, f"status {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done


def test_from_a_folder_of_images_to_a_bundle_that_draws(tmp_path):
    write_mnist(tmp_path / "data", 200)
    script("run_train.sh", "--data-path", "data", "--epochs", 2, "--batch-size", 20, *SMALL, cwd=tmp_path)
    run_folder = tmp_path / "runs" / "mlp" / "1"
    script("run_train.sh", "--resume", "runs/mlp/1", "--epochs", 3, cwd=tmp_path)
    assert (run_folder / "samples" / "epoch_0003.png").exists()
    drawn = script("run_eval.sh", "runs/mlp/1", "--grid", "2x2", cwd=tmp_path)
    assert drawn.stdout.splitlines() == [
        f"runs/mlp/1/eval/{name}.png" for name in ("samples", "interpolation", "generated_beside_real")
    ]
    script("run_export.sh", cwd=tmp_path)  # the newest run
    contract = json.loads((run_folder / "export" / "contract.json").read_text())
    assert contract["parity"]["generator.mindir"]["greatest_difference"] == 0 and contract["origin"]["step"] == 30
    assert (run_folder / "export" / "generator" / "1" / "generator.onnx").exists()
    subprocess.run(
        ["python", "-m", "ms_gan", "infer", "runs/mlp/1/export", "--num", "4", "--output", "four.npy"],
        cwd=tmp_path,
        env=environment(),
        check=True,
        timeout=HANGS,
    )
    assert np.load(tmp_path / "four.npy").shape == (4, 1, 28, 28)


def test_the_exit_status_is_the_programs(tmp_path):
    assert "absent" in script("run_eval.sh", "absent", cwd=tmp_path, status=2).stderr


def test_a_missing_package_is_named_and_not_installed(tmp_path):
    fake = tmp_path / "bin" / "python3"
    fake.parent.mkdir()
    fake.write_text("#!/bin/bash\nfor name; do case $name in tqdm) echo tqdm; exit 1;; esac; done\n")
    fake.chmod(0o755)
    path = os.pathsep.join([str(fake.parent), "/usr/bin", "/bin"])
    refused = script("run_train.sh", cwd=tmp_path, status=2, PATH=path)
    assert refused.stderr.count("\n") == 1
    assert "has MindSpore but not tqdm" in refused.stderr and "pip install" in refused.stderr


def test_the_command_that_installs_a_missing_package_can_be_copied(tmp_path):
    clone, fake = tmp_path / "My Drive (1)", tmp_path / "bin" / "python3"
    shutil.copytree(ROOT / "scripts", clone / "scripts")
    (clone / "requirements.txt").write_text("tqdm\n")
    fake.parent.mkdir()
    fake.write_text(
        '#!/bin/bash\n[ "$1" = -m ] && cat "$5" && exit\n'
        "for name; do case $name in tqdm) echo tqdm; exit 1;; esac; done\n"
    )
    fake.chmod(0o755)
    path = {"PATH": os.pathsep.join([str(fake.parent), "/usr/bin", "/bin"])}
    refused = subprocess.run(
        ["bash", str(clone / "scripts" / "run_train.sh")], cwd=tmp_path, env=path, capture_output=True, text=True
    )
    assert refused.returncode == 2
    copied = subprocess.run(
        ["bash", "-c", refused.stderr.partition("install it: ")[2]],
        cwd=tmp_path,
        env=path,
        capture_output=True,
        text=True,
    )
    assert copied.stdout == "tqdm\n"


def test_an_interpreter_too_old_or_too_new_is_refused(tmp_path):
    copy = tmp_path / "project"
    (copy / "scripts").mkdir(parents=True)
    for name in ("scripts/environment.sh", "scripts/run_train.sh", "requirements.txt", "requirements-test.txt"):
        (copy / name).write_text((ROOT / name).read_text())
    tools = tmp_path / "bin"
    tools.mkdir()
    for name in ("bash", "dirname", "basename", "cat", "cmp"):
        (tools / name).symlink_to(
            next(Path(folder) / name for folder in ("/usr/bin", "/bin") if (Path(folder) / name).exists())
        )
    for name in ("python3", "python"):
        (tools / name).write_text("#!/bin/bash\nexit 1\n")
        (tools / name).chmod(0o755)
    done = subprocess.run(
        [str(tools / "bash"), str(copy / "scripts" / "run_train.sh")],
        cwd=tmp_path,
        env={"PATH": str(tools)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert done.stderr == "error: Python 3.9 to 3.12 is needed, and none was found\n"
    assert not (copy / ".venv").exists()


@pytest.mark.parametrize("name", sorted(path.name for path in (ROOT / "scripts").glob("*.sh")))
def test_the_scripts_parse(name):
    subprocess.run(["bash", "-n", str(ROOT / "scripts" / name)], check=True)
