"""A bundle held against its golden pairs in what is to draw of it: a runtime that is installed here, or a server."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from http.client import HTTPException
from importlib.metadata import version
from pathlib import Path
from typing import Callable

import numpy as np

from ms_gan.delivery.contract import ModelSpec, read_contract
from ms_gan.delivery.formats import READERS, ArrayFunction
from ms_gan.delivery.golden import Golden, read_golden
from ms_gan.delivery.inference_request import PROTOCOL_TYPES
from ms_gan.delivery.parity import ParityError, greatest_difference
from ms_gan.errors import Setting, UserError, shown
from ms_gan.runtime import python

LITE_PYTHON = "MS_GAN_LITE_PYTHON"  # names a Python that has mindspore-lite
PATIENCE = 60  # seconds for a server's answer


@dataclass(frozen=True)
class Outcome:
    """How far a model's golden outputs are from what a runtime gives for the golden inputs.

    Args:
        model: of MODELS.
        runtime: what computed, with its version, where that is known, and how it was told to.
        difference: max |difference|; infinite where the outputs are not of the right shapes.
        tolerance: what is allowed, wherever a model runs in float32.
        advice: what to change in that runtime, where that is known to help.
    """

    model: str
    runtime: str
    difference: float
    tolerance: float
    advice: str = ""

    @property
    def right(self) -> bool:
        """Whether the difference is allowed."""
        return self.difference <= self.tolerance


@dataclass(frozen=True)
class Runtime:
    """What can run a model's file.

    Args:
        package: without which it is not installed.
        file_format: which file it runs.
        install: a command; `python` in it is the Python that runs this.
        open: from the model's file and specification to its name with its version, and a function.
    """

    package: str
    file_format: str
    install: str
    open: Callable[[Path, ModelSpec], tuple[str, ArrayFunction]]

    @property
    def installed(self) -> bool:
        """Whether it can be asked here."""
        return importlib.util.find_spec(self.package) is not None

    @property
    def how_to_install(self) -> str:
        """The command as it is typed here."""
        return self.install.replace("python -m", f"{python()} -m", 1)


class Lite(Runtime):
    """MindSpore Lite, which may be in another Python than ours."""

    @property
    def installed(self) -> bool:
        """Whether this Python, or the one that the environment names, has it."""
        return bool(os.environ.get(LITE_PYTHON)) or super().installed


def _onnxruntime(file: Path, spec: ModelSpec) -> tuple[str, ArrayFunction]:
    return f"onnxruntime {version('onnxruntime')}", READERS["onnx"](file, spec)


def _mindspore(file: Path, spec: ModelSpec) -> tuple[str, ArrayFunction]:
    model = READERS["mindir"](file, spec)
    from mindspore import get_context

    return f"mindspore {version('mindspore')} on {get_context('device_target')}", model


def _openvino(file: Path, spec: ModelSpec, **config: str) -> tuple[str, ArrayFunction]:
    core = importlib.import_module("openvino").Core()
    compiled = core.compile_model(core.read_model(str(file)), "CPU", config)
    names = [tensor.name for tensor in spec.outputs]

    def run(*arrays: np.ndarray) -> tuple[np.ndarray, ...]:
        found = compiled(dict(zip((tensor.name for tensor in spec.inputs), arrays)))
        return tuple(np.array(found[name]) for name in names)

    told = ", ".join(f"{key}={value}" for key, value in config.items()) or "as it is"
    return f"openvino {version('openvino')}, {told}", run


def _lite(file: Path, spec: ModelSpec) -> tuple[str, ArrayFunction]:
    file = file.resolve()  # the program runs in a folder of its own
    named = os.environ.get(LITE_PYTHON) or sys.executable
    interpreter = os.path.abspath(shutil.which(named) or named)

    def run(*arrays: np.ndarray) -> tuple[np.ndarray, ...]:
        with tempfile.TemporaryDirectory() as folder:
            given, result = Path(folder) / "given.npz", Path(folder) / "result.npz"
            np.savez(given, **{tensor.name: array for tensor, array in zip(spec.inputs, arrays)})
            command = [
                interpreter,
                str(Path(__file__).with_name("lite_program.py")),
                str(file),
                str(given),
                str(result),
            ]
            done = subprocess.run(command, capture_output=True, text=True, errors="replace", cwd=folder)
            if done.returncode or not result.is_file():
                words = (done.stderr.strip() or done.stdout.strip() or "nothing was said").splitlines()[-1]
                said = words if done.returncode >= 0 else f"it died of {signal.Signals(-done.returncode).name}"
                raise RuntimeError(said)
            with np.load(result) as found:
                return tuple(found[str(at)] for at in range(len(found.files)))

    return f"lite of {interpreter}", run


RUNTIMES: dict[str, Runtime] = {
    "mindspore": Runtime("mindspore", "mindir", "python -m pip install mindspore", _mindspore),
    "onnxruntime": Runtime("onnxruntime", "onnx", "python -m pip install onnxruntime", _onnxruntime),
    "openvino": Runtime("openvino", "onnx", "python -m pip install openvino", _openvino),
    "lite": Lite(
        "mindspore_lite",
        "onnx",
        f"python3.7 -m pip install mindspore-lite==2.0.0 numpy==1.21.6; then set {LITE_PYTHON} to that Python",
        _lite,
    ),
}
# without it OpenVINO computes in bfloat16 where the CPU can, and rounds to int8 what weights of int8 are multiplied by;
# INFERENCE_PRECISION_HINT=f32 stops only the first
ACCURATE = {"EXECUTION_MODE_HINT": "ACCURACY"}


def outcomes(folder: Path, runtime: str) -> Iterator[Outcome]:
    """Yield how far each model of a bundle is from its golden outputs. `runtime`: of RUNTIMES, or a server's address.

    Raises UserError where the bundle has no golden pairs or not the file, and where the runtime is not installed,
    cannot run the file or, as a server, does not answer.
    """
    contract = read_contract(folder)
    golden = read_golden(folder, contract)
    for name, spec in contract.models.items():
        pair = golden[name]
        if runtime not in RUNTIMES:
            yield _outcome(name, f"the server at {runtime}", _at_server(runtime, name, spec), pair)
            continue
        known = RUNTIMES[runtime]
        if not known.installed:
            raise UserError(f"{runtime} is not installed here", known.how_to_install)
        if known.file_format not in spec.files:
            told = f"{folder}: holds no {known.file_format} of the {name}, which {runtime} runs"
            raise UserError(told, "export it again with ", Setting("format", known.file_format))
        file = folder / spec.files[known.file_format]
        with _in_one_sentence(runtime, file):
            told, model = known.open(file, spec)
            outcome = _outcome(name, told, model, pair)
            if runtime == "openvino" and not outcome.right:
                told, model = _openvino(file, spec, **ACCURATE)
                other = _outcome(name, told, model, pair)
                hint = ", ".join(f"{key}={value}" for key, value in ACCURATE.items())
                advice = f"with {hint} it differs by {other.difference:.2g}"
                outcome = Outcome(name, outcome.runtime, outcome.difference, outcome.tolerance, advice)
        yield outcome


def _outcome(name: str, told: str, model: ArrayFunction, pair: Golden) -> Outcome:
    try:
        difference = greatest_difference([pair.outputs], model, [pair.inputs])
    except ParityError:
        difference = float("inf")
    return Outcome(name, told, difference, pair.tolerance)


@contextlib.contextmanager
def _in_one_sentence(runtime: str, file: Path) -> Iterator[None]:
    """Turn an error of a runtime, of which each has its own kinds, into a UserError."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        raise UserError(f"{runtime} does not run {file}: {str(error).strip()[:300]}") from error


