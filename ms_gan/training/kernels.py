"""What computes the layers of a training on CPU: this project's kernels, or MindSpore's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mindspore import nn

from ms_gan.errors import Setting, UserError
from ms_gan.kernels.build import MINDSPORE, library
from ms_gan.kernels.layers import has_layers, use_own
from ms_gan.runs.provenance import Start
from ms_gan.runtime import Device
from ms_gan.steps.precision import round_products

RECORD = "kernels"  # among the versions of a start
RECORD_BEFORE = "convolutions"  # while these alone had kernels of their own


def as_chosen(cell: nn.Cell, chosen: Mapping[str, str]) -> nn.Cell:
    """Return a Cell around a step, such as that of its moving averages, computed as `choose_kernels` chose."""
    if not chosen.get(RECORD, MINDSPORE).startswith(MINDSPORE):
        use_own(cell)
    return cell


def choose_kernels(
    step: nn.Cell, device: Device, starts: Sequence[Start] = (), precision: str = "float32"
) -> dict[str, str]:
    """Let this project's kernels compute a step's layers, where they can; return what a start records of it.

    A run that began with MindSpore's kernels goes on with them, to the same bytes. So does one on another device than a
    CPU, which has kernels of its own. Products in bfloat16 are rounded on a CPU, around MindSpore's kernels.

    Raises UserError for products in bfloat16 on a GPU, where nobody has tried them.
    """
    if precision == "bfloat16" and device.target == "GPU":
        raise UserError("products in bfloat16 are for Ascend, and rounded on CPU", "leave out ", Setting("precision"))
    if precision == "bfloat16" and device.target == "CPU":
        round_products(step)
        return {RECORD: f"{MINDSPORE} (products are rounded to bfloat16, which is no quicker)"}
    if device.target != "CPU" or not has_layers(step):
        return {}
    before = starts[0].versions if starts else None
    if before is not None and before.get(RECORD, before.get(RECORD_BEFORE, MINDSPORE)).startswith(MINDSPORE):
        return {RECORD: f"{MINDSPORE}, as when the run began"}
    count = use_own(step)
    return {RECORD: str(library()) if count or library().path is None else f"{MINDSPORE} (for kinds of their own)"}
