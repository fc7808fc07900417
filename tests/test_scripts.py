"""The shell scripts, as a person types them."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess

import numpy as np
import pytest
from helpers.commands import HANGS, ROOT, SMALL, environment, run, write_mnist


def bash(file, *arguments, cwd, status=0, **more):
    """Run a script to its end; check its exit status; return what it printed."""
    command, own = ["bash", str(file), *map(str, arguments)], environment(**more)
    done = subprocess.run(command, cwd=cwd, env=own, capture_output=True, text=True, timeout=HANGS)
    assert done.returncode == status, f"status {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done


def script(name, *arguments, **how):
    return bash(ROOT / "scripts" / name, *arguments, **how)


@pytest.fixture
def path_with(tmp_path):
    """Return a PATH on which `python3` is a shell script of these lines."""

    def write(lines):
        fake = tmp_path / "bin" / "python3"
        fake.parent.mkdir()
        fake.write_text(f"#!/bin/bash\n{lines}\n")
        fake.chmod(0o755)
        return os.pathsep.join([str(fake.parent), "/usr/bin", "/bin"])

    return write


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
    run("infer", "runs/mlp/1/export", "--num", 4, "--output", "four.npy", cwd=tmp_path)
    assert np.load(tmp_path / "four.npy").shape == (4, 1, 28, 28)


def test_the_exit_status_is_the_programs(tmp_path):
    assert "absent" in script("run_eval.sh", "absent", cwd=tmp_path, status=2).stderr


def test_a_missing_package_is_named_with_a_command_that_installs_it_and_not_installed(tmp_path, path_with):
    clone = tmp_path / "My Drive (1)"
    shutil.copytree(ROOT / "scripts", clone / "scripts")
    (clone / "requirements.txt").write_text("tqdm\n")
    path = path_with(
        '[ "$1" = -m ] && cat "$5" && exit\nfor name; do case $name in tqdm) echo tqdm; exit 1;; esac; done'
    )
    refused = bash(clone / "scripts" / "run_train.sh", cwd=tmp_path, status=2, PATH=path).stderr
    assert refused.count("\n") == 1 and "has MindSpore but not tqdm" in refused and "pip install" in refused
    copied = tmp_path / "copied"
    copied.write_text(refused.partition("install it: ")[2])
    assert bash(copied, cwd=tmp_path, PATH=path).stdout == "tqdm\n"


@pytest.fixture
def echo(path_with):
    """A PATH on which `python3` has every package, and prints the arguments that a script gives to it."""
    return path_with('[ "$1" = -m ] && printf "%s|" "${@:3}"\nexit 0')


@pytest.mark.parametrize(
    "typed, given",
    [
        ("run_train.sh --epochs 5", "train|--epochs|5|"),
        ("run_standalone_train.sh", "train|"),
        ("run_standalone_train.sh my/data", "train|--data-path|my/data|"),
        ("run_standalone_train.sh 3", "train|--device-id|3|"),
        ("run_standalone_train.sh data 3 --epochs 5", "train|--data-path|data|--device-id|3|--epochs|5|"),
        ("run_standalone_train.sh 'my data' 0", "train|--data-path|my data|--device-id|0|"),
        ("run_standalone_train.sh --recipe rpgan", "train|--recipe|rpgan|"),
        ("run_distribute_train.sh 8", "train|--device-num|8|"),
        ("run_distribute_train.sh 8 data --seed 2", "train|--device-num|8|--data-path|data|--seed|2|"),
        ("run_distribute_train.sh 8 --seed 2", "train|--device-num|8|--seed|2|"),
        ("run_distribute_train.sh --help", "train|--help|"),
        ("run_eval.sh runs/mlp/1 --seed 7", "eval|runs/mlp/1|--seed|7|"),
        ("run_export.sh runs/mlp/1", "export|runs/mlp/1|"),
        ("run_serve.sh bundle", "serve|bundle|"),
    ],
)
def test_scripts_pass_their_arguments_on(tmp_path, echo, typed, given):
    name, *arguments = shlex.split(typed)
    assert script(name, *arguments, cwd=tmp_path, PATH=echo).stdout == given


@pytest.mark.parametrize(
    "arguments, said", [((), "DEVICE_NUM"), (("data", "8"), "DEVICE_NUM"), (("rank_table_8p.json", "8"), "rank table")]
)
def test_distributed_training_needs_the_number_of_devices(tmp_path, echo, arguments, said):
    refused = script("run_distribute_train.sh", *arguments, cwd=tmp_path, status=2, PATH=echo)
    assert said in refused.stderr and refused.stderr.count("\n") == 1 and not refused.stdout


def checks(tmp_path, path, status=0):
    return script("run_checks.sh", cwd=tmp_path, status=status, PATH=path).stderr.splitlines()


def test_format_lint_and_types_are_checked(tmp_path, path_with):
    assert checks(tmp_path, path_with("exit 0")) == ["ruff format --check .", "ruff check .", "mypy"]


@pytest.mark.parametrize("fails", ["ruff format", "ruff check", "mypy"])
def test_a_check_that_fails_fails_all(tmp_path, path_with, fails):
    checks(tmp_path, path_with(f'[ "$1" = -m ] && [[ "${{*:2}}" = "{fails}"* ]] && exit 3\nexit 0'), status=3)


def test_types_are_checked_where_mypy_runs_and_it_is_said_where_it_does_not(tmp_path, path_with):
    said = checks(tmp_path, path_with('[[ "$*" = *version_info* ]] && exit 1\nexit 0'))
    assert said[-2:] == ["ruff check .", "mypy needs Python 3.10: skipped"]


def test_an_interpreter_too_old_or_too_new_is_refused(tmp_path):
    copy = tmp_path / "project"
    (copy / "scripts").mkdir(parents=True)
    for name in ("scripts/environment.sh", "scripts/run_train.sh", "requirements.txt", "requirements-test.txt"):
        (copy / name).write_text((ROOT / name).read_text())
    tools = tmp_path / "bin"
    tools.mkdir()
    for name in ("bash", "dirname", "basename", "cat", "cmp"):
        (tools / name).symlink_to(shutil.which(name))
    for name in ("python3", "python"):
        (tools / name).write_text("#!/bin/bash\nexit 1\n")
        (tools / name).chmod(0o755)
    done = bash(copy / "scripts" / "run_train.sh", cwd=tmp_path, status=2, PATH=str(tools))
    assert done.stderr == "error: Python 3.9 to 3.12 is needed, and none was found\n"
    assert not (copy / ".venv").exists()


def test_help_with_the_tests_installs_nothing(tmp_path, path_with):
    done = bash(ROOT / "scripts" / "run_tests.sh", "--help", cwd=tmp_path, PATH=path_with("exit 3"))
    assert done.stdout.startswith("usage: bash scripts/run_tests.sh") and "-k resume" in done.stdout


def test_the_scripts_parse():
    for file in (ROOT / "scripts").glob("*.sh"):
        subprocess.run(["bash", "-n", str(file)], check=True)
