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

from ms_gan.data.changes import fingerprint, what_changed
from ms_gan.data.description import ImageData

NAMES = ["cat/1.png", "cat/2.png", "dog/3.png", "dog/4.png", "dog/5.png", "dog/10.png"]


def recorded(images):
    """The fingerprint as it comes out of a file."""
    return json.loads(json.dumps(fingerprint(images)))


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
    "one new": (lambda home: add(home, "cat/9.png"), "1 image is new (cat/9.png)"),
    "two new": (lambda home: add(home, "cat/10.png", "cat/9.png"), "2 images are new (cat/9.png and 1 more)"),
    "one gone": (lambda home: (home / NAMES[2]).unlink(), "1 image is gone (dog/3.png)"),
    "other pixels": (
        lambda home: [repaint(home / name) for name in NAMES[3:]],
        "3 images have other pixels (dog/4.png and 2 more)",
    ),
    "moved": (
        lambda home: (home / "dog/3.png").rename(home / "cat/3.png"),
        "1 image is new (cat/3.png), 1 is gone (dog/3.png)",
    ),
    "all": (
        lambda home: (add(home, "cat/8.png", "cat/9.png", "cat/1.png"), (home / "dog/10.png").unlink()),
        "2 images are new (cat/8.png and 1 more), 1 is gone (dog/10.png), 1 has other pixels (cat/1.png)",
    ),
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("classes", [0, 2])
def test_what_changed_in_a_folder_is_told_by_name(home, change, classes):
    before = recorded(load(home, classes=classes))
    do, said = CHANGES[change]
    do(home)
    assert what_changed(before, load(home, classes=classes)) == said


def write_tags(home, tags):
    rows = "".join(f"{name},{of_one}\n" for name, of_one in tags.items())
    (home / "labels.csv").write_text(f"file,tags\n{rows}")


def test_other_labels_are_told_with_the_old_ones(home):
    write_tags(home, {name: name[:3] for name in NAMES})
    table = home / "labels.csv"
    table.write_text(table.read_text().replace("tags", "label"))
    before = recorded(load(home, classes=2))
    table.write_text(table.read_text().replace("cat/1.png,cat", "cat/1.png,dog"))
    now = load(home, classes=2)
    assert what_changed(before, now) == "1 image has another label (cat/1.png: dog, was cat)"
    repaint(home / "cat/2.png")
    table.write_text(
        table.read_text().replace("cat/2.png,cat", "cat/2.png,dog").replace("dog/10.png,dog", "dog/10.png,cat")
    )
    assert what_changed(before, load(home, classes=2)) == (
        "1 image has other pixels (cat/2.png), 3 have another label (cat/1.png: dog, was cat and 2 more)"
    )


def test_other_tags_are_told(home):
    tags = dict.fromkeys(NAMES, "a;b")
    write_tags(home, tags)
    before = recorded(load(home, classes=2, max_tags=3))
    assert before["files"]["cat/1.png"].endswith(" a,b")
    write_tags(home, {**tags, "cat/2.png": ""})
    now = load(home, classes=2, max_tags=3)
    assert what_changed(before, now) == "1 image has another label (cat/2.png: without tags, was a, b)"
    assert what_changed(recorded(now), load(home)).startswith("6 images have another label (cat/1.png: without a label")


def test_a_vocabulary_in_another_order_is_told(home):
    before = recorded(load(home, classes=2))
    assert "classes come in another order" in what_changed(before, load(home, classes=2, class_names=["dog", "cat"]))


def test_another_size_is_told_in_place_of_other_pixels(home):
    assert what_changed(recorded(load(home)), load(home, size=8, channels=1)) == (
        "images are 1 channel(s) of 8x8, were 3 channel(s) of 4x4"
    )


@pytest.mark.parametrize("classes", [0, 2])
def test_names_may_hold_anything(home, classes):
    before = recorded(load(home, classes=classes))
    add(home, "cat/line\nbreak\u2028.png", os.fsdecode(b"cat/\xe9.png"))
    said = what_changed(before, load(home, classes=classes))
    assert said == "2 images are new (cat/line\\nbreak\\u2028.png and 1 more)"
    assert recorded(load(home, classes=classes))["files"][os.fsdecode(b"cat/\xe9.png")]


def some(count=50, classes=10, seed=0):
    images = np.random.default_rng(seed).integers(0, 256, (count, 1, 4, 4), dtype=np.uint8)
    return ImageData(
        "mnist", "train", "a test", images, np.arange(count, dtype=np.int32) % classes, tuple(map(str, range(classes)))
    )


@pytest.mark.parametrize(
    "now, said",
    [
        (some(seed=1), "the images are others, the labels the same"),
        (replace(some(), labels=some().labels[::-1].copy()), "the labels are others, the images the same"),
        (replace(some(seed=1), labels=some().labels[::-1].copy()), "the images and the labels are others"),
        (some(60), "60 images, were 50"),
        (some(50, 5), "5 classes, were 10, and the images are the same"),
        (replace(some(), labels=None, classes=()), "the labels are gone, the images are the same"),
        (replace(some(), name="digits"), "the data set is digits, was mnist"),
        (
            replace(some(), images=np.zeros((50, 3, 4, 4), np.uint8)),
            "images are 3 channel(s) of 4x4, were 1 channel(s) of 4x4",
        ),
    ],
)
def test_what_changed_in_other_data_sets(now, said):
    assert what_changed(recorded(some()), now) == said


def test_large_numbers_are_grouped():
    assert what_changed({**recorded(some()), "count": 60000}, some(1200)) == "1,200 images, were 60,000"


@pytest.mark.parametrize("before", [{}, {"count": 50}, {"files": {}}, {"images_sha256": "x"}])
def test_a_record_that_lacks_something_says_how_many_images_there_are(before):
    assert what_changed(before, some()) == "50 images, whose pixels or labels differ"


def test_the_same_data_are_said_to_be_the_same(home):
    assert "the same" in what_changed(recorded(some()), some())
    assert "the same" in what_changed(recorded(load(home)), load(home))
    assert fingerprint(load(home)) == fingerprint(load(home, held_out_up_to=""))


VALUES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.text()
    | st.lists(st.integers() | st.text(), max_size=4)
    | (st.dictionaries(st.text(), st.text() | st.integers(), max_size=3))
)


@settings(deadline=None, max_examples=200)
@given(before=st.dictionaries(st.sampled_from([*fingerprint(some()), "files", "more"]), VALUES))
def test_any_record_is_compared_in_one_line(before):
    said = what_changed(before, some())
    assert said and len(said.splitlines()) == 1
    named = what_changed(before, replace(some(2), names=("a.png", "b.png")))
    assert named and len(named.splitlines()) == 1


def test_a_fingerprint_tells_every_image_apart(home):
    found = fingerprint(load(home, classes=2))
    assert list(found["files"]) == sorted(NAMES) and len(set(found["files"].values())) == len(NAMES)
    assert (found["name"], found["count"], found["image_shape"], found["classes"]) == ("folder", 6, [3, 4, 4], 2)
    assert found["source"] == f"the folder {home}" and "files" not in fingerprint(some())
    plain = fingerprint(load(home))
    assert plain["labels_sha256"] is None and plain["classes"] is None
    assert plain["images_sha256"] == found["images_sha256"]
    assert [value[:8] for value in found["files"].values()] == list(plain["files"].values())
