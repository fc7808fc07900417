"""`infer` of many images: what is said on the way, what is held in memory, what is refused before anything is drawn."""

from __future__ import annotations

import contextlib
import io
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import onnxruntime
import pytest
from helpers.bundles import TAGS, labels_of, recipe_of, write_bundle, write_conditional
from helpers.commands import environment, here, python, refused_here
from PIL import Image, ImageSequence

from ms_gan.cli import infer
from ms_gan.delivery.bundle import Bundle
from ms_gan.delivery.export import models_of
from ms_gan.errors import UserError
from ms_gan.evaluation import films, plots
from ms_gan.sampling import seeded_inputs
from ms_gan.schema.recipe import Latent

pytestmark = pytest.mark.usefixtures("device")


@pytest.fixture(scope="module")
def folder(device, tmp_path_factory):
    """A bundle of 28x28 grey, without labels."""
    return write_bundle(
        tmp_path_factory.mktemp("plain") / "bundle", "mlp", "generator.widths=[8, 8]", formats=("onnx",)
    )


@pytest.mark.parametrize("name", ["a.PNG", "a.Npy", ".png"])
def test_a_suffix_is_known_in_any_case(name, folder, tmp_path):
    here("infer", folder, "--num", 3, "--output", tmp_path / name)
    content = (tmp_path / name).read_bytes()
    assert content.startswith(b"\x89PNG" if name.lower().endswith("png") else b"\x93NUMPY")


