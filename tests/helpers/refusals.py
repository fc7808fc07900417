"""How a function of the package refuses what a user asks for."""

from __future__ import annotations

from typing import Any, Callable

import pytest

from ms_gan.errors import UserError


def refused(
    call: Callable, *arguments: Any, error: type[Exception] = UserError, but: type | tuple = (), **options: Any
) -> str:
    """Return the message with which a call refuses: one line, of an error of this type, but not of these."""
    with pytest.raises(error) as caught:
        call(*arguments, **options)
    message = str(caught.value)
    assert len(message.splitlines()) == 1, message
    assert not isinstance(caught.value, but)
    return message
