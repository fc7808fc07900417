"""What is said about data that are not those of the run."""

from __future__ import annotations

import json
import os
from dataclasses import replace

import numpy as np
import pytest
from helpers.image_folders import fill, load
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from ms_gan.data.changes import Fingerprint, copies, what_changed
from ms_gan.data.description import ImageData
from ms_gan.training.notes import of_copies

NAMES = ["cat/1.png", "cat/2.png", "dog/3.png", "dog/4.png", "dog/5.png", "dog/10.png"]


def recorded(images):
    """The fingerprint as it comes out of a file."""
    return Fingerprint.from_json(json.loads(json.dumps(Fingerprint.of(images).to_json())))


@pytest.fixture
def home(tmp_path):
    return fill(tmp_path / "home", NAMES)


def repaint(path):
    Image.new("RGB", (4, 4), (200, 200, 200)).save(path)


def add(home, *names):
    for name in names:
        (home / name).parent.mkdir(exist_ok=True)
        repaint(home / name)


CHANGES = {
    "two new": (lambda home: add(home, "cat/10.png", "cat/9.png"), "2 image(s) new (cat/9.png and 1 more)"),
    "other pixels": (
        lambda home: [repaint(home / name) for name in NAMES[3:]],
        "3 image(s) with other pixels (dog/4.png and 2 more)",
    ),
    "moved": (
        lambda home: (home / "dog/3.png").rename(home / "cat/3.png"),
        "1 image(s) new (cat/3.png), 1 gone (dog/3.png)",
    ),
    "all": (
        lambda home: (add(home, "cat/8.png", "cat/9.png", "cat/1.png"), (home / "dog/10.png").unlink()),
        "2 image(s) new (cat/8.png and 1 more), 1 gone (dog/10.png), 1 with other pixels (cat/1.png)",
    ),
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("classes", [0, 2])
def test_what_changed_in_a_folder_is_told_by_name(home, change, classes):
    before = recorded(load(home, classes=classes))
    do, said = CHANGES[change]
    do(home)
    assert what_changed(before, load(home, classes=classes)) == said


def write_table(home, kind, labels):
    rows = "".join(f"{name},{label}\n" for name, label in labels.items())
    (home / "labels.csv").write_text(f"file,{kind}\n{rows}")


def test_other_labels_are_told_with_the_old_ones(home):
    kinds = {name: name[:3] for name in NAMES}
    write_table(home, "label", kinds)
    before = recorded(load(home, classes=2))
    repaint(home / "cat/2.png")
    write_table(home, "label", {**kinds, "cat/1.png": "dog", "cat/2.png": "dog", "dog/10.png": "cat"})
    assert what_changed(before, load(home, classes=2)) == (
        "1 image(s) with other pixels (cat/2.png), 3 with another label (cat/1.png: dog, was cat and 2 more)"
    )


def test_other_tags_are_told(home):
    tags = dict.fromkeys(NAMES, "a;b")
    write_table(home, "tags", tags)
    before = recorded(load(home, classes=2, max_tags=3))
    assert before.files["cat/1.png"].endswith(" a,b")
    write_table(home, "tags", {**tags, "cat/2.png": ""})
    now = load(home, classes=2, max_tags=3)
    assert what_changed(before, now) == "1 image(s) with another label (cat/2.png: without tags, was a, b)"
    assert what_changed(recorded(now), load(home)).startswith(
        "6 image(s) with another label (cat/1.png: without a label"
    )


def test_another_size_is_told_in_place_of_other_pixels(home):
    assert what_changed(recorded(load(home)), load(home, size=8, channels=1)) == (
        "images are of shape [1, 8, 8], were of [3, 4, 4]"
    )


@pytest.mark.parametrize("classes", [0, 2])
def test_names_may_hold_anything(home, classes):
    before = recorded(load(home, classes=classes))
    add(home, "cat/line\nbreak\u2028.png", os.fsdecode(b"cat/\xe9.png"))
    said = what_changed(before, load(home, classes=classes))
    assert said == "2 image(s) new (cat/line\\nbreak\\u2028.png and 1 more)"
    assert recorded(load(home, classes=classes)).files[os.fsdecode(b"cat/\xe9.png")]


def some(count=50, classes=10, seed=0):
    images = np.random.default_rng(seed).integers(0, 256, (count, 1, 4, 4), dtype=np.uint8)
    return ImageData(
        "mnist", "train", "a test", images, np.arange(count, dtype=np.int32) % classes, tuple(map(str, range(classes)))
    )


@pytest.mark.parametrize(
    "now, said",
    [
        (some(seed=1), "the images are others, the labels the same"),
        (replace(some(), labels=some().labels[::-1].copy()), "the images are the same, the labels others"),
        (replace(some(seed=1), labels=some().labels[::-1].copy()), "the images are others, the labels others"),
        (some(1200), "1,200 image(s), were 50"),
        (some(50, 5), "the images are the same, the labels of 5 classes, were of 10"),
        (replace(some(), labels=None, classes=()), "the images are the same, the labels gone"),
        (replace(some(), name="digits"), "the data set is digits, was mnist"),
        (replace(some(), images=np.zeros((50, 3, 4, 4), np.uint8)), "images are of shape [3, 4, 4], were of [1, 4, 4]"),
    ],
)
def test_what_changed_in_other_data_sets(now, said):
    assert what_changed(recorded(some()), now) == said


def test_labels_that_were_not_there_before_are_new():
    before = recorded(replace(some(), labels=None, classes=()))
    assert what_changed(before, some()) == "the images are the same, the labels new"


@pytest.mark.parametrize("before", [{}, {"count": 50}, {"files": {}}, {"name": None, "later": 1}])
def test_a_record_that_lacks_something_says_how_many_images_there_are(before):
    assert what_changed(Fingerprint.from_json(before), some()) == "50 images, whose pixels or labels differ"


VALUES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.text()
    | st.lists(st.integers() | st.text(), max_size=4)
    | st.dictionaries(st.sampled_from(["a.png", "b.png"]), st.text() | st.integers())
)


