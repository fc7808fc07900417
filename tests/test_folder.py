"""Folders of images: every kind of file people have, and every slip that they make."""

from __future__ import annotations

import contextlib
import csv
import errno
import io
import os
import shutil
import tracemalloc
import warnings
import zlib

import cv2
import numpy as np
import pytest
from helpers.refusals import refused
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from ms_gan.data import folder
from ms_gan.data.description import DataRequest
from ms_gan.data.folder import decoding, load_folder
from ms_gan.data.folder.splits import Tenth, choose_tenth
from ms_gan.data.folder.tables import composed
from ms_gan.errors import UserError
from ms_gan.labels import natural_order

RED, GREEN, BLUE, WHITE, BLACK = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255), (0, 0, 0)
LUMINANCE = {RED: 76, GREEN: 150, BLUE: 29, WHITE: 255, BLACK: 0}


def write(path, colour=RED, size=(8, 8), mode="RGB", **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    lossless = {"lossless": True} if path.suffix == ".webp" else {}
    Image.new(mode, size, colour).save(path, **lossless, **options)
    return path


def fill(home, names):
    for name in names:
        write(home / name)


def load(home, split="train", size=8, channels=3, labelled=True, skip_unreadable=False, verify_test=False, **wanted):
    request = DataRequest(size, channels, classes=int(labelled), verify_test=verify_test, **wanted)
    return load_folder(split, home, request, skip_unreadable)


def refusal(home, *named, **options):
    """Return the message with which the folder is refused: one line that names the file, and then how to fix it."""
    message = refused(load, home, **options)
    assert "; " in message.split(": ", 1)[1]
    for name in named or [str(home)]:
        assert str(name) in message
    return message


def only(data):
    """Return the colour of the only image, all of which must have it."""
    (image,) = data.images
    assert (image == image[:, :1, :1]).all()
    return tuple(image[:, 0, 0].tolist())


def recorded_crops(monkeypatch, look):
    """What `look` returns for each image at the moment when its middle is cropped out of it, in a list that grows."""
    found, crop = [], Image.Image.crop

    def recording(image, box):
        part = crop(image, box)
        found.append(look(part))
        return part

    monkeypatch.setattr(Image.Image, "crop", recording)
    return found


# What is in a file


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tif", ".TIFF", ".webp", ".PNG", ".gif", ".jpg", ".JPEG", ".jpe"])
@pytest.mark.parametrize("colour", [RED, GREEN, BLUE, WHITE, BLACK])
def test_every_format_is_read(tmp_path, suffix, colour):
    write(tmp_path / f"a{suffix}", colour)
    exact = suffix.lower() not in (".jpg", ".jpeg", ".jpe")
    assert np.abs(np.subtract(only(load(tmp_path)), colour)).max() <= (0 if exact else 2)
    assert abs(only(load(tmp_path, channels=1))[0] - LUMINANCE[colour]) <= (0 if exact else 2)


@pytest.mark.parametrize(
    "name, mode, colour, wanted",
    [
        ("a.png", "1", 1, WHITE),
        ("a.tif", "1", 0, BLACK),
        ("a.png", "L", 77, (77, 77, 77)),
        ("a.png", "I;16", 40_000, (156, 156, 156)),
        ("a.png", "I;16", 250, (1, 1, 1)),
        ("a.tif", "I;16", 257, (1, 1, 1)),
        ("a.tif", "I;16B", 40_000, (156, 156, 156)),
        ("a.tif", "I", 40_000, (156, 156, 156)),
        ("a.png", "LA", (0, 0), WHITE),
        ("a.png", "RGBA", (255, 0, 0, 255), RED),
        ("a.png", "RGBA", (255, 0, 0, 0), WHITE),
        ("a.png", "RGBA", (0, 0, 0, 51), (204, 204, 204)),
        ("a.webp", "RGBA", (255, 0, 0, 0), WHITE),
        ("a.tif", "CMYK", (255, 0, 0, 0), (0, 255, 255)),
        ("a.jpg", "CMYK", (0, 255, 255, 0), RED),
    ],
)
def test_every_pixel_mode_is_read(tmp_path, name, mode, colour, wanted):
    write(tmp_path / name, colour, mode=mode)
    assert np.abs(np.subtract(only(load(tmp_path)), wanted)).max() <= 2 * name.endswith("jpg")
    grey = 0.299 * wanted[0] + 0.587 * wanted[1] + 0.114 * wanted[2]
    assert abs(only(load(tmp_path, channels=1))[0] - grey) <= 0.5 + 2 * name.endswith("jpg")


@pytest.mark.parametrize(
    "suffix, transparency, wanted",
    [(".png", None, BLUE), (".png", b"\xff\x00", WHITE), (".png", 1, WHITE), (".gif", 1, WHITE), (".gif", 0, BLUE)],
)
def test_palettes_and_their_transparency_are_read(tmp_path, suffix, transparency, wanted):
    image = Image.new("P", (8, 8), 1)
    image.putpalette([255, 0, 0, 0, 0, 255])
    options = {} if transparency is None else {"transparency": transparency}
    image.save(tmp_path / f"a{suffix}", optimize=False, **options)
    data = load(tmp_path)
    assert only(data) == wanted
    assert any("transparency" in note for note in data.notes) == (wanted == WHITE)


@pytest.mark.parametrize(
    "mode, colour, key, wanted",
    [("RGB", RED, RED, WHITE), ("RGB", RED, BLUE, RED), ("L", 9, 9, WHITE), ("L", 9, 8, (9, 9, 9))],
)
def test_a_transparent_colour_becomes_white(tmp_path, mode, colour, key, wanted):
    write(tmp_path / "a.png", colour, mode=mode, transparency=key)
    assert only(load(tmp_path)) == wanted


def test_colours_of_sixteen_bits_are_read(tmp_path):
    pixels = np.full((8, 8, 3), (65535, 32768, 257), np.uint16)  # cv2: blue first
    assert cv2.imwrite(str(tmp_path / "a.png"), pixels)
    assert only(load(tmp_path)) == (1, 128, 255)


def test_the_first_frame_of_an_animation_is_read(tmp_path):
    frames = [Image.new("RGB", (8, 8), colour) for colour in (GREEN, RED)]
    for suffix in ("gif", "tif", "webp", "png"):
        options = {"lossless": True} if suffix == "webp" else {}
        frames[0].save(tmp_path / f"a.{suffix}", save_all=True, append_images=frames[1:], **options)
    for image in load(tmp_path).images:
        assert (image == np.array(GREEN)[:, None, None]).all()


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tif"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_images_are_turned_upright_as_exif_says(tmp_path, orientation, suffix):
    upright = np.zeros((12, 24, 3), np.uint8)
    upright[:6, 6:12], upright[:6, 12:18] = RED, GREEN
    upright[6:, 6:12], upright[6:, 12:18] = BLUE, WHITE
    turned = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.swapaxes(0, 1),
        6: np.rot90(upright),
        7: upright[::-1, ::-1].swapaxes(0, 1),
        8: np.rot90(upright, -1),
    }[orientation]
    image = Image.fromarray(np.ascontiguousarray(turned))
    exif = image.getexif()
    exif[0x0112] = orientation
    options = {"jpg": {"quality": 100, "subsampling": 0}, "webp": {"lossless": True}}.get(suffix, {})
    image.save(tmp_path / f"a.{suffix}", exif=exif, **options)
    data = load(tmp_path, size=12)
    wanted = upright[:, 6:18].transpose(2, 0, 1).astype(int)
    assert np.abs(data.images[0] - wanted).max() <= 3
    assert "1 image(s) of 24x12, cropped" in data.notes[0]


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp"])
@pytest.mark.parametrize("exif", [b"MM\0*\0\0\0\x08\xff\xff\x01\x12", b"??", b"MM\0*\xff\xff\xff\xff"])
def test_damaged_exif_does_no_harm(tmp_path, suffix, exif):
    write(tmp_path / f"a.{suffix}", WHITE, exif=b"Exif\0\0" + exif)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        assert only(load(tmp_path)) == WHITE
    assert not said


