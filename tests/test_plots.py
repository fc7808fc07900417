"""Pictures of images: the right pixels in the right place, the same bytes each time, and the labels asked for."""

from __future__ import annotations

import inspect

import numpy as np
import pytest
from PIL import Image

from ms_gan.data.description import ImageData
from ms_gan.evaluation import plots
from ms_gan.evaluation.sheets import Sheets
from ms_gan.labels import LabelNames
from ms_gan.sampling import seeded_inputs
from ms_gan.schema.recipe import Latent

LATENT = Latent(size=5)
CLASSES = ("zero", "one", "two")
NAMES = LabelNames(CLASSES)


def noise(count, channels=1, size=28, seed=0):
    return np.random.default_rng(seed).random((count, channels, size, size), dtype=np.float32)


def pixels_of(path):
    with Image.open(path) as picture:
        return np.asarray(picture.convert("RGB"))


def size_of(path):
    return pixels_of(path).shape[1::-1]


def place_of(page, part):
    """Where in the array `page` the array `part` stands: its top and left; None when it does not."""
    height, width, _ = part.shape
    for top, left in np.argwhere((page == part[0, 0]).all(axis=-1)):
        if np.array_equal(page[top : top + height, left : left + width], part):
            return top, left
    return None


def contains(page, part):
    return place_of(page, part) is not None


