"""How the tests run the program: in processes of its own, as a person would, or in this one."""

from __future__ import annotations

import os
import re
import struct
import subprocess
import sys
import time
from pathlib import Path
from typing import Callable

import numpy as np

from helpers import networks
from ms_gan import cli

ROOT = Path(__file__).resolve().parent.parent.parent
HANGS = 600  # seconds, the only limit in the tests: what takes as long as that hangs. How quick it is decides nothing
started: list[subprocess.Popen] = []  # by the test that runs
PUBLISHED = set(  # the recipes of the project; a folder may hold others, which somebody adds for himself
    "mlp keras_mlp slim_mlp slim_mlp_fixed acgan dcgan rpgan stacked_mnist cvae_late cvae_early cvae_gan "
    "rpgan_residual rpgan_residual_mnist photographs".split()
)
SMALL = networks.options(networks.MLP)
NEEDED = {  # the arguments without which a command is refused
    "judge": ("--output-dir", "x"),
    "infer": ("x", "--num", "1", "--output", "x.png"),
    "serve": ("x",),
    "compare": ("x", "y"),
    "check": ("x",),
}


def environment(**more: str) -> dict:
    """The environment for a process: the project importable, this interpreter first on the path."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    return {**os.environ, "PYTHONPATH": str(ROOT), "PATH": path, **more}


def python(*arguments: object, cwd: Path | None = None, bare: bool = False, **more: str):
    """Run Python to its end, if `bare` without any installed package; return its status and what it printed."""
    command = [sys.executable, *(["-S"] if bare else []), *map(str, arguments)]
    captured = {"capture_output": True, "text": True, "errors": "backslashreplace"}
    return subprocess.run(command, cwd=cwd, env=environment(**more), timeout=HANGS, **captured)


def run(*arguments: object, cwd: Path | None = None, status: int = 0, **more: str):
    """Run `python -m ms_gan …` to its end; check its exit status; return what it printed."""
    done = python("-m", "ms_gan", *arguments, cwd=cwd, **more)
    assert done.returncode == status, f"status {done.returncode}, expected {status}\n{done.stdout}\n{done.stderr}"
    return done


def here(*arguments: object, status: int = 0) -> None:
    """Run a command in this process, which is quick; check its exit status."""
    try:
        found = cli.main([str(argument) for argument in arguments])
    except SystemExit as ended:  # argparse leaves with a status
        if not isinstance(ended.code, int):
            raise
        found = ended.code
    assert found == status


def refused_here(capsys, *arguments: object, status: int = 2) -> str:
    """Run a command in this process that refuses; return the one line with which it does."""
    capsys.readouterr()
    here(*arguments, status=status)
    line = capsys.readouterr().err
    assert re.fullmatch(r"error: [^\n]+\n", line), line
    return line


def start(*arguments: object, cwd: Path | None = None) -> subprocess.Popen:
    """Start `python -m ms_gan …` and return at once. It ends with the test, at the latest."""
    started.append(
        subprocess.Popen(
            [sys.executable, "-m", "ms_gan", *map(str, arguments)],
            cwd=cwd,
            env=environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
    )
    return started[-1]


def wait_until(condition: Callable[[], bool], process: subprocess.Popen) -> None:
    """Wait for what a process does while it runs. Fails with what it printed when it ends before."""
    limit = time.monotonic() + HANGS
    while not condition():
        assert process.poll() is None, process.stdout.read()
        assert time.monotonic() < limit, "it hangs"
        time.sleep(0.002)


def kill_when(condition: Callable[[], bool], process: subprocess.Popen) -> None:
    """Kill -9 as soon as the condition holds."""
    wait_until(condition, process)
    process.kill()
    process.communicate()


def steps_saved(run_folder: Path) -> int:
    """The steps of a run's newest checkpoint, 0 where there is none."""
    return max((int(path.name[5:]) for path in run_folder.glob("checkpoints/step_*")), default=0)


def write_mnist(folder: Path, train: int, test: int = 64) -> Path:
    """Write IDX files of random blobs that a discriminator can tell from noise; return the folder."""
    folder.mkdir(parents=True)
    random = np.random.default_rng(7)
    for name, count in (("train", train), ("t10k", test)):
        across = np.abs(np.arange(28) - 14)[None, :]
        widths = random.integers(3, 12, (count, 1))
        rows = (across < widths).astype(np.uint8) * random.integers(120, 255, (count, 1), dtype=np.uint8)
        images = rows[:, :, None] * (across[0] < 8).astype(np.uint8)
        labels = random.integers(0, 10, count, dtype=np.uint8)
        (folder / f"{name}-images-idx3-ubyte").write_bytes(struct.pack(">IIII", 2051, count, 28, 28) + images.tobytes())
        (folder / f"{name}-labels-idx1-ubyte").write_bytes(struct.pack(">II", 2049, count) + labels.tobytes())
    return folder