@pytest.mark.parametrize("name", ["a.jpg", "png", "a.png ", "npy"])
def test_another_suffix_is_refused(name, folder, tmp_path, capsys):
    assert "does not end in .png, .npy, .gif, .mp4 or a folder's /" in refused_here(
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


def test_a_seed_is_what_the_documents_say():
    text = (Path(__file__).parents[1] / "docs" / "bundle.md").read_text(encoding="utf-8")
    (program,) = re.findall(r"```python\n(import numpy\n.*?)```", text, re.DOTALL)
    told = {"seed": 7, "n": 20, "size": 100}
    exec(program, told)
    for name in ("normal", "uniform", "sphere"):
        (latents,) = seeded_inputs(Latent(size=100, distribution=name), 20, 7)
        assert np.array_equal(told[name], latents) and told[name].dtype == np.float32


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_latents_of_a_file_draw_what_their_seed_draws(kind, folder, tmp_path):
    first, second, latents = tmp_path / "first.npy", tmp_path / "second.npy", tmp_path / "latents.npy"
    here("infer", folder, "--num", 300, "--seed", 5, "--output", first, "--save-latents", latents)
    saved = np.load(latents)
    assert saved.dtype == np.float32 and np.array_equal(saved, seeded_inputs(Bundle(folder).latent, 300, 5)[0])
    np.save(latents, saved.astype(kind))
    here("infer", folder, "--latents", latents, "--output", second)
    assert first.read_bytes() == second.read_bytes()


def test_latents_of_a_file_take_labels_in_turn(autoencoder_folder, tmp_path):
    bundle = Bundle(autoencoder_folder, "onnx")
    latents = np.random.default_rng(1).standard_normal((130, bundle.latent.size), np.float32)
    np.save(tmp_path / "z.npy", latents)
    chosen = ("--label", "basil", "--label", "onion")
    here("infer", autoencoder_folder, "--latents", tmp_path / "z.npy", *chosen, "--output", tmp_path / "x.npy")
    labels = bundle.label_names.chosen(["basil", "onion"])[np.arange(130) % 2]
    assert np.array_equal(np.load(tmp_path / "x.npy"), bundle.draw((latents, labels)))


@pytest.mark.parametrize(
    "held, said",
    [
        (np.zeros((3, 99), np.float32), "holds float32 (3, 99), where this generator takes float32 (N, 100)"),
        (np.zeros((3, 100), np.int64), "holds int64 (3, 100), where"),
        (np.zeros(100, np.float32), "holds float32 (100,), where"),
        (np.zeros((0, 100), np.float32), "holds float32 (0, 100), where"),
        (np.full((1, 100), 1e300), "holds numbers that are not finite in float32"),
        (np.full((1, 100), np.nan, np.float32), "holds numbers that are not finite in float32"),
        (np.array([None]), "not a .npy file of numbers"),
    ],
)
def test_other_latents_are_refused(held, said, folder, tmp_path, capsys):
    np.save(tmp_path / "z.npy", held)
    words = ("infer", folder, "--latents", tmp_path / "z.npy", "--output", tmp_path / "x.npy")
    assert said in refused_here(capsys, *words)
    assert not (tmp_path / "x.npy").exists()


def test_latents_that_cannot_be_meant_are_refused(folder, tmp_path, capsys):
    np.save(tmp_path / "z.npy", np.zeros((1, 100), np.float32))
    words, output = ("infer", folder, "--latents", tmp_path / "z.npy"), ("--output", tmp_path / "x.npy")
    assert "latents of a file have no seed; leave out --seed" in refused_here(capsys, *words, *output, "--seed", 2)
    for name, said in (
        ("z.npy", "is there already"),
        ("x.npy", "is named for images and latents"),
        ("y.png", "does not end in .npy; name another file with --save-latents"),
    ):
        assert said in refused_here(capsys, *words, *output, "--save-latents", tmp_path / name)
    whole = (tmp_path / "z.npy").read_bytes()
    for damaged in (b"latents", b"PK\3\4latents", whole.replace(b"(1, 100), }", b"(1, 100,   ")):
        (tmp_path / "text.npy").write_bytes(damaged)
        said = refused_here(capsys, "infer", folder, "--latents", tmp_path / "text.npy", *output)
        assert "not a .npy file of numbers" in said
    np.save(tmp_path / "large.npy", np.full((2, 100), 3e38, np.float32))
    said = refused_here(capsys, "infer", folder, "--latents", tmp_path / "large.npy", *output)
    assert "large.npy: gives images with numbers that are not finite" in said and "use smaller latents" in said
    assert "no such file" in refused_here(capsys, "infer", folder, "--latents", tmp_path / "none.npy", *output).lower()


@pytest.mark.parametrize("chosen", [[], ["basil"], ["basil,onion", "olive", "tomato"]])
def test_labels_go_on_in_turn_through_all_pieces(chosen, autoencoder_folder, tmp_path):
    options = [word for label in chosen for word in ("--label", label)]
    here("infer", autoencoder_folder, "--num", 600, *options, "--output", tmp_path / "x.npy")
    bundle = Bundle(autoencoder_folder, "onnx")
    labels = bundle.label_names.chosen(chosen)
    expected = bundle.draw(seeded_inputs(bundle.latent, 600, 1, labels[np.arange(600) % len(labels)]))
    assert np.array_equal(np.load(tmp_path / "x.npy"), expected)


def test_a_sheet_is_the_same_as_of_all_images_at_once(folder, conditional_folder, tmp_path):
    found, expected = tmp_path / "x.png", tmp_path / "y.png"
    bundle = Bundle(folder)
    images = bundle.draw(seeded_inputs(bundle.latent, 300, 1))
    here("infer", folder, "--num", 300, "--output", found)
    plots.sheet(expected, images, 17, "generated samples", "mlp · step 1,234 · seed 1")
    assert found.read_bytes() == expected.read_bytes()
    bundle = Bundle(conditional_folder, "onnx")
    labels = np.int32([7, 3])[np.arange(25) % 2]
    images, texts = bundle.draw(seeded_inputs(bundle.latent, 25, 1, labels)), bundle.label_names.texts(labels)
    here("infer", conditional_folder, "--num", 25, "--label", 7, "--label", 3, "--output", found, "--overwrite")
    plots.captioned(expected, images, 2, texts, "generated samples", "acgan · step 1,234 · seed 1")
    assert found.read_bytes() == expected.read_bytes()


@pytest.mark.parametrize(
    "count, name, named",
    [
        (100_000, "x.png", "100,000 images are too many for one picture"),
        (10**30, "x.png", "images are too many for one picture"),
        (10**9, "x.npy", "1,000,000,000 images take 3,136.0 GB, and only 1,000.0 GB are free there"),
        (10**30, "x.npy", "only 1,000.0 GB are free"),
    ],
)
def test_more_images_than_fit_are_refused_before_they_are_drawn(
    count, name, named, folder, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr(Bundle, "draw", None)
    monkeypatch.setattr(infer.shutil, "disk_usage", lambda _: SimpleNamespace(free=10**12))
    assert named in refused_here(capsys, "infer", folder, "--num", count, "--output", tmp_path / name)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "size, columns, captioned", [(28, 300, False), (64, 100, False), (4, 1000, False), (28, 10, True), (256, 1, True)]
)
def test_the_largest_sheet_that_is_drawn_can_be_opened(size, columns, captioned, tmp_path):
    """Its pixels are counted on from those of a smaller one: to draw it takes a while."""

    def fits(count):
        with contextlib.suppress(infer.UserError):
            infer._require_room(tmp_path / "x.png", (count, 1, size, size), ".png", columns, captioned)
            return True

    most = max(count for power in range(1, 27) for count in (2**power, 3 * 2**power) if fits(count))
    assert 30 < most < 10**7
    images = np.zeros((min(most, 40 * columns), 1, size, size), np.uint8)
    if captioned:
        plots.captioned(tmp_path / "x.png", images, columns, ["a label"] * len(images), "generated samples")
    else:
        plots.sheet(tmp_path / "x.png", images, columns, "generated samples")
    with Image.open(tmp_path / "x.png") as picture:
        pixels = picture.width * picture.height * max(1, most / len(images))
    if not captioned and len(images) < most:  # a few are drawn larger than many
        pixels = (size + plots.GAP) ** 2 * most
    assert pixels < 1.1 * Image.MAX_IMAGE_PIXELS, "Pillow warns of larger ones, and refuses those of twice as many"


# what is said on the way


def test_what_is_quick_says_nothing(folder, tmp_path, capsys):
    here("infer", folder, "--num", 600, "--output", tmp_path / "x.npy")
    said = f"drawn as onnx by onnxruntime {onnxruntime.__version__}, CPU: the bundle holds no MindIR"
    assert capsys.readouterr() == (f"{tmp_path / 'x.npy'}\n{said}\n", "")


def test_on_a_terminal_there_is_a_bar_with_the_time_left(tmp_path):
    program = (
        "import sys, time, numpy\n"
        "from ms_gan.cli import infer\n"
        "class Slow:\n"
        "    folder = 'x'\n"
        "    def draw(self, inputs):\n"
        "        time.sleep(float(sys.argv[1]))\n"
        "        return numpy.zeros(len(inputs[0]))\n"
        "chunks = ((numpy.zeros((128, 1)),) for _ in range(50))\n"
        "for _ in infer._drawn(Slow(), chunks, 6400): pass\n"
    )
    (tmp_path / "program.py").write_text(program)
    for seconds, shown in ((0.1, True), (0, False)):
        command = f"stty cols 80; {sys.executable} {tmp_path / 'program.py'} {seconds}"
        captured = {"env": environment(), "capture_output": True, "text": True}
        done = subprocess.run(["script", "-qec", command, "/dev/null"], **captured)
        assert done.returncode == 0, done.stdout
        assert bool(re.search(r"\d+%\|.*\| \d+/6400 \d\d:\d\d left", done.stdout)) == shown, done.stdout


def test_memory_does_not_grow_with_the_number_of_images(folder, tmp_path):
    program = (
        "import resource, sys\n"
        "from ms_gan.cli import main\n"
        "assert main(sys.argv[1:]) == 0\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)\n"
    )
    found = []
    for count in (1000, 40_000):  # 3 and 125 MB of images
        done = python("-c", program, "infer", folder, "--num", count, "--output", tmp_path / f"{count}.npy")
        found.append(int(done.stdout.splitlines()[-1]))
    assert found[1] < found[0] + 60_000, found


# folders, films and truncation


@pytest.fixture(scope="module")
def labelled(device, tmp_path_factory):
    """A bundle of ten classes."""
    return write_conditional(tmp_path_factory.mktemp("labelled") / "bundle", formats=("onnx",))


def test_a_folder_holds_each_image_as_a_png_and_is_not_written_into_again(labelled, tmp_path, capsys):
    command = ("infer", labelled, "--num", 12, "--label", 7, "--seed", 4, "--output")
    here(*command, f"{tmp_path}/images/")
    here(*command, tmp_path / "x.npy")
    files = sorted((tmp_path / "images").iterdir())
    assert [file.name for file in files] == [f"{number:06}.png" for number in range(12)]
    pixels = np.stack([np.asarray(Image.open(file)) for file in files])
    assert np.array_equal(pixels, np.rint(np.load(tmp_path / "x.npy") * 255).astype(np.uint8)[:, 0])
    assert "already holds 000000.png; name another folder with --output\n" in refused_here(
        capsys, *command, f"{tmp_path}/images/"
    )
    assert "a folder is not replaced; leave out --overwrite" in refused_here(
        capsys, *command, f"{tmp_path}/images/", "--overwrite"
    )
    (tmp_path / "empty").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "empty")
    here(*command, f"{tmp_path}/link/")
    assert len(list((tmp_path / "empty").iterdir())) == 12, "where the link leads"
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_images_in_colour_are_pngs_in_colour(device, tmp_path):
    folder = write_bundle(tmp_path / "bundle", "rpgan_residual", *TAGS, "generator.widths=[8, 6, 4]", formats=("onnx",))
    here("infer", folder, "--num", 2, "--output", f"{tmp_path}/images/")
    assert Image.open(tmp_path / "images" / "000001.png").mode == "RGB"