@pytest.mark.parametrize("channels", [1, 3])
def test_each_image_stands_in_its_cell_in_squares_of_equal_pixels(channels):
    images = noise(8, channels)
    grid = plots.compose_grid(images, columns=3, width=3 * 28 * 4)
    cell, step = 28 * 4, 28 * 4 + plots.GAP
    assert grid.shape == (3 * step - plots.GAP, 3 * step - plots.GAP, 3)
    for index, image in enumerate(images):
        top, left = index // 3 * step, index % 3 * step
        expected = np.kron(np.rint(image * 255).transpose(1, 2, 0), np.ones((4, 4, 3 // channels)))
        assert np.array_equal(grid[top : top + cell, left : left + cell], expected)
    assert (grid[2 * step :, 2 * step :] == 255).all(), "the cell without an image is white"
    assert (grid[cell:step] == 255).all() and (grid[:, cell:step] == 255).all(), "the gaps are white"


def test_bytes_and_fractions_give_the_same_grid():
    levels = np.arange(256, dtype=np.uint8).reshape(1, 1, 16, 16)
    fractions = levels.astype(np.float32) / 255
    assert np.array_equal(plots.compose_grid(levels, 1), plots.compose_grid(fractions, 1))


@pytest.mark.parametrize(
    "images",
    [noise(4)[0], noise(4, channels=2), noise(4).astype(np.float64), noise(4) + 1, noise(4) - 1, noise(4) * np.nan],
)
def test_what_is_no_batch_of_images_is_refused(tmp_path, images):
    with pytest.raises(ValueError, match="images"):
        plots.sheet(tmp_path / "sheet.png", images, 2, "title")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("side, size, channels", [(1, 28, 1), (5, 28, 1), (10, 28, 3), (20, 28, 1), (9, 64, 3)])
def test_a_sheet_shows_the_whole_grid_at_a_sensible_size(tmp_path, side, size, channels):
    images = noise(side * side, channels, size)
    plots.sheet(tmp_path / "sheet.png", images, side, "title", "caption")
    page = pixels_of(tmp_path / "sheet.png")
    assert 450 <= page.shape[1] <= 1000
    assert contains(page, plots.compose_grid(images, side))


def test_a_long_title_makes_the_page_higher_and_no_wider(tmp_path):
    plots.sheet(tmp_path / "short.png", noise(1), 1, "title")
    plots.sheet(tmp_path / "long.png", noise(1), 1, "a title of many words " * 10 + "x" * 200)
    width, height = size_of(tmp_path / "short.png")
    long_width, long_height = size_of(tmp_path / "long.png")
    assert long_width <= width + 2  # the least width of text is a little above that of one cell
    assert long_height > height + 100


def test_labels_take_room_beside_the_rows_and_above_the_columns(tmp_path):
    images = noise(6)
    plots.sheet(tmp_path / "bare.png", images, 3, "title")
    plots.sheet(tmp_path / "level.png", images, 3, "title", None, ["first", "second"], ["a", "b", "c"])
    plots.sheet(tmp_path / "upright.png", images, 3, "title", None, (), ["a", "b", "many toppings " * 10])
    bare, level, upright = (size_of(tmp_path / f"{name}.png") for name in ("bare", "level", "upright"))
    assert level[0] > bare[0] and 0 < level[1] - bare[1] < 40
    assert upright[0] == bare[0] and upright[1] - bare[1] > 300
    assert contains(pixels_of(tmp_path / "level.png"), plots.compose_grid(images, 3))


def test_labels_and_grids_that_do_not_go_with_the_images_are_refused(tmp_path):
    path, images = tmp_path / "x.png", noise(6)
    for labels in ({"row_labels": ["a"]}, {"column_labels": ["a", "b"]}):
        with pytest.raises(ValueError, match="labels for"):
            plots.sheet(path, images, 3, "title", **labels)
    with pytest.raises(ValueError, match="5 labels for 6 images"):
        plots.captioned(path, images, 3, ["a"] * 5, "title")
    for other in (noise(5), noise(6, size=32)):
        with pytest.raises(ValueError, match="agree"):
            plots.compare(path, ("generated", images), ("real", other), 2, "title")
    assert not path.exists()


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("above", [False, True])
def test_a_comparison_has_both_grids_beside_or_above_each_other(tmp_path, channels, above):
    generated, real = noise(4), noise(4, channels, seed=1)
    halves = ("generated", generated), ("real", real)
    plots.compare(tmp_path / "compare.png", *halves, 2, "title", "caption", above=above)
    page = pixels_of(tmp_path / "compare.png")
    grids = [plots.compose_grid(images, 2, width=600) for images in (generated, real)]
    (top, left), (other_top, other_left) = (place_of(page, grid) for grid in grids)
    if above:
        assert other_left == left and other_top > top + len(grids[0])
    else:
        assert other_top == top and other_left > left + grids[0].shape[1]


def write_frames(folder, count):
    """Write small PNGs, the first black and each a little lighter, and return their paths."""
    paths = [folder / f"{number:04}.png" for number in range(count)]
    for number, path in enumerate(paths):
        Image.new("RGB", (8, 6), (number * 255 // max(count - 1, 1), 0, 0)).save(path)
    return paths


def read_gif(path):
    """Return the frames' first pixels and durations, and the number of loops (0 is endless)."""
    with Image.open(path) as animation:
        pixels, durations = [], []
        for number in range(animation.n_frames):
            animation.seek(number)
            durations.append(animation.info["duration"])
            pixels.append(animation.convert("RGB").getpixel((0, 0)))
        return pixels, durations, animation.info["loop"]


def test_an_animation_shows_every_frame_and_rests_on_the_last(tmp_path):
    plots.gif(tmp_path / "progress.gif", write_frames(tmp_path, 4))
    pixels, durations, loop = read_gif(tmp_path / "progress.gif")
    assert pixels == [(0, 0, 0), (85, 0, 0), (170, 0, 0), (255, 0, 0)]
    assert durations == [200, 200, 200, 2000]
    assert loop == 0


def test_a_long_animation_keeps_its_first_and_last_frame(tmp_path):
    plots.gif(tmp_path / "progress.gif", write_frames(tmp_path, 130))
    pixels, durations, _ = read_gif(tmp_path / "progress.gif")
    assert len(pixels) == 100 and durations == [200] * 99 + [2000]
    assert pixels[0] == (0, 0, 0) and pixels[-1] == (255, 0, 0)
    steps = np.diff([red for red, _, _ in pixels])
    assert steps.min() >= 1 and steps.max() <= 4, "two of the 130 steps at most lie between two frames"


def test_grey_frames_keep_black_white_and_nearly_every_level(tmp_path):
    levels = np.repeat(np.arange(256, dtype=np.uint8)[None], 2, axis=0)
    Image.fromarray(levels).save(tmp_path / "levels.png")
    plots.gif(tmp_path / "levels.gif", [tmp_path / "levels.png"])
    shown = pixels_of(tmp_path / "levels.gif")[0].astype(int)
    assert shown[0].tolist() == [0] * 3 and shown[-1].tolist() == [255] * 3
    assert np.abs(shown - np.arange(256)[:, None]).max() <= 4


def test_frames_of_another_size_are_resized_to_the_first(tmp_path):
    frames = write_frames(tmp_path, 2)
    Image.new("RGB", (16, 12), (0, 0, 255)).save(frames[1])
    plots.gif(tmp_path / "progress.gif", frames)
    assert size_of(tmp_path / "progress.gif") == (8, 6)
    assert read_gif(tmp_path / "progress.gif")[0] == [(0, 0, 0), (0, 0, 255)]


def test_the_same_input_gives_the_same_bytes(tmp_path):
    images, other = noise(4), noise(4, seed=1)
    contents = []
    for folder in (tmp_path / "once", tmp_path / "again"):
        folder.mkdir()
        plots.sheet(folder / "a.png", images, 2, "title", "caption", ["0", "1"], ["0", "1"])
        plots.compare(folder / "b.png", ("a", images), ("b", other), 2, "title", "caption", above=True)
        plots.gif(folder / "d.gif", [folder / "a.png", folder / "b.png"])
        contents.append({path.name: path.read_bytes() for path in folder.iterdir()})
    assert contents[0] == contents[1]
    assert sorted(contents[0]) == ["a.png", "b.png", "d.gif"]
    for name in ("a.png", "b.png"):
        with Image.open(tmp_path / "once" / name) as picture:
            assert not {"Software", "Creation Time", "date"} & set(picture.info)


class Draw:
    """A generator that remembers what it was given; its images are black."""

    def __call__(self, inputs):
        self.inputs = inputs
        return np.zeros((len(inputs[0]), 1, 4, 4), np.float32)


@pytest.fixture
def shown(monkeypatch):
    """What is passed to `plots.sheet` and `plots.compare`, by name, the last call of each; they draw as ever."""
    calls = {}
    for name, original in (("sheet", plots.sheet), ("compare", plots.compare)):

        def recording(*arguments, original=original, **named):
            calls.update(inspect.signature(original).bind(*arguments, **named).arguments)
            original(*arguments, **named)

        monkeypatch.setattr(plots, name, recording)
    return calls


@pytest.mark.parametrize("labels, of_rows", [(None, ()), ([2, 0, 2], ["two", "zero", "two"])])
def test_samples_are_those_of_the_seed_and_each_row_shows_one_class(tmp_path, shown, labels, of_rows):
    draw, given = Draw(), None if labels is None else np.int32(labels)
    Sheets(draw, LATENT, 7, "about", NAMES).samples(tmp_path / "samples.png", 3, 2, given)
    latents, *of_each = draw.inputs
    assert np.array_equal(latents, seeded_inputs(LATENT, 6, 7)[0]), "they do not depend on the labels"
    assert [each.tolist() for each in of_each] == ([] if labels is None else [[2, 2, 0, 0, 2, 2]])
    assert shown["columns"] == 2 and shown["row_labels"] == of_rows
    assert (tmp_path / "samples.png").exists()


@pytest.mark.parametrize("labels, walks, names", [(None, 6, ()), ([1, 0, 1, 2], 4, ["one", "zero", "one", "two"])])
def test_each_row_of_an_interpolation_is_a_walk_within_one_class(tmp_path, shown, labels, walks, names):
    draw = Draw()
    walks_of = None if labels is None else np.int32(labels)
    Sheets(draw, LATENT, 7, "about", NAMES).interpolation(tmp_path / "interpolation.png", walks_of)
    ends = seeded_inputs(LATENT, 2 * walks, 7)[0].reshape(walks, 2, 5)
    latents = draw.inputs[0].reshape(walks, 11, 5)
    np.testing.assert_allclose(latents[:, [0, -1]], ends, rtol=0, atol=1e-6)
    assert shown["row_labels"] == names and shown["column_labels"][::5] == ["0.0", "0.5", "1.0"]
    if labels is None:
        assert len(draw.inputs) == 1
    else:
        assert draw.inputs[1].tolist() == np.repeat(labels, 11).tolist() and draw.inputs[1].dtype == np.int32


def test_transfer_decodes_each_image_with_its_own_label_and_with_those_shown_on_top(tmp_path, monkeypatch):
    names = LabelNames(tuple("abcdefghijkl"))
    images = np.zeros((12, 1, 4, 4), np.uint8) + np.arange(12, dtype=np.uint8)[:, None, None, None] * 20
    real = ImageData("mnist", "test", "made here", images, np.arange(12, dtype=np.int32), names.names)
    asked, shown = [], {}

    def draw(inputs):
        asked.append(inputs[1].tolist())
        return np.zeros((len(inputs[0]), 1, 4, 4), np.float32)

    def sheet(path, cells, columns, *more, **others):
        shown["top"] = cells[2:columns]

    monkeypatch.setattr(plots, "sheet", sheet)
    monkeypatch.setattr(plots, "captioned", sheet)
    encode = lambda inputs: np.rint(np.asarray(inputs[0])[:, 0, 0, :1])  # noqa: E731
    Sheets(draw, LATENT, 7, "about", names, encode).transfer(tmp_path / "transfer.png", real)
    own, *others = asked
    assert len(own) == 6 and [set(label) for label in others] == [{label[0]} for label in others]
    donors = [label[0] for label in others]
    assert len(donors) == 6 and not set(donors) & set(own)
    top = np.asarray(shown["top"], np.float32)[:, 0, 0, 0]
    assert np.rint(top * 255 / 20 if top.max() <= 1 else top / 20).astype(int).tolist() == donors


@pytest.mark.parametrize("count, expected", [(100, 64), (10, 10)])
@pytest.mark.parametrize("conditional", [False, True])
def test_generated_images_stand_beside_real_ones_of_the_same_class(tmp_path, shown, count, expected, conditional):
    labels = np.arange(count, dtype=np.int32) % 3
    images = np.empty((count, 1, 4, 4), np.uint8)
    images[:] = 51 * labels[:, None, None, None]  # an image tells its class
    real = ImageData("mnist", "test", "made here", images, labels, CLASSES)
    draw = Draw()
    names = NAMES if conditional else None
    Sheets(draw, LATENT, 7, "about", names).generated_beside_real(tmp_path / "beside.png", real)
    assert np.array_equal(draw.inputs[0], seeded_inputs(LATENT, expected, 7)[0])
    title, drawn = shown["second"]
    assert drawn.shape == (expected, 1, 4, 4) and title == "real (mnist, test split)"
    of_images = np.rint(drawn[:, 0, 0, 0] * 5)
    assert of_images.tolist() != labels[:expected].tolist(), "chosen at random"
    if conditional:
        assert draw.inputs[1].tolist() == of_images.tolist() and draw.inputs[1].dtype == np.int32
    else:
        assert len(draw.inputs) == 1
