"""From latents to images, the same ones whatever else is asked for at the same time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Callable

import numpy as np

from ms_gan.errors import UserError
from ms_gan.latents import draw_latents
from ms_gan.runtime import random_stream

CHUNK = 16  # one shape always: an image is the same to the last bit, however many are drawn with it

# latents, float32 (N, size), and for a conditional generator labels, int32, (N,) or (N, places)
Inputs = tuple[np.ndarray, ...]


def seeded_inputs(latent: dict[str, Any], count: int, seed: int, labels: np.ndarray | None = None) -> Inputs:
    """Return the latents that `seed` stands for in every picture, and behind them the labels, if any.

    `latent` holds `distribution` and `size`.
    """
    latents = draw_latents(latent["distribution"], count, latent["size"], random_stream(seed, "sample"))
    return (latents,) if labels is None else (latents, np.asarray(labels, np.int32))


def seeded_chunks(
    latent: dict[str, Any], count: int, seed: int, labels: np.ndarray | None = None, rows: int = 16 * CHUNK
) -> Iterator[Inputs]:
    """Yield what `seeded_inputs` returns, `rows` at a time, so that not all of it has to be in memory.

    `labels` are those of the first images; the others have them again, in turn.
    """
    stream = random_stream(seed, "sample")
    for start in range(0, count, rows):
        here = min(rows, count - start)
        latents = draw_latents(latent["distribution"], here, latent["size"], stream)
        if labels is None:
            yield (latents,)
        else:
            yield latents, np.asarray(labels[np.arange(start, start + here) % len(labels)], np.int32)


def require_finite(images: np.ndarray, what: str, things: str = "images") -> None:
    """Raise UserError where a number of images, or other `things`, is none: `what` gives them, as "the generator"."""
    if not np.isfinite(images).all():
        raise UserError(
            f"{what} gives {things} with numbers that are not finite: its weights are so large that sums "
            f"overflow, as after training that diverged; use an earlier checkpoint"
        )


def draw_images(generator: Callable, inputs: Inputs) -> np.ndarray:
    """Run a generator, a Cell, on its inputs; return its images, float32, N×C×H×W."""
    return in_chunks(on_arrays(generator), inputs)[0]


def on_arrays(network: Callable) -> Callable[..., tuple[np.ndarray, ...]]:
    """Return a network, a Cell, as a function from arrays to a tuple of arrays."""
    import mindspore as ms  # a server of ONNX goes without

    def run(*arrays: np.ndarray) -> tuple[np.ndarray, ...]:
        outputs = network(*map(ms.Tensor, arrays))
        return tuple(output.asnumpy() for output in (outputs if isinstance(outputs, tuple) else (outputs,)))

    return run


def in_chunks(run: Callable[..., tuple[np.ndarray, ...]], inputs: Inputs, rows: int = CHUNK) -> tuple[np.ndarray, ...]:
    """Run a function of arrays on all rows of its inputs; return its outputs, each with as many rows.

    The function always sees `rows` of each input at once, the last ones padded with zeros.
    """
    chunks = []
    for start in range(0, len(inputs[0]), rows):
        chunk = [array[start : start + rows] for array in inputs]
        padded = [np.pad(array, [(0, rows - len(array))] + [(0, 0)] * (array.ndim - 1)) for array in chunk]
        chunks.append([output[: len(chunk[0])] for output in run(*padded)])
    return tuple(np.concatenate(parts) for parts in zip(*chunks))