def frames_of(file):
    """A film's frames, uint8 (N, height, width, 3), and how many pass in a second."""
    if file.suffix == ".gif":
        with Image.open(file) as film:
            assert film.info["loop"] == 0, "it goes on for ever"
            return np.stack([np.asarray(frame.convert("RGB")) for frame in ImageSequence.Iterator(film)]), 1000 / 50
    film, found = cv2.VideoCapture(str(file)), []
    while (read := film.read())[0]:
        found.append(read[1][:, :, ::-1])
    return np.stack(found), film.get(cv2.CAP_PROP_FPS)


def test_films_keep_colours_and_have_even_frames(tmp_path):
    import cv2

    from ms_gan.evaluation.films import frame_size, write_film

    assert frame_size((1, 9, 9), 1) == (270, 270)
    red = np.zeros((2, 3, 32, 32), np.uint8)
    red[:, 0] = 255
    write_film(tmp_path / "red.mp4", red, 1)
    found, frame = cv2.VideoCapture(str(tmp_path / "red.mp4")).read()
    assert found and frame[..., 2].mean() > 200 > 50 > frame[..., 0].mean(), "OpenCV reads blue first"
    write_film(tmp_path / "red.gif", red, 1)
    with Image.open(tmp_path / "red.gif") as film:
        assert film.convert("RGB").getpixel((9, 9)) == (255, 0, 0)


