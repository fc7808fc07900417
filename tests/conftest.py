"""What every test may use: one device, one small recipe, and a cache that is thrown away."""

from __future__ import annotations

import importlib.util
import re
import signal

import commands
import numpy as np
import pytest

SMALL = ("generator.widths=[16, 32]", "discriminator.widths=[16]", "schedule.batch_size=8")
SMALL_CONDITIONAL = (
    "generator.start_channels=4",
    "generator.widths=[4, 4, 4, 4]",
    "discriminator.widths=[4, 4, 4, 4, 4]",
    "schedule.batch_size=8",
)


# The files that take ten seconds or more, the longest first.
LONG = [
    f"test_{name}.py"
    for name in (
        "resume",
        "photographs",
        "judges",
        "serve_command",
        "clusters",
        "onnx",
        "delivery",
        "scores",
        "serving",
        "parallel",
        "recipes",
        "training_folders",
        "average",
        "training_scores",
        "scripts",
        "autoencoder_procedures",
        "command_line",
        "signals",
        "page",
        "rpgan",
        "procedures",
        "autoencoders",
    )
]
NOT_NEEDED = ("tritonclient", "selenium")  # by anything but the files that import them


def pytest_addoption(parser):
    """Tests that try again, or at more length, what others try once run on request."""
    parser.addoption("--slow", action="store_true", help="run the slowest tests, too")


def pytest_configure(config):
    config.addinivalue_line("markers", "slow: runs only with --slow")


def pytest_collection_modifyitems(config, items):
    """Put short files first, for an early failure, then the longest, so that both processes end at about one time."""
    if not config.getoption("--slow"):
        for item in items:
            if item.get_closest_marker("slow"):
                item.add_marker(pytest.mark.skip(reason="slow: runs with --slow"))
    items.sort(key=lambda item: LONG.index(item.path.name) + 1 if item.path.name in LONG else 0)


class Without(pytest.Module):
    """A file of tests that import what is not installed."""

    def collect(self):
        pytest.skip(f"needs {self.missing}, which is not installed (requirements-test.txt)", allow_module_level=True)


def installed(name):
    try:
        return importlib.util.find_spec(name) is not None
    except ImportError:
        return False


def pytest_pycollect_makemodule(module_path, parent):
    source = module_path.read_text(encoding="utf-8")
    for name in NOT_NEEDED:
        if re.search(rf"^(import|from) {name}\b", source, re.M) and not installed(name):
            module = Without.from_parent(parent, path=module_path)
            module.missing = name
            return module
    return None


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory):
    """Keep what the tests cache in a temporary folder; return it."""
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MS_GAN_CACHE", str(folder))
        yield folder


@pytest.fixture(autouse=True)
def usual_signals():
    """Let SIGINT and SIGHUP do what they do in a terminal, also where whoever started the tests has them ignored."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGHUP)}
    for number, usual in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
        if before[number] is signal.SIG_IGN:
            signal.signal(number, usual)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture(autouse=True)
def nothing_runs_on():
    """End what a test that failed has started and left running."""
    yield
    for process in commands.started:
        if process.poll() is None:
            process.kill()
            process.communicate()
    commands.started.clear()


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
