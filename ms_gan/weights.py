"""Files of weights in MindSpore's format."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import mindspore as ms
from mindspore import Parameter

from ms_gan.errors import UserError


def write_weights(file: Path, parameters: Iterable[Parameter]) -> None:
    """Write parameters under their names. Raises OSError where the file system does not take them."""
    try:
        ms.save_checkpoint([{"name": parameter.name, "data": parameter} for parameter in parameters], str(file))
    except RuntimeError as error:  # MindSpore wraps what the file system said
        cause = error.__cause__ or error.__context__
        if isinstance(cause, OSError):
            raise cause from error
        raise


def read_weights(file: Path, mend: str) -> dict[str, Parameter]:
    """Return a file's parameters by name. Raises UserError, with `mend`, where MindSpore cannot read it."""
    try:
        return ms.load_checkpoint(str(file))
    except Exception as error:  # MindSpore raises several kinds, with a stack in the text
        raise UserError(f"{file}: MindSpore cannot read it", mend) from error
