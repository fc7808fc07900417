"""Where generators start: latent vectors, by named distribution."""

from __future__ import annotations

from statistics import NormalDist

import numpy as np

from ms_gan.schema.recipe import DISTRIBUTIONS

INDEPENDENT = ("normal", "uniform")  # those whose numbers are independent of each other
LARGEST = float(np.finfo(np.float32).max)


def draw_latents(distribution: str, count: int, size: int, stream: np.random.Generator) -> np.ndarray:
    """Draw latent vectors: float32, shape (count, size).

    The first rows do not depend on how many follow: with the same stream, the
    first 5 of 10 latents are the 5 latents of a draw of 5.
    """
    if distribution == "normal":
        return stream.standard_normal((count, size), dtype=np.float32)
    if distribution == "uniform":
        return 2 * stream.random((count, size), dtype=np.float32) - 1
    if distribution == "sphere":
        normal = stream.standard_normal((count, size), dtype=np.float32)
        return normal / np.linalg.norm(normal, axis=1, keepdims=True)
    raise ValueError(f"unknown latent distribution {distribution!r}; known: {', '.join(DISTRIBUTIONS)}")


def thresholds(distribution: str, shares: np.ndarray) -> np.ndarray:
    """Return where to part one number of a latent, so that it lies in each part with the given probability.

    `shares`, (K,), add up to 1; returns float32, (K − 1,), ascending, the largest numbers there are standing for
    infinity. Raises ValueError for a distribution whose numbers are not independent of each other.
    """
    below = np.cumsum(shares)[:-1].clip(0, 1)
    if distribution == "normal":
        parts = [NormalDist().inv_cdf(part) if 0 < part < 1 else np.inf * (part - 0.5) for part in below]
    elif distribution == "uniform":
        parts = [2 * part - 1 for part in below]
    else:
        raise ValueError(f"the numbers of a latent of the distribution {distribution!r} are not independent")
    return np.nan_to_num(np.array(parts), posinf=LARGEST, neginf=-LARGEST).astype(np.float32)


def interpolate(distribution: str, start: np.ndarray, end: np.ndarray, count: int) -> np.ndarray:
    """Walk from one latent to another, float32 (size,) each: float32, (count, size); both ends included.

    The straight line between two normal latents passes through vectors far shorter
    than any that the generator was trained on; the great circle keeps their length
    (White 2016, "Sampling Generative Networks", equation of slerp). Uniform latents
    fill a cube, which the straight line never leaves.
    """
    cosine = np.dot(start, end) / (np.linalg.norm(start) * np.linalg.norm(end))
    angle = np.arccos(np.clip(cosine, -1.0, 1.0))
    along = np.linspace(0.0, 1.0, count)[:, None]
    if distribution == "uniform" or not 1e-3 < angle < np.pi - 1e-3:  # no great circle, or every one, leads there
        walk = (1 - along) * start + along * end
    else:
        walk = (np.sin((1 - along) * angle) * start + np.sin(along * angle) * end) / np.sin(angle)
    return walk.astype(np.float32)
