"""What every test may use: one device, one small recipe, and a cache that is thrown away."""

from __future__ import annotations

import numpy as np
import pytest

SMALL = ("generator.widths=[16, 32]", "discriminator.widths=[16]", "schedule.batch_size=8")


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory):
    """Keep what the tests cache in a temporary folder; return it."""
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MS_GAN_CACHE", str(folder))
        yield folder


@pytest.fixture(scope="session")
def device():
    """The CPU, in graph mode."""
    from ms_gan import runtime

    return runtime.set_up("CPU")


@pytest.fixture
def small_recipe():
    """The recipe `mlp` with networks that compile and run in a moment; a copy for each test."""
    from ms_gan import recipes

    return recipes.override(recipes.load("mlp"), SMALL)


@pytest.fixture(scope="session")
def random_images():
    """64 images of noise, of the size that `small_recipe` takes: uint8, N×C×H×W."""
    return np.random.default_rng(0).integers(0, 256, (64, 1, 28, 28), dtype=np.uint8)
