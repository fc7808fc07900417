"""What image files say of their pixels beside the pixels: transparency, what 0 is, profiles, and how many there are."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
from helpers.refusals import refused
from PIL import Image, ImageCms

from ms_gan.data.description import DataRequest
from ms_gan.data.folder import decoding, load_folder

SIZE = 8


def loaded(home, channels=3):
    return load_folder("train", home, DataRequest(SIZE, channels))


def png(bits, kind, number, key):
    """A PNG whose numbers are all the same, and one that stands for transparency."""
    colours = 3 if kind == 2 else 1
    row = "".join(format(number, f"0{bits}b") for _ in range(SIZE * colours))
    rows = SIZE * (b"\0" + int(row, 2).to_bytes(len(row) // 8, "big"))
    chunks = (
        (b"IHDR", struct.pack(">IIBBBBB", SIZE, SIZE, bits, kind, 0, 0, 0)),
        (b"tRNS", struct.pack(f">{colours}H", *[key] * colours)),
        (b"IDAT", zlib.compress(rows)),
        (b"IEND", b""),
    )
    written = (
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in chunks
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(written)


GREY, RGB = 0, 2
SHOWN = {1: 255, 2: 85, 4: 17, 8: 1, 16: 1 / 257}  # what a number 1 of so many bits is in 8


@pytest.mark.parametrize("bits, kind", [(1, GREY), (2, GREY), (4, GREY), (8, GREY), (16, GREY), (8, RGB), (16, RGB)])
@pytest.mark.parametrize("here", [True, False])
def test_a_number_for_transparency_is_that_of_the_file(bits, kind, here, tmp_path):
    number, other = 2 ** (bits - 1), 2 ** (bits - 1) - 1
    (tmp_path / "a.png").write_bytes(png(bits, kind, number, number if here else other))
    data = loaded(tmp_path)
    wanted = 255 if here else round(number * SHOWN[bits])
    assert np.abs(data.images.astype(int) - wanted).max() <= (0 if here else 1)
    assert any("transparency" in note for note in data.notes) == here


@pytest.mark.parametrize("photometric, wanted", [(0, 255), (1, 0)])
def test_zero_is_white_where_a_tiff_says_so(photometric, wanted, tmp_path):
    Image.fromarray(np.full((SIZE, SIZE), 20, np.uint16)).save(tmp_path / "a.tif", tiffinfo={262: photometric})
    assert any("nearly black" in note for note in loaded(tmp_path, 1).notes) == (wanted == 0)
    assert set(loaded(tmp_path, 1).images.ravel().tolist()) == {wanted}


@pytest.mark.parametrize("largest, dim", [(4095, True), (4096, False), (0, False)])
def test_sixteen_bits_of_which_few_are_used_are_told_of(largest, dim, tmp_path):
    pixels = np.zeros((SIZE, SIZE), np.uint16)
    pixels[0, 0] = largest
    Image.fromarray(pixels).save(tmp_path / "a.png")
    assert any("nearly black: 1 image(s)" in note for note in loaded(tmp_path).notes) == dim


def other_profile():
    """The profile of colours that sRGB calls green where they are red, and the other way round."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    tags = {
        bytes(profile[at : at + 4]): at for at in range(132, 132 + 12 * int.from_bytes(profile[128:132], "big"), 12)
    }
    for name, other in ((b"rXYZ", b"gXYZ"), (b"gXYZ", b"rXYZ")):
        profile[tags[name] : tags[name] + 4] = other
    return bytes(profile).replace("sRGB".encode("utf-16-be"), "mine".encode("utf-16-be"))


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "tif"])
@pytest.mark.parametrize("transparent", [False, True])
def test_colours_are_those_of_srgb(suffix, transparent, tmp_path):
    mode, colour = ("RGBA", (255, 0, 0, 255)) if transparent and suffix != "jpg" else ("RGB", (255, 0, 0))
    options = {"webp": {"lossless": True}, "jpg": {"quality": 100, "subsampling": 0}}.get(suffix, {})
    Image.new(mode, (SIZE, SIZE), colour).save(tmp_path / f"a.{suffix}", icc_profile=other_profile(), **options)
    data = loaded(tmp_path)
    assert np.abs(data.images[0, :, 0, 0].astype(int) - (0, 255, 0)).max() <= 2
    assert "converted to sRGB from the colours of their profile: 1 image(s)" in data.notes


def test_colours_of_a_palette_are_those_of_srgb_and_grey_is_the_same_of_each_file(tmp_path):
    picture = Image.new("RGB", (SIZE, SIZE), (255, 0, 0))
    picture.convert("P").save(tmp_path / "a.png", icc_profile=other_profile())
    assert loaded(tmp_path).images[0, :, 0, 0].tolist() == [0, 255, 0]
    picture.save(tmp_path / "b.jpg", icc_profile=other_profile(), quality=100, subsampling=0)
    grey = loaded(tmp_path, 1)
    assert np.abs(grey.images.astype(int) - 76).max() <= 1 and not any("profile" in note for note in grey.notes)


@pytest.mark.parametrize("profile", [b"no profile at all" * 9, None])
def test_colours_stay_where_a_profile_is_that_of_srgb_or_none(profile, tmp_path):
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    Image.new("RGB", (SIZE, SIZE), (200, 30, 7)).save(tmp_path / "a.png", icc_profile=profile or srgb)
    data = loaded(tmp_path)
    assert data.images[0, :, 0, 0].tolist() == [200, 30, 7] and not any("profile" in note for note in data.notes)


def test_a_jpeg_may_have_more_pixels_since_it_is_decoded_coarsely(tmp_path, monkeypatch):
    monkeypatch.setattr(decoding, "MOST_PIXELS", 15_000)
    monkeypatch.setattr(decoding, "MOST_IN_JPEG", 60_000)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 20_000)  # twice as many would be too many for Pillow
    picture = Image.new("RGB", (240, 240), (0, 0, 255))
    picture.save(tmp_path / "a.jpg")
    picture.save(tmp_path / "b.jpg", "MPO", save_all=True, append_images=[picture])
    assert loaded(tmp_path).images.shape == (2, 3, SIZE, SIZE)
    (tmp_path / "b.jpg").unlink()
    assert Image.MAX_IMAGE_PIXELS == 20_000
    content = io.BytesIO()
    picture.save(content, "png")
    (tmp_path / "b.png").write_bytes(content.getvalue())
    assert "more than 15,000 pixels" in refused(loaded, tmp_path)
    (tmp_path / "b.png").unlink()
    with monkeypatch.context() as patch:  # it is not decoded as coarsely as that
        patch.setattr(decoding, "MOST_PIXELS", 14_000)
        assert "more than 14,000 pixels" in refused(loaded, tmp_path)
    monkeypatch.setattr(decoding, "MOST_IN_JPEG", 50_000)
    assert "more than 50,000 pixels" in refused(loaded, tmp_path)
