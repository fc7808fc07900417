"""What every test may use: one device, one small recipe, and a cache that is thrown away."""

from __future__ import annotations

import numpy as np
import pytest

SMALL = ("generator.widths=[16, 32]", "discriminator.widths=[16]", "schedule.batch_size=8")
SMALL_CONDITIONAL = ("generator.start_channels=4", "generator.widths=[4, 4, 4, 4]",
                     "discriminator.widths=[4, 4, 4, 4, 4]", "schedule.batch_size=8")


def pytest_addoption(parser):
    """Tests that take over a minute, and try again what others try once, run on request."""
    parser.addoption("--slow", action="store_true", help="run the slowest tests, too")


def pytest_configure(config):
    config.addinivalue_line("markers", "slow: runs only with --slow")


def pytest_collection_modifyitems(config, items):
    """Put the longest file first, so that the two processes that share the files end at about the same time."""
    if not config.getoption("--slow"):
        for item in items:
            if item.get_closest_marker("slow"):
                item.add_marker(pytest.mark.skip(reason="slow: runs with --slow"))
    items.sort(key=lambda item: item.path.name != "test_resume.py")


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


@pytest.fixture
def small_conditional_recipe():
    """The recipe `acgan` with networks that compile and run in a moment; a copy for each test."""
    from ms_gan import recipes

    return recipes.override(recipes.load("acgan"), SMALL_CONDITIONAL)


@pytest.fixture(scope="session")
def random_data():
    """64 images of noise, of the size that the small recipes take, with labels 0 to 9."""
    from ms_gan.data.description import ImageData

    random = np.random.default_rng(0)
    images = random.integers(0, 256, (64, 1, 28, 28), dtype=np.uint8)
    return ImageData("mnist", "train", "noise", images, np.arange(64, dtype=np.int32) % 10, tuple("0123456789"))


@pytest.fixture(scope="session")
def random_images(random_data):
    """Its images: uint8, N×C×H×W."""
    return random_data.images
