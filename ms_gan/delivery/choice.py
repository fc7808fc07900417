"""Which of a bundle's files runs faster here, where nobody has said which one to run."""

from __future__ import annotations

import importlib.util
import platform
from pathlib import Path
from typing import NamedTuple

from ms_gan import runtime
from ms_gan.delivery.bundle import Bundle
from ms_gan.delivery.contract import FORMATS, Contract, example_inputs
from ms_gan.delivery.formats import runtime_of
from ms_gan.delivery.parity import PARITY_BATCHES, greatest_difference

ACCELERATORS = ("davinci*", "nvidia*", "dxg")  # the files below /dev without which there is none


class Choice(NamedTuple):
    """A format, and in one sentence why it was chosen."""

    file_format: str
    why: str


def choose_format(
    folder: Path, contract: Contract, asked: str | None, device_target: str | None, device_id: int | None
) -> Choice:
    """Return the format that is asked for, else the faster one: on a CPU the ONNX, if it is equal; else the MindIR.

    The contract says how equal they are, where the bundle was exported with this onnxruntime on this kind of machine.
    Elsewhere they are compared here, by the contract's tolerance. Raises UserError for a bundle that cannot be used.
    """
    if asked:
        return Choice(asked, "as was asked for")
    held = {form for form in FORMATS if all(form in model.files for model in contract.models.values())}
    if "onnx" not in held:
        return Choice("mindir", "the bundle holds no ONNX, which is faster on a CPU")
    if "mindir" not in held:
        return Choice("onnx", "the bundle holds no MindIR")
    if importlib.util.find_spec("onnxruntime") is None:
        return Choice("mindir", "onnxruntime, which is faster on a CPU, is not installed")
    if device_id or not _on_cpu(device_target or "auto"):
        return Choice("mindir", "an ONNX runs on the CPU only")
    proofs = [contract.parity[model.files["onnx"]] for model in contract.models.values()]
    tolerance = min(proof.tolerance for proof in proofs)
    here = contract.versions.get("platform") == f"{platform.system()} {platform.machine()}"
    if here and all(proof.runtime == runtime_of("onnx", "CPU") for proof in proofs):
        difference = max(proof.greatest_difference for proof in proofs)
        rounded = " with rounded weights" if contract.weights != "float32" else ""
        return Choice("onnx", f"equal to the checkpoint's network{rounded} to {difference:.2g}, as the contract says")
    found = _difference(folder, contract)
    if found is None:
        return Choice("mindir", "the ONNX does not run here")
    if found > tolerance:
        return Choice("mindir", f"here the ONNX differs from it by {found:.2g}, and {tolerance:g} is allowed")
    return Choice("onnx", f"equal to the MindIR to {found:.2g}, compared here")


def _on_cpu(device_target: str) -> bool:
    """Return whether a MindIR would run on a CPU. MindSpore is asked only where the machine has something else."""
    if device_target == "auto" and any(found for name in ACCELERATORS for found in Path("/dev").glob(name)):
        device_target = runtime.set_up("auto").target
    return device_target in ("auto", "CPU")


def _difference(folder: Path, contract: Contract) -> float | None:
    """Return the greatest difference between the two formats' outputs here; None for an ONNX that does not run."""
    runtime.set_up("CPU")
    mindir = Bundle(folder, "mindir")
    try:
        onnx = Bundle(folder, "onnx")
        found = []
        for name, spec in contract.models.items():
            batches = [
                example_inputs(spec, contract.label_names, size, seed) for seed, size in enumerate(PARITY_BATCHES)
            ]
            expected = [mindir.models[name](*batch) for batch in batches]
            found.append(greatest_difference(expected, onnx.models[name], batches))
        return max(found)
    except Exception:  # onnxruntime has many, without a common class
        return None
