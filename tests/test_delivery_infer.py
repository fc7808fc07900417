"""`infer` of many images: what is said on the way, what is held in memory, what is refused before anything is drawn."""

from __future__ import annotations

import io
import re
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from helpers.bundles import write_autoencoder, write_bundle, write_conditional
from helpers.commands import environment, here, refused_here
from PIL import Image

from ms_gan.cli import infer
from ms_gan.delivery import progress
from ms_gan.delivery.bundle import Bundle
from ms_gan.evaluation import plots
from ms_gan.sampling import seeded_inputs

pytestmark = pytest.mark.usefixtures("device")


@pytest.fixture(scope="module")
def folder(device, tmp_path_factory):
    """A bundle of 28x28 grey, without labels."""
    return write_bundle(
        tmp_path_factory.mktemp("plain") / "bundle", "mlp", "generator.widths=[8, 8]", formats=("onnx",)
    )


@pytest.fixture(scope="module")
def conditional(device, tmp_path_factory):
    return write_conditional(tmp_path_factory.mktemp("conditional") / "bundle", formats=("onnx",))


@pytest.fixture(scope="module")
def tagged(device, tmp_path_factory):
    return write_autoencoder(tmp_path_factory.mktemp("tagged") / "bundle", formats=("onnx",))


@pytest.mark.parametrize("name", ["a.PNG", "a.Npy", "a.NPY", "a.pNg", ".png"])
def test_a_suffix_is_known_in_any_case(name, folder, tmp_path):
    here("infer", folder, "--num", 3, "--output", tmp_path / name)
    content = (tmp_path / name).read_bytes()
    assert content.startswith(b"\x89PNG" if name.lower().endswith("png") else b"\x93NUMPY")


@pytest.mark.parametrize("name", ["a.jpg", "a", "png", "a.png.", "a.png ", "npy/"])
def test_another_suffix_is_refused(name, folder, tmp_path, capsys):
    assert "ends neither in .png nor in .npy" in refused_here(
        capsys, "infer", folder, "--num", 3, "--output", f"{tmp_path}/{name}"
    )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("count", [1, 255, 256, 257, 1000])
def test_an_array_that_is_written_piece_by_piece_is_that_of_numpy(count, folder, tmp_path):
    here("infer", folder, "--num", count, "--seed", 5, "--output", tmp_path / "x.npy")
    bundle, expected = Bundle(folder), io.BytesIO()
    np.save(expected, bundle.draw(seeded_inputs(bundle.latent, count, 5)))
    assert (tmp_path / "x.npy").read_bytes() == expected.getvalue()
    assert [path.name for path in tmp_path.iterdir()] == ["x.npy"]


@pytest.mark.parametrize("chosen", [[], ["basil"], ["basil,onion", "olive", "tomato"]])
def test_labels_go_on_in_turn_through_all_pieces(chosen, tagged, tmp_path):
    options = [word for label in chosen for word in ("--label", label)]
    here("infer", tagged, "--num", 600, *options, "--output", tmp_path / "x.npy")
    bundle = Bundle(tagged)
    labels = bundle.label_names.chosen(chosen)
    expected = bundle.draw(seeded_inputs(bundle.latent, 600, 1, labels[np.arange(600) % len(labels)]))
    assert np.array_equal(np.load(tmp_path / "x.npy"), expected)


def test_a_sheet_is_the_same_as_of_all_images_at_once(folder, conditional, tmp_path):
    bundle = Bundle(folder)
    here("infer", folder, "--num", 300, "--output", tmp_path / "x.png")
    plots.sheet(
        tmp_path / "y.png",
        bundle.draw(seeded_inputs(bundle.latent, 300, 1)),
        17,
        "generated samples",
        "mlp · step 1,234 · seed 1",
    )
    assert (tmp_path / "x.png").read_bytes() == (tmp_path / "y.png").read_bytes()
    here("infer", conditional, "--num", 25, "--label", 7, "--label", 3, "--output", tmp_path / "x.png", "--overwrite")
    bundle = Bundle(conditional)
    labels = np.int32([7, 3])[np.arange(25) % 2]
    plots.captioned(
        tmp_path / "y.png",
        bundle.draw(seeded_inputs(bundle.latent, 25, 1, labels)),
        2,
        bundle.label_names.texts(labels),
        "generated samples",
        "acgan · step 1,234 · seed 1",
    )
    assert (tmp_path / "x.png").read_bytes() == (tmp_path / "y.png").read_bytes()