@settings(deadline=None)
@given(before=VALUES | st.dictionaries(st.sampled_from([*vars(Fingerprint()), "more"]), VALUES))
def test_any_record_is_compared_in_one_line(before):
    for now in (some(2), replace(some(2), names=("a.png", "b.png"))):
        said = what_changed(Fingerprint.from_json(before), now)
        assert said and len(said.splitlines()) == 1


def test_copies_are_found_by_their_pixels(home):
    add(home, "dog/5.png", "cat/a.png", "cat/b.png")  # the same grey
    data = load(home)
    files = Fingerprint.of(data).files
    among = [("cat/b.png", "cat/a.png"), ("dog/5.png", "cat/a.png")]
    assert copies(files, data, None) == (among, [])
    alike = dict.fromkeys(files, "00000000")  # as if all checksums were the same by chance
    assert copies(alike, data, None) == (among, [])
    test = replace(data.only(np.array([0, data.names.index("dog/5.png")])), names=("x.png", "y.png"))
    test.images[0] ^= 1
    assert copies(files, data, test) == (among, [("y.png", "cat/a.png")])
    assert copies({}, some(), some()) == ([], []), "of arrays there are no paths"


def test_what_is_said_of_copies_stands_in_a_line_each_that_can_be_printed():
    lines = list(of_copies([("a\nb.png", "c{0}.png")], [(os.fsdecode(b"\xe9.png"), "d.png")] * 2))
    assert [line.split(";")[1] for line in lines] == [" all count", " scores may be too good"]
    assert "1 image(s)" in lines[0] and "c{0}.png" in lines[0] and "2 test image(s)" in lines[1]
    assert all(len(line.splitlines()) == 1 and line.encode() for line in lines)
    assert list(of_copies([], [])) == []


def test_a_fingerprint_tells_every_image_apart(home):
    found = Fingerprint.of(load(home, classes=2))
    assert recorded(load(home, classes=2)) == found and Fingerprint.of(some()).files is None
    assert list(found.files) == sorted(NAMES) and len(set(found.files.values())) == len(NAMES)
    assert (found.name, found.count, found.image_shape, found.classes) == ("folder", 6, [3, 4, 4], 2)
    assert found.source == f"the folder {home}"
    plain = Fingerprint.of(load(home))
    assert plain.labels_sha256 is None and plain.classes is None and plain.images_sha256 == found.images_sha256
    assert [value[:8] for value in found.files.values()] == list(plain.files.values())