@pytest.mark.parametrize("size", [(40, 20), (20, 40)])
def test_images_are_cropped_at_the_centre(tmp_path, size):
    pixels = np.full((20, 40, 3), GREEN, np.uint8)
    pixels[:, :10], pixels[:, 30:] = RED, BLUE
    image = Image.fromarray(pixels if size[0] == 40 else np.ascontiguousarray(pixels.swapaxes(0, 1)))
    image.save(tmp_path / "a.png")
    for side in (5, 20, 50):
        assert only(load(tmp_path, size=side)) == GREEN


@pytest.mark.parametrize("extent", [(1, 1), (1, 50), (5, 7), (31, 31), (32, 32), (33, 90), (700, 500)])
@pytest.mark.parametrize("channels", [1, 3])
def test_constant_images_stay_constant(tmp_path, extent, channels):
    write(tmp_path / "a.png", (17, 130, 250), extent)
    data = load(tmp_path, size=32, channels=channels)
    assert data.images.shape == (1, channels, 32, 32) and data.images.dtype == np.uint8
    assert only(data) == ((17, 130, 250) if channels == 3 else (110,))


def test_shrinking_takes_means_and_equal_size_nothing(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    assert np.array_equal(load(tmp_path, size=64).images[0], pixels.transpose(2, 0, 1))
    means = pixels.reshape(16, 4, 16, 4, 3).mean((1, 3)).transpose(2, 0, 1)
    assert np.abs(load(tmp_path, size=16).images[0] - means).max() <= 0.51


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(
    "extent, decoded", [((220, 200), 200), ((333, 500), 333), ((1280, 961), 481), ((3024, 4032), 378)]
)
def test_a_jpeg_that_is_decoded_coarsely_is_as_one_decoded_in_full(tmp_path, channels, extent, decoded, monkeypatch):
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)  # as fine as what is wanted, twice
    Image.fromarray(cv2.resize(noise, extent, interpolation=cv2.INTER_CUBIC)).save(tmp_path / "a.jpg", quality=95)
    edge = min(extent)
    left, top = ((length - edge) // 2 for length in extent)
    full = np.asarray(Image.open(tmp_path / "a.jpg").convert("L" if channels == 1 else "RGB"))
    square = full[top : top + edge, left : left + edge]
    wanted = cv2.resize(square, (32, 32), interpolation=cv2.INTER_AREA).reshape(32, 32, channels).transpose(2, 0, 1)
    cropped = recorded_crops(monkeypatch, lambda image: image)
    for finer in (False, True):
        image = load(tmp_path, size=32, channels=channels, rotate_and_mirror=finer).at_size(32).images[0]
        assert np.abs(image.astype(int) - wanted).mean() < 1.5
    assert cropped[0].size == (decoded, decoded) and cropped[0].mode == ("L" if channels == 1 else "RGB")


def test_images_to_be_turned_have_twice_the_size_if_memory_allows(tmp_path, monkeypatch):
    write(tmp_path / "a.png", size=(50, 40))
    data = load(tmp_path, rotate_and_mirror=True)
    assert data.images.shape == (1, 3, 16, 16)
    assert data.notes == (
        "1 image(s) of 50x40, cropped at the centre to squares, brought to 16x16 in colour",
        "twice as fine as the recipe's, so that turning blurs them less",
    )
    monkeypatch.setattr(folder, "MOST_BYTES", 3 * 16 * 16 - 1)
    data = load(tmp_path, rotate_and_mirror=True)
    assert data.images.shape == (1, 3, 8, 8) and "1 GiB" in data.notes[1]


def test_the_notes_say_what_was_done(tmp_path, monkeypatch):
    for number in range(20):
        write(tmp_path / f"{number:02}.png", size=(640, 480) if number else (1920, 1080))
    write(tmp_path / "00.jpg", 3, (640, 480), "L")
    write(tmp_path / "01.png", (1, 2, 3, 4), (640, 480), "RGBA")
    (tmp_path / "broken.png").write_bytes(b"no image")
    monkeypatch.setattr(folder, "WORTH_A_NOTE", 1)
    train, test = (load(tmp_path, split, skip_unreadable=split == "train") for split in ("train", "test"))
    assert len(train.images) + len(test.images) == 21
    assert " of 640x480 to 1920x1080, cropped at the centre to squares, brought to 8x8 in colour" in train.notes[0]
    said = "\n".join(train.notes)
    for part in (
        "grey among them: 1 image(s)",
        "with transparency, which is white now: 1 image(s)",
        "MB of memory",
        "of 22 files 2 are the test split",
        "left out 1 unreadable image(s), the first of them",
        "broken.png",
    ):
        assert part in said
    assert all(len(note.splitlines()) == 1 for note in train.notes)
    assert train.name == "folder" and train.source == f"the folder {tmp_path}" and train.split == "train"


# Which files


def test_what_is_no_image_or_hidden_is_ignored(tmp_path):
    added = ["__MACOSX/b.png", "a/@eaDir/c.png/SYNOPHOTO_THUMB_M.jpg", "#recycle/e.png", "$RECYCLE.BIN/f.png"]
    fill(tmp_path, ["b.png", "a/c.png", ".hidden.png", ".git/d.png", *added])
    (tmp_path / "a" / "Thumbs.db").write_text("")
    os.mkfifo(tmp_path / "pipe.png")
    data = load(tmp_path, labelled=False)
    assert data.names == ("a/c.png", "b.png") and not any("left out" in note for note in data.notes)
    (tmp_path / "read me.txt").write_text("hello")
    note = next(note for note in load(tmp_path, labelled=False).notes if note.startswith("left out"))
    assert note.startswith("left out 1 file(s), such as read me.txt: the name of an image ends in .png, .jpg, ")


def test_it_is_said_how_to_make_images_of_what_phones_write(tmp_path):
    for name in ("IMG_1.HEIC", "a/IMG_2.heif", "IMG_1.MOV"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    ways = ["make images of the 2 HEIC file(s): heif-convert ", "make images of the 1 video file(s): ffmpeg -i "]
    refusal(tmp_path, *ways)
    write(tmp_path / "c.png")
    notes = load(tmp_path, labelled=False).notes
    for left in ("2 HEIC file(s); to make images of them: heif-", "1 video file(s); to make images of them: ffmpeg"):
        assert any(note.startswith(f"left out {left}") for note in notes)
    assert not any("file(s), such as" in note for note in notes), "each is told of once"


def test_heic_is_known_under_another_name(tmp_path):
    (tmp_path / "photo.jpg").write_bytes(b"\0\0\0\x18ftypheic" + bytes(40))
    told = refusal(tmp_path, labelled=False)
    assert "photo.jpg: is unreadable (it is HEIC, and not PNG, JPEG, " in told and told.count("photo.jpg") == 1
    (tmp_path / "photo.jpg").write_bytes(bytes(40))
    assert "photo.jpg: is unreadable (it is damaged, or none of PNG, " in refusal(tmp_path, labelled=False)


def test_of_a_photograph_with_a_smaller_one_in_its_file_the_first_is_read(tmp_path):
    image = Image.new("RGB", (80, 60), RED)
    image.save(tmp_path / "a.jpg", format="MPO", save_all=True, append_images=[Image.new("RGB", (40, 30), GREEN)])
    assert np.abs(np.subtract(only(load(tmp_path)), RED)).max() <= 2


def test_file_names_may_hold_any_character(tmp_path):
    names = ["größe 1.png", "日本/é.PNG", "a;b,c.png", '"q".png', "tab\t.png", " .png", "line\nbreak.png", "100%.png"]
    fill(tmp_path, names)
    write(tmp_path / os.fsdecode(b"latin-\xe9.png"))
    assert len(load(tmp_path, labelled=False).images) == 9
    for name in (*names, os.fsdecode(b"latin-\xe9.png")):
        (tmp_path / name).write_bytes(b"")
    assert "9 of 9" in refusal(tmp_path, labelled=False)
    with pytest.raises(UserError) as caught:
        load(tmp_path / "line\nbreak.png")
    assert "line\\nbreak.png: is a file" in str(caught.value)


def test_links_are_followed_but_not_in_a_circle(tmp_path):
    write(tmp_path / "elsewhere" / "a.png", GREEN)
    home = tmp_path / "home"
    home.mkdir()
    (home / "folder").symlink_to(tmp_path / "elsewhere")
    (home / "file.png").symlink_to(tmp_path / "elsewhere" / "a.png")
    (tmp_path / "elsewhere" / "back").symlink_to(home)
    assert load(home, labelled=False).names == ("file.png", "folder/a.png")
    (home / "gone.png").symlink_to(tmp_path / "nowhere")
    assert "No such file" in refusal(home, home / "gone.png", labelled=False)


def test_images_come_in_the_order_of_their_paths_however_they_are_listed(tmp_path, monkeypatch):
    names = ("b.png", "a/z.png", "B.png", "a.png", "c/d/e.png")
    scandir = os.scandir

    @contextlib.contextmanager
    def backwards(path):
        with scandir(path) as entries:
            yield sorted(entries, key=lambda entry: entry.name, reverse=True)

    fill(tmp_path, names)
    monkeypatch.setattr(os, "scandir", backwards)
    assert load(tmp_path, labelled=False).names == tuple(sorted(names))


# Refusals


def test_no_folder_is_refused():
    assert refused(load, None).startswith("the data set folder is read from your images; ")


def test_folders_without_images_are_refused(tmp_path):
    assert "holds no image among its 0 file(s)" in refusal(tmp_path)
    (tmp_path / "below").mkdir()
    for name in ("below/a.txt", "b.pdf"):
        (tmp_path / name).write_text("")
    assert "holds no image among its 2 file(s)" in refusal(tmp_path)


def test_a_folder_that_may_not_be_read_is_refused(tmp_path, monkeypatch):
    fill(tmp_path, ["a.png", "b/c.png"])
    scandir = os.scandir

    def guarded(path):  # instead of a change of mode, which does not stop root
        if os.path.basename(path) == "b":
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", guarded)
    assert "Permission denied" in refusal(tmp_path, tmp_path / "b")


def bomb():
    """Return a PNG of 40,000 x 40,000 pixels."""

    def chunk(kind, content):
        return len(content).to_bytes(4, "big") + kind + content + zlib.crc32(kind + content).to_bytes(4, "big")

    header = (40_000).to_bytes(4, "big") * 2 + b"\x08\x00\x00\x00\x00"
    data = chunk(b"IDAT", zlib.compress(bytes(99)))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + data + chunk(b"IEND", b"")


def encoded(suffix, **options):
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(noise).save(file, suffix, **options)
    return file.getvalue()


FAULTS = {
    "empty.png": b"",
    "text.jpg": b"hello",
    "html.gif": b"<html>",
    "start.png": b"\x89PNG\r\n\x1a\n",
    "bomb.png": bomb(),
    "pixmap.png": b"P6 1 1 255 abc",
    "postscript.png": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",
    **{
        f"half.{suffix}": (lambda content: content[: len(content) // 2])(encoded(suffix))
        for suffix in ("png", "jpeg", "bmp", "gif", "tiff", "webp")
    },
    "half lzw.tif": encoded("tiff", compression="tiff_lzw")[:2000],
}


@pytest.mark.parametrize("name", FAULTS)
def test_an_unreadable_image_is_refused_or_left_out(tmp_path, name, capfd):
    fill(tmp_path, ["a.png", "z.png"])
    (tmp_path / name).write_bytes(FAULTS[name])
    message = refusal(tmp_path, tmp_path / name, "skip_unreadable", "1 of 3 images")
    if name == "bomb.png":
        assert "decompression bomb" in message
    data = load(tmp_path, skip_unreadable=True)
    assert data.images.shape[0] == 2 and (data.images[:, 0] == 255).all()
    assert any("left out 1 unreadable" in note and str(tmp_path / name) in note for note in data.notes)
    (tmp_path / "a.png").unlink()
    (tmp_path / "z.png").unlink()
    assert "skip_unreadable" not in refusal(tmp_path, tmp_path / name, "1 of 1 images", skip_unreadable=True)
    assert capfd.readouterr().err == ""


def test_pixels_of_an_unknown_range_are_refused(tmp_path):
    write(tmp_path / "a.tif", 0.5, mode="F")
    assert "floating-point" in refusal(tmp_path, tmp_path / "a.tif")
    write(tmp_path / "a.tif", 70_000, mode="I")
    assert "more than 16 bits" in refusal(tmp_path, tmp_path / "a.tif")


def test_a_larger_image_is_refused(tmp_path, monkeypatch):
    write(tmp_path / "a.png", size=(100, 100))
    monkeypatch.setattr(decoding, "MOST_PIXELS", 9_000)
    refusal(tmp_path, "a.png", "more than 9,000 pixels")


def test_an_image_of_108_megapixels_is_read_without_a_warning(tmp_path):
    Image.new("L", (12_000, 9_000)).save(tmp_path / "a.jpg")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert load(tmp_path).images.shape == (1, 3, 8, 8)


# Classes and tags


def table(home, text, names=("a.png", "b.png", "sub/c.png"), encoding="utf-8"):
    fill(home, names)
    (home / "labels.csv").write_bytes(text if isinstance(text, bytes) else text.encode(encoding))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\n\n"])
def test_a_table_of_classes_is_read(tmp_path, encoding, end):
    rows = ["file,label", "sub/c.png, zèbre ", '"b.png","a cat; or so"', "./a.png,zèbre", ""]
    table(tmp_path, end.join(rows), encoding=encoding)
    data = load(tmp_path)
    assert data.classes == ("a cat; or so", "zèbre") and data.max_tags == 0
    assert data.labels.dtype == np.int32 and data.labels.tolist() == [1, 0, 1]
    assert "looks like tags" in refusal(tmp_path, tmp_path / "labels.csv", "a cat; or so", max_tags=2)
    (tmp_path / "labels.csv").write_text((tmp_path / "labels.csv").read_text(encoding).replace(";", ""), encoding)
    data = load(tmp_path, max_tags=2)
    assert data.max_tags == 2 and data.labels.dtype == np.int32 and data.labels.tolist() == [[2, 0], [1, 0], [2, 0]]


def test_a_table_of_tags_is_read(tmp_path):
    table(tmp_path, "file,tags\nb.png, d ; b;;b ;c\nsub\\c.png,\na.png,a;d\n")
    data = load(tmp_path, max_tags=4)
    assert data.classes == ("a", "b", "c", "d") and data.max_tags == 4
    assert data.labels.tolist() == [[1, 4, 0, 0], [2, 3, 4, 0], [0, 0, 0, 0]]
    message = refusal(tmp_path, tmp_path / "labels.csv", "b.png", max_tags=2)
    assert "line 2" in message and "3 tags" in message and message.endswith("data.max_tags=3")
    assert "one class an image" in refusal(tmp_path, tmp_path / "labels.csv")
    table(tmp_path, "file,tags\nb.png,d,b\nsub\\c.png,\na.png,a;d\n")
    assert "tags are joined by ;" in refusal(tmp_path, "labels.csv: line 2: has 3 column(s), not 2", max_tags=4)


ROWS = "file,label\na.png,x\nb.png,y\n"


@pytest.mark.parametrize(
    "text, parts",
    [
        (b"file,label\na.png,x\nb.png,\xe9\n", ["line 3", "UTF-8"]),
        ("file,label\n".encode("utf-16"), ["line 1", "UTF-8"]),
        ("", ["line 1", "header is missing", "file,label", "file,tags"]),
        ("a.png,x\nb.png,y\n", ["line 1", "'a.png,x'", "file,label", "file,tags"]),
        ("file,label,more\n", ["line 1", "3 column(s)"]),
        (ROWS + "sub/c.png\n", ["line 4", "1 column(s)"]),
        (ROWS + "sub/d.png,x\n", ["line 4", "no image 'sub/d.png'"]),
        (ROWS + ",x\n", ["line 4", "no image ''"]),
        (ROWS + "sub/\0c.png,x\n", ["line 4"]),
        (ROWS + "\nsub/../a.png,x\n", ["line 5", "a.png again, after line 2"]),
        (ROWS, ["no row for sub/c.png (1 image(s) in all)"]),
        (ROWS + 'sub/c.png,"x,y"\n', ["line 4", "'x,y'", "comma"]),
        (ROWS + 'sub/c.png,"x\ny"\n', ["line 5", "line break"]),
        *((ROWS + f"sub/c.png,x{other}y\n", ["line 4", "line break"]) for other in "\x85\u2028\u2029"),
        (ROWS + "/etc/passwd,x\n", ["line 4", "no image"]),
        (ROWS + 'sub/c.png,"x\n', ["line 4", "no CSV"]),
        (ROWS + 'sub/c.png,"x"y\n', ["line 4", "no CSV"]),
        ("file,label\n\0\n", ["line 2"]),
    ],
)
def test_a_wrong_table_is_refused_by_its_line(tmp_path, text, parts):
    table(tmp_path, text)
    refusal(tmp_path, tmp_path / "labels.csv", *parts)


def test_a_table_that_cannot_be_opened_is_refused(tmp_path):
    write(tmp_path / "a.png")
    (tmp_path / "labels.csv").symlink_to(tmp_path / "nowhere")
    assert "cannot be read" in refusal(tmp_path, tmp_path / "labels.csv")


words = st.text(st.characters(blacklist_categories=("C", "Z"), blacklist_characters=",;"), min_size=1, max_size=6)


@settings(deadline=None, max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(tags=st.lists(st.sets(words, max_size=4), min_size=3, max_size=3))
def test_any_table_that_a_csv_writer_writes_is_read(tmp_path, tags):
    names = ["a, b\\c.png", 'c"d.png', "e/é;.png"]
    if not (tmp_path / "e").exists():
        fill(tmp_path, names)
    with open(tmp_path / "labels.csv", "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["file", "tags"])
        writer.writerows([name, ";".join(image)] for name, image in zip(names, tags))
    tags = [{composed(tag) for tag in image} for image in tags]
    data = load(tmp_path, size=1, max_tags=4)
    assert data.classes == tuple(natural_order(set().union(*tags)))
    if not data.classes:
        assert data.labels is None
        return
    assert [{data.classes[number - 1] for number in row if number} for row in data.labels] == tags
    for row in data.labels:
        used = row[row > 0].tolist()
        assert used == sorted(used) and not row[len(used) :].any()


@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    start=st.sampled_from([b"", b"file,label\n", b"file,tags\n", b"\xef\xbb\xbffile,tags\r\n"]),
    rest=st.binary(max_size=60) | st.text('a.png,;"\n\r/\\ ', max_size=60).map(str.encode),
)
def test_any_table_is_taken_or_refused_in_one_line(tmp_path, start, rest):
    table(tmp_path, start + rest, [] if (tmp_path / "a.png").exists() else ["a.png"])
    try:
        assert load(tmp_path, size=1, max_tags=9).labels.shape == (1, 9)
    except UserError:
        refusal(tmp_path, tmp_path / "labels.csv", max_tags=9)


def test_sub_folders_are_classes(tmp_path):
    fill(tmp_path, ["dog/1.png", "cat/1.png", "cat/2.jpg", "ape/x.gif"])
    (tmp_path / "empty").mkdir()
    data = load(tmp_path)
    assert data.classes == ("ape", "cat", "dog") and data.labels.tolist() == [0, 1, 1, 2]
    assert load(tmp_path, max_tags=1).labels.tolist() == [[1], [2], [2], [3]]
    write(tmp_path / "cat, or so" / "1.png")
    assert "comma" in refusal(tmp_path, tmp_path / "cat, or so")


@pytest.mark.parametrize(
    "names, stray", [(["a.png", "sub/b.png"], "a.png"), (["sub/b.png", "sub/deep/c.png"], "sub/deep/c.png")]
)
def test_an_image_beside_the_folders_of_classes_is_named(tmp_path, names, stray):
    fill(tmp_path, names)
    assert "is in no class's folder, as sub/b.png" in refusal(tmp_path, tmp_path / stray)
    assert load(tmp_path, labelled=False).labels is None


def test_names_and_tags_are_the_same_in_every_unicode_form(tmp_path):
    names = ["cafe\u0301.png", "jalapeño.png", "c.png"]
    fill(tmp_path, names)
    text = "file,tags\ncaf\xe9.png,jalapen\u0303o\njalapen\u0303o.png,jalape\xf1o;b\nc.png,b\n"
    (tmp_path / "labels.csv").write_text(text, "utf-8")
    data = load(tmp_path, max_tags=2)
    assert data.classes == ("b", "jalape\xf1o") and data.labels.tolist() == [[1, 0], [2, 0], [1, 2]]


def test_unreadable_images_take_their_labels_with_them(tmp_path):
    table(tmp_path, "file,label\na.png,x\nb.png,y\nsub/c.png,z\n")
    (tmp_path / "b.png").write_bytes(b"?")
    data = load(tmp_path, skip_unreadable=True)
    assert data.classes == ("x", "y", "z") and data.labels.tolist() == [0, 2]
    assert load(tmp_path, skip_unreadable=True, max_tags=1).labels.tolist() == [[1], [3]]


# Splits


def test_a_tenth_is_the_test_split_by_name_alone(tmp_path):
    for number in range(39):
        write(tmp_path / f"{number}.png", (number, 0, 0), (1, 1))
    train, test = (load(tmp_path, split, 1) for split in ("train", "test"))
    values = [data.images[:, 0, 0, 0].tolist() for data in (train, test)]
    assert len(values[1]) == 3 and sorted(values[0] + values[1]) == list(range(39))
    assert values[1] == [0, 33, 6]  # as sha256sum has it
    assert "of 39 files 3 are the test split" in " ".join(test.notes)
    (tmp_path / "6.png").write_bytes(b"?")
    assert load(tmp_path, "test", 1, skip_unreadable=True).images[:, 0, 0, 0].tolist() == [0, 33]
    assert load(tmp_path, "train", 1).sha256 == train.sha256
    message = refusal(tmp_path, "6.png", "1 of 39", verify_test=True)  # a test image, and read all the same
    assert "33.png" not in message
    again = load(tmp_path, "train", 1, skip_unreadable=True, verify_test=True)
    assert again.sha256 == train.sha256 and "6.png" in " ".join(again.notes)


def test_the_test_tenth_stays_when_others_come():
    names = [f"sub/{number}.png" for number in range(60)]
    for count in range(10, 60):
        before, after = (choose_tenth(some, "") for some in (names[:count], names[count::-1]))  # one more, backwards
        old, new = ({name for name in names[: count + 1] if tenth.holds(name)} for tenth in (before, after))
        old.discard(names[count])
        assert len(old) == count // 10 and len(new) == (count + 1) // 10
        assert old <= new or new - old == {names[count]}
        assert before == Tenth(before.up_to, ())


def test_images_that_were_trained_on_are_no_test_images_and_the_other_way_round(tmp_path):
    fill(tmp_path, [f"{number}.png" for number in range(20)])
    train, test = (load(tmp_path, split) for split in ("train", "test"))
    record = {"test_split_up_to": train.test_split_up_to, "test_split_but": train.test_split_but}
    whys = ("none of which is a test image", "were test images when the run began")
    for gone, split, why in zip((test, train), ("test", "train"), whys):
        home = shutil.copytree(tmp_path, tmp_path.with_name(f"without {split}"))
        for name in gone.names:
            (home / name).unlink()
        assert why in refusal(home, split=split, **record)


def test_fewer_than_ten_images_have_no_test_tenth(tmp_path):
    fill(tmp_path, [f"{number}.png" for number in range(9)])
    assert len(load(tmp_path).images) == 9
    assert "9 image(s)" in refusal(tmp_path, split="test")
    write(tmp_path / "9.png")
    assert [len(load(tmp_path, split).images) for split in ("train", "test")] == [9, 1]


# Memory


def test_many_images_take_no_more_memory_than_their_array(tmp_path):
    for number in range(60):
        (tmp_path / f"{number:02}.png").write_bytes(FAULTS["half.png"])
        if number % 2:
            write(tmp_path / f"{number:02}.png", size=(256, 256))
    load(tmp_path, skip_unreadable=True)
    tracemalloc.start()
    try:
        data = load(tmp_path, size=64, skip_unreadable=True)
        assert tracemalloc.get_traced_memory()[1] < 54 * 3 * 64 * 64 + (1 << 20)
    finally:
        tracemalloc.stop()
    assert data.images.shape == (28, 3, 64, 64)  # of 60, 6 are the test split, 2 of these readable