@pytest.mark.parametrize("count", [100_000, 10**9, 10**30])
def test_too_many_images_for_a_picture_are_refused_before_they_are_drawn(count, folder, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(Bundle, "draw", None)
    told = refused_here(capsys, "infer", folder, "--num", count, "--output", tmp_path / "x.png")
    assert f"{count:,} images are too many for one picture" in told and ".npy" in told
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("count", [10**9, 10**15, 10**30])
def test_more_images_than_the_disk_holds_are_refused_before_they_are_drawn(
    count, folder, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr(Bundle, "draw", None)
    monkeypatch.setattr(infer.shutil, "disk_usage", lambda _: SimpleNamespace(free=10**12))
    told = refused_here(capsys, "infer", folder, "--num", count, "--output", tmp_path / "x.npy")
    assert f"{count:,} images take" in told and "only 1,000.0 GB are free" in told
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "shape, columns, captioned",
    [
        ((28, 28), 300, False),
        ((64, 64), 100, False),
        ((4, 4), 1000, False),
        ((28, 28), 10, True),
        ((28, 28), 2, True),
        ((28, 28), 1, True),
        ((256, 256), 10, True),
    ],
)
def test_the_largest_sheet_that_is_drawn_can_be_opened(shape, columns, captioned, tmp_path, monkeypatch):
    """Its pixels are counted on, and not drawn: that takes a while."""

    def fits(count):
        try:
            infer._require_room(tmp_path / "x.png", (count, 1, *shape), False, columns, captioned)
        except infer.UserError:
            return False
        return True

    most = max(count for power in range(1, 27) for count in (2**power, 3 * 2**power) if fits(count))
    assert 30 < most < 10**7
    images = np.zeros((min(most, 40 * columns), 1, *shape), np.uint8)
    if captioned:
        plots.captioned(tmp_path / "x.png", images, columns, ["a label"] * len(images), "generated samples")
    else:
        plots.sheet(tmp_path / "x.png", images, columns, "generated samples")
    with Image.open(tmp_path / "x.png") as picture:
        width, height = picture.size
    pixels = width * height if most <= len(images) else width * height * most / len(images)
    if not captioned and len(images) < most:  # a few are drawn larger than many
        pixels = (shape[1] + plots.GAP) * (shape[0] + plots.GAP) * most
    assert pixels < 1.1 * Image.MAX_IMAGE_PIXELS, "Pillow warns of larger ones, and refuses those of twice as many"


# what is said on the way


@pytest.fixture
def clock(monkeypatch):
    now = SimpleNamespace(seconds=0.0)
    monkeypatch.setattr(progress.time, "monotonic", lambda: now.seconds)
    return now


def test_beside_a_terminal_a_line_comes_every_30_seconds(clock, capsys):
    with progress.counting(1000, "images") as add:
        for _ in range(10):
            clock.seconds += 10
            add(100)
    said = capsys.readouterr()
    assert (
        said.err.splitlines()
        == ["300 of 1,000 images, 01:10 left", "600 of 1,000 images, 00:40 left", "900 of 1,000 images, 00:10 left"]
        and said.out == ""
    )


def test_what_is_quick_says_nothing(folder, tmp_path, capsys):
    here("infer", folder, "--num", 600, "--output", tmp_path / "x.npy")
    assert capsys.readouterr() == (f"{tmp_path / 'x.npy'}\n", "")


def test_nobody_who_reads_is_no_reason_to_end(clock, monkeypatch):
    monkeypatch.setattr(sys, "stderr", open("/dev/full", "w"))
    with progress.counting(2, "images") as add:
        clock.seconds += 60
        add(1)


def test_on_a_terminal_there_is_a_bar_with_the_time_left(tmp_path):
    program = (
        "import sys, time\n"
        "from ms_gan.delivery.progress import counting\n"
        "with counting(50, 'images') as add:\n"
        "    for _ in range(50):\n"
        "        time.sleep(float(sys.argv[1]))\n"
        "        add(1)\n"
    )
    (tmp_path / "program.py").write_text(program)
    for seconds, shown in ((0.05, True), (0, False)):
        command = f"stty cols 80; {sys.executable} {tmp_path / 'program.py'} {seconds}"
        done = subprocess.run(
            ["script", "-qec", command, "/dev/null"], env=environment(), capture_output=True, text=True
        )
        assert done.returncode == 0, done.stdout
        assert bool(re.search(r"\d+%\|.*\| \d+/50 \d\d:\d\d left", done.stdout)) == shown, done.stdout


def test_memory_does_not_grow_with_the_number_of_images(folder, tmp_path):
    program = (
        "import resource, sys\n"
        "from ms_gan.cli import main\n"
        "assert main(sys.argv[1:]) == 0\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)\n"
    )
    found = []
    for count in (1000, 40_000):  # 3 and 125 MB of images
        done = subprocess.run(
            [
                sys.executable,
                "-c",
                program,
                "infer",
                str(folder),
                "--num",
                str(count),
                "--output",
                str(tmp_path / f"{count}.npy"),
            ],
            env=environment(),
            capture_output=True,
            text=True,
        )
        found.append(int(done.stdout.splitlines()[-1]))
    assert found[1] < found[0] + 60_000, found