@pytest.mark.parametrize("suffix", ["gif", "mp4"])
def test_a_film_walks_from_latent_to_latent_with_the_labels_side_by_side(suffix, labelled, tmp_path):
    file = tmp_path / f"100% a walk.{suffix}"
    here("infer", labelled, "--num", 3, "--steps", 4, "--label", 1, "--label", 8, "--seed", 2, "--output", file)
    bundle = Bundle(labelled)
    stops = seeded_inputs(bundle.latent, 3, 2)[0]
    for frame, latent in zip(range(0, 12, 4), stops):
        due = bundle.draw((np.stack([latent] * 2), np.array([1, 8], np.int32)))
        found, rate = frames_of(file)
        assert len(found) == 12 and rate == 20 and found.shape[1] * 2 == found.shape[2]
        shown = found[frame].reshape(28, found.shape[1] // 28, 2, 28, found.shape[1] // 28, 3)[:, 5, :, :, 5, 0]
        difference = np.abs(shown.transpose(1, 0, 2) / 255 - due[:, 0])
        assert difference.max() < (0.01 if suffix == "gif" else 0.2), "a video is compressed"
    assert np.abs(np.diff(found.astype(float), axis=0)).max(axis=(1, 2, 3)).min() > 0, "each frame is another one"


def test_a_walk_leads_back_to_where_it_began():
    stops = np.random.default_rng(0).standard_normal((3, 8), dtype=np.float32)
    walk = films.closed_walk("normal", stops, 5)
    assert walk.shape == (15, 8) and np.allclose(walk[::5], stops, atol=1e-6)
    step = np.linalg.norm(walk[0] - walk[-1])
    assert 0 < step < np.linalg.norm(stops[2] - stops[0]) / 2, "from the last latent it goes on to the first"


@pytest.mark.parametrize("distribution", ["normal", "uniform"])
def test_truncated_latents_are_nearer_to_the_middle(distribution, device, tmp_path):
    settings = ("generator.widths=[8, 8]", f"latent.distribution={distribution}")
    folder = write_bundle(tmp_path / "bundle", "mlp", *settings, formats=("onnx",))
    for name, more in (("plain", ()), ("half", ("--truncation", 0.5)), ("one", ("--truncation", 1))):
        kept = ("--save-latents", tmp_path / f"{name}.npy")
        here("infer", folder, "--num", 5, "--output", tmp_path / f"{name}.png", *kept, *more)
    plain, half = (np.load(tmp_path / f"{name}.npy") for name in ("plain", "half"))
    assert (
        np.array_equal(half, plain / 2) and (tmp_path / "one.png").read_bytes() == (tmp_path / "plain.png").read_bytes()
    )
    assert (tmp_path / "half.png").read_bytes() != (tmp_path / "plain.png").read_bytes()


def test_clusters_keep_their_shares(device, tmp_path):
    folder = write_bundle(tmp_path / "bundle", "rpgan", "generator.widths=[16, 16]", formats=("onnx",))
    latents = {}
    for share in (1, 0.5):
        kept = tmp_path / f"{share}.npy"
        here(
            "infer",
            folder,
            "--num",
            5,
            "--output",
            tmp_path / f"{share}.png",
            "--save-latents",
            kept,
            "--truncation",
            share,
        )
        latents[share] = np.load(kept)
    assert np.array_equal(latents[0.5][:, 0], latents[1][:, 0]), "the first number chooses the cluster"
    assert np.array_equal(latents[0.5][:, 1:], latents[1][:, 1:] / 2)


@pytest.mark.parametrize("classes, clusters", [(0, 20), (10, None)])
def test_a_generator_that_takes_classes_has_no_clusters(classes, clusters):
    recipe = recipe_of("rpgan", []).but({"data.classes": classes})
    (latent, *_) = models_of(recipe, labels_of(recipe), with_encoder=False)["generator"].inputs
    assert recipe.data.clusters == 20 and latent.clusters == clusters
    assert ("the first number chooses one of 20 clusters" in latent.meaning) == bool(clusters)


def test_more_labels_than_images_are_refused(device, tmp_path, capsys):
    folder = write_conditional(tmp_path / "bundle")
    three = ("--label", 1, "--label", 2, "--label", 3)
    line = refused_here(capsys, "infer", folder, "--num", 2, *three, "--output", tmp_path / "a.png")
    assert line == "error: 3 labels were named, and 2 images asked for; name at most one for each image\n"
    with pytest.raises(UserError, match="^3 labels were named, and 2 images asked for"):
        Bundle(folder, "onnx").sample(2, labels=["1", "2", "3"])
    here("infer", folder, "--num", 3, *three, "--output", tmp_path / "a.png")


WRONG = {
    "truncation of a sphere": (("--truncation", 0.5), "lie on a sphere; leave out --truncation"),
    "a film of one": (
        ("--num", 1, "--output", "a.gif"),
        "a walk needs two latents or more, not 1; ask for more with --num",
    ),
    "too long a film": (
        ("--num", 600, "--output", "a.mp4"),
        "600 latents and 20 steps make 12,000 frames, and 10,000 may be",
    ),
    "steps of a sheet": (("--steps", 3), "only a film has steps; leave out --steps"),
}


@pytest.mark.parametrize("what", WRONG)
def test_what_does_not_go_together_is_refused_at_once(what, device, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    settings = ("generator.widths=[8, 8]", "latent.distribution=sphere")
    write_bundle(tmp_path / "bundle", "mlp", *settings, formats=("onnx",))
    more, told = WRONG[what]
    command = {"--num": 4, "--output": "a.png", **dict(zip(more[::2], more[1::2]))}
    assert told in refused_here(capsys, "infer", "bundle", *(word for pair in command.items() for word in pair))


def test_films_are_bounded_by_pixels_before_anything_is_drawn(labelled, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(Bundle, "draw", None)
    command = ("infer", labelled, "--num", 50, "--output")
    assert "1,000 frames, and 637 may be" in refused_here(capsys, *command, tmp_path / "a.gif")
    monkeypatch.setattr(infer, "MOST_ACROSS", 1000)
    line = refused_here(capsys, *command, tmp_path / "a.mp4")
    assert "10 labels side by side are 2,800 pixels wide, and 1,000 may be; choose fewer with --label" in line


def test_the_latents_of_a_film_that_are_kept_are_those_that_it_visits(labelled, tmp_path):
    kept, command = tmp_path / "stops.npy", ("infer", labelled, "--steps", 3, "--label", 1, "--label", 2)
    here(*command, "--num", 4, "--output", tmp_path / "a.gif", "--save-latents", kept, "--truncation", 0.5)
    assert np.array_equal(np.load(kept), seeded_inputs(Bundle(labelled).latent, 4, 1)[0] / 2)
    here(*command, "--latents", kept, "--output", tmp_path / "b.gif")
    assert (tmp_path / "a.gif").read_bytes() == (tmp_path / "b.gif").read_bytes()


def test_a_folder_needs_room_on_the_disk(labelled, tmp_path, capsys):
    line = refused_here(capsys, "infer", labelled, "--num", 10**12, "--output", f"{tmp_path}/images/")
    assert "1,000,000,000,000 images take" in line and "are free there" in line


@pytest.mark.parametrize("share", ["0", "1.5", "x", "nan"])
def test_a_share_is_above_0_and_at_most_1(share, folder, capsys):
    command = ("infer", folder, "--num", 2, "--output", "a.png", "--truncation", share)
    assert "must be a number above 0, up to 1" in refused_here(capsys, *command)
