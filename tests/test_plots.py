"""Pictures: the right pixels at the right place, the same bytes each time, and no crash on a broken run."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from PIL import Image

from ms_gan.evaluation import plots


def noise(count, channels=1, size=28, seed=0):
    return np.random.default_rng(seed).random((count, channels, size, size), dtype=np.float32)


def size_of(path):
    with Image.open(path) as picture:
        return picture.size


def pixels_of(path):
    with Image.open(path) as picture:
        return np.asarray(picture.convert("RGB"))


def contains(page, part):
    """Whether the array `part` stands somewhere in the array `page`."""
    corners = np.argwhere((page == part[0, 0]).all(axis=-1))
    height, width, _ = part.shape
    return any(np.array_equal(page[top:top + height, left:left + width], part) for top, left in corners)


def history(rows, **columns):
    steps = [float(row) for row in range(rows)]
    return {"step": steps, "epoch": [step / 10 for step in steps], "loss_d": [1.4] * rows,
            "loss_g": [0.7] * rows, "accuracy_real": [0.6] * rows, **columns}


def is_coloured(path, colour):
    """Whether pixels of exactly this colour, six hexadecimal digits, are in a picture."""
    return (pixels_of(path) == list(bytes.fromhex(colour))).all(axis=-1).any()


@pytest.mark.parametrize("channels", [1, 3])
def test_each_image_stands_in_its_cell_in_squares_of_equal_pixels(channels):
    images = noise(8, channels)
    grid = plots.compose_grid(images, columns=3, width=3 * 28 * 4)
    cell, step = 28 * 4, 28 * 4 + plots.GAP
    assert grid.shape == (3 * step - plots.GAP, 3 * step - plots.GAP, 3)
    for index, image in enumerate(images):
        top, left = index // 3 * step, index % 3 * step
        expected = np.kron(np.rint(image * 255).transpose(1, 2, 0), np.ones((4, 4, 3 // channels)))
        assert np.array_equal(grid[top:top + cell, left:left + cell], expected)
    assert (grid[2 * step:, 2 * step:] == 255).all(), "the cell without an image is white"
    assert (grid[cell:step] == 255).all() and (grid[:, cell:step] == 255).all(), "the gaps are white"


def test_bytes_and_fractions_give_the_same_grid():
    levels = np.arange(256, dtype=np.uint8).reshape(1, 1, 16, 16)
    fractions = levels.astype(np.float32) / 255
    assert np.array_equal(plots.compose_grid(levels, 1), plots.compose_grid(fractions, 1))


@pytest.mark.parametrize("images", [
    noise(4)[0], noise(0), noise(4, channels=2), noise(4).astype(np.float64), noise(4) + 1, noise(4) - 1,
    noise(4) * np.float32("nan"), noise(4).astype(np.int32)])
def test_what_is_no_batch_of_images_is_refused(tmp_path, images):
    with pytest.raises(ValueError, match="images"):
        plots.sheet(tmp_path / "sheet.png", images, 2, "title")
    assert list(tmp_path.iterdir()) == []


def test_a_grid_without_columns_is_refused():
    with pytest.raises(ValueError, match="column"):
        plots.compose_grid(noise(4), 0)


@pytest.mark.parametrize("side, size, channels", [
    (1, 28, 1), (5, 28, 1), (10, 28, 3), (20, 28, 1), (9, 64, 3)])
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
    plots.sheet(tmp_path / "upright.png", images, 3, "title", None, None, ["a", "b", "many toppings " * 10])
    bare, level, upright = (size_of(tmp_path / f"{name}.png") for name in ("bare", "level", "upright"))
    assert level[0] > bare[0] and 0 < level[1] - bare[1] < 40
    assert upright[0] == bare[0] and upright[1] - bare[1] > 300
    assert contains(pixels_of(tmp_path / "level.png"), plots.compose_grid(images, 3))


@pytest.mark.parametrize("labels", [{"row_labels": ["a"]}, {"column_labels": ["a", "b"]}])
def test_another_number_of_labels_is_refused(tmp_path, labels):
    with pytest.raises(ValueError, match="labels"):
        plots.sheet(tmp_path / "sheet.png", noise(6), 3, "title", **labels)


def test_a_comparison_has_both_grids_side_by_side(tmp_path):
    left, right = noise(4), noise(4, channels=3, seed=1)
    plots.compare(tmp_path / "compare.png", left, right, 2, "generated", "real", "title", "caption")
    page = pixels_of(tmp_path / "compare.png")
    middle = page.shape[1] // 2
    assert contains(page[:, :middle], plots.compose_grid(left, 2, width=600))
    assert contains(page[:, middle:], plots.compose_grid(right, 2, width=600))


@pytest.mark.parametrize("right", [noise(3), noise(4, size=32)])
def test_grids_that_cannot_be_compared_are_refused(tmp_path, right):
    with pytest.raises(ValueError, match="agree"):
        plots.compare(tmp_path / "compare.png", noise(4), right, 2, "generated", "real", "title")


def test_losses_are_drawn_in_the_colours_of_the_players(tmp_path):
    plots.losses(tmp_path / "losses.png", history(250), "title $x^$", {"loss_d": "discriminator"})
    assert is_coloured(tmp_path / "losses.png", "0072B2") and is_coloured(tmp_path / "losses.png", "E69F00")


@pytest.mark.parametrize("rows", [0, 1])
def test_a_history_that_has_hardly_begun_can_be_drawn(tmp_path, rows):
    plots.losses(tmp_path / "losses.png", history(rows), "title")
    assert size_of(tmp_path / "losses.png") == (1000, 700)


@pytest.mark.filterwarnings("error::RuntimeWarning")
def test_values_that_are_not_finite_are_counted_and_left_out(tmp_path, monkeypatch):
    legends = []
    monkeypatch.setattr("matplotlib.axes.Axes.plot", lambda *_, label=None, **__: legends.append(label))
    monkeypatch.setattr("matplotlib.axes.Axes.legend", lambda *_, **__: None)
    plots.losses(tmp_path / "losses.png", history(3, loss_d=[1.0, np.nan, -np.inf]), "title")
    assert legends == ["loss d\n(2 not finite, left out)", "loss g", "accuracy real"]


@pytest.mark.filterwarnings("error::RuntimeWarning")
@pytest.mark.parametrize("rows", [3, 300])
def test_a_run_that_broke_can_be_drawn(tmp_path, rows):
    broken = list(itertools.islice(itertools.cycle([1.0, np.nan, np.inf, -np.inf, 3e38]), rows))
    plots.losses(tmp_path / "losses.png", history(rows, loss_d=broken, loss_g=[np.nan] * rows), "title")
    assert size_of(tmp_path / "losses.png") == (1000, 700)


def test_the_running_mean_passes_over_what_is_missing():
    mean = plots._running_mean(np.array([1, 3, np.nan, 5, np.inf, -np.inf, np.nan]), 3)
    assert np.array_equal(mean, [2, 2, 4, 5, 5, np.nan, np.nan], equal_nan=True)


@pytest.mark.parametrize("broken", [
    {}, {"step": [1], "loss_d": [1]}, {"step": [1], "epoch": [1]}, history(3, loss_g=[1.0])])
def test_a_history_that_cannot_be_drawn_is_refused(tmp_path, broken):
    with pytest.raises(ValueError, match="history"):
        plots.losses(tmp_path / "losses.png", broken, "title")


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
    plots.gif(tmp_path / "progress.gif", write_frames(tmp_path, 4), milliseconds=150)
    pixels, durations, loop = read_gif(tmp_path / "progress.gif")
    assert pixels == [(0, 0, 0), (85, 0, 0), (170, 0, 0), (255, 0, 0)]
    assert durations == [150, 150, 150, 2000]
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


def test_an_animation_of_nothing_is_refused(tmp_path):
    with pytest.raises(ValueError, match="frame"):
        plots.gif(tmp_path / "progress.gif", [])


def test_the_same_input_gives_the_same_bytes(tmp_path):
    images, other = noise(4), noise(4, seed=1)
    contents = []
    for folder in (tmp_path / "once", tmp_path / "again"):
        folder.mkdir()
        plots.sheet(folder / "a.png", images, 2, "title", "caption", ["0", "1"], ["0", "1"])
        plots.compare(folder / "b.png", images, other, 2, "generated", "real", "title", "caption")
        plots.losses(folder / "c.png", history(250), "title")
        plots.gif(folder / "d.gif", [folder / "a.png", folder / "b.png"])
        contents.append({path.name: path.read_bytes() for path in folder.iterdir()})
    assert contents[0] == contents[1]
    assert sorted(contents[0]) == ["a.png", "b.png", "c.png", "d.gif"]
    for name in ("a.png", "b.png", "c.png"):
        with Image.open(tmp_path / "once" / name) as picture:
            assert not {"Software", "Creation Time", "date"} & set(picture.info)