def _at_server(address: str, name: str, spec: ModelSpec) -> ArrayFunction:
    """Return a function that asks a server of the Open Inference Protocol V2; it raises UserError without an answer."""
    url = f"{address.rstrip('/')}/v2/models/{name}/infer"

    def run(*arrays: np.ndarray) -> tuple[np.ndarray, ...]:
        inputs = [
            {
                "name": tensor.name,
                "shape": [*array.shape, *([] if tensor.shape else [1])],  # Triton wants a size behind the batch
                "datatype": PROTOCOL_TYPES[tensor.type],
                "data": array.ravel().tolist(),
            }
            for tensor, array in zip(spec.inputs, arrays)
        ]
        asked = json.dumps({"inputs": inputs, "outputs": [{"name": tensor.name} for tensor in spec.outputs]}).encode()
        request = urllib.request.Request(url, asked, {"Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
                found = {one["name"]: one for one in json.load(answer)["outputs"]}
            return tuple(
                np.reshape(np.array(found[one.name]["data"], one.type), found[one.name]["shape"])
                for one in spec.outputs
            )
        except urllib.error.HTTPError as error:
            raise UserError(
                f"{url}: status {error.code}, {shown(error.read(1000).decode(errors='replace'))}"
            ) from error
        except (OSError, HTTPException) as error:
            raise UserError(f"{url}: does not answer ({getattr(error, 'reason', error)})") from error
        except (ValueError, KeyError, TypeError) as error:
            unasked = isinstance(error, UnicodeError) and not isinstance(error, UnicodeDecodeError)
            told = "answers something else than the Open Inference Protocol V2 says"
            raise UserError(f"{url}: {'is no address that can be asked' if unasked else told}") from error

    return run
