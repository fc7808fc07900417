"""What every test may use: one device, one small recipe, and a cache that is thrown away."""

from __future__ import annotations

import gc
import importlib.util
import signal

import numpy as np
import pytest

pytest.register_assert_rewrite("helpers")

from helpers import bundles, commands, networks  # noqa: E402

# The files that take ten seconds or more, the longest first.
LONG = [
    *("resume", "photographs", "judges", "serve_command", "clusters", "onnx", "delivery", "scores", "serving"),
    *("parallel", "recipes", "added_recipes", "training_folders", "average", "training_scores", "scripts"),
    *("autoencoder_procedures", "command_line", "signals", "page", "rpgan", "procedures", "autoencoders"),
]
without_tritonclient = importlib.util.find_spec("tritonclient") is None
collect_ignore = ["test_onnx.py", "test_serving.py"] if without_tritonclient else []


def pytest_terminal_summary(terminalreporter):
    if without_tritonclient:
        terminalreporter.write_line(f"left out: {', '.join(collect_ignore)}: tritonclient is not installed")


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
    place = {f"test_{name}.py": place for place, name in enumerate(LONG, 1)}
    items.sort(key=lambda item: place.get(item.path.name, 0))


def pytest_collection_finish(session):
    """Put what was imported out of the garbage collector's sight: MindSpore calls it before each compilation."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory):
    """Keep what the tests cache in a temporary folder; return it."""
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MS_GAN_CACHE", str(folder))
        patch.setenv("MS_GAN_KERNELS", "0")  # but where a test is about them: see own_kernels
        yield folder


@pytest.fixture(scope="module")
def own_kernels(cache):
    """Let this module use the project's kernels; return the path of their library. Skips where there is no compiler."""
    from ms_gan.kernels.build import _compilers, library

    if not any(_compilers()):
        pytest.skip("no C++ compiler here")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MS_GAN_KERNELS", "1")
        library.cache_clear()
        assert library().path is not None, library().reason
        yield library().path
    library.cache_clear()


@pytest.fixture
def own_cache(tmp_path, monkeypatch):
    """Where one test alone keeps what it caches: a folder that is not there yet."""
    monkeypatch.setenv("MS_GAN_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture(autouse=True)
def usual_signals():
    """Let signals do what they do in a terminal, also where the tests were started with some of them ignored."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGHUP, signal.SIGQUIT)}
    for number, handler in before.items():
        if handler is signal.SIG_IGN:
            signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture(autouse=True)
def only_the_projects_own():
    """Forget the families and networks that other tests have registered: hints and errors name them, too."""
    from ms_gan.recipes import FAMILIES, NETWORKS, registry

    def forget():
        for table in (FAMILIES, NETWORKS):
            for name in table.keys() - registry.OWN:
                del table[name]

    forget()
    yield
    forget()


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
def pynative():
    """Run Cells without compiling them: for layers that are compared with numbers, one by one."""
    import mindspore

    mindspore.set_context(mode=mindspore.PYNATIVE_MODE)
    yield
    mindspore.set_context(mode=mindspore.GRAPH_MODE)


@pytest.fixture(scope="module")
def short_judges():
    """Judges of a few steps, for tests where they only have to be there; and scores after epochs of any length."""
    from ms_gan.evaluation import judge_training
    from ms_gan.training import session, validation

    assert session.STEPS_BETWEEN_LOOKS > 1, "sheets and checkpoints keep their distance; only scores do not"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(judge_training, "EPOCHS", 1)
        patch.setattr(judge_training, "LEAST_STEPS", 20)
        patch.setattr(validation, "STEPS_BETWEEN_LOOKS", 1)
        yield


@pytest.fixture(scope="module")
def conditional_folder(device, tmp_path_factory):
    """A bundle of ten classes, in both formats."""
    return bundles.write_conditional(tmp_path_factory.mktemp("conditional") / "bundle")


@pytest.fixture(scope="module")
def autoencoder_folder(device, tmp_path_factory):
    """A bundle with an encoder, and with tags, in both formats."""
    return bundles.write_autoencoder(tmp_path_factory.mktemp("autoencoder") / "bundle")


@pytest.fixture
def small_recipe():
    """The recipe `mlp` with networks that compile and run in a moment."""
    from ms_gan import recipes

    return recipes.override(recipes.load("mlp"), [*networks.MLP, networks.BATCH])


@pytest.fixture
def small_conditional_recipe():
    """The recipe `acgan` with networks that compile and run in a moment."""
    from ms_gan import recipes

    return recipes.override(recipes.load("acgan"), [*networks.ACGAN, networks.BATCH])


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
