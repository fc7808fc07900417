"""Which images of a folder are the test split, and whose labels are found without being asked for."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from helpers.image_folders import afresh, fill, load, refusal
from hypothesis import given, settings
from hypothesis import strategies as st

from ms_gan.data.description import DataRequest, ImageData, NoTestSplit
from ms_gan.data.folder.splits import choose_tenth
from ms_gan.data.folder.tables import Labels, Place, Row
from ms_gan.data.hold_out import split_validation
from ms_gan.errors import UserError
from ms_gan.runs.provenance import Provenance
from ms_gan.schema.recipe import Data


def digest(name):
    return hashlib.sha256(name.encode()).hexdigest()


def by_digest(names):
    return sorted(names, key=digest)


# The last image of a class stays for training


def classes_of(home, of_file):
    """Write images, of which two are test images by their names, with the class that a function gives each place."""
    names = by_digest(f"{number}.png" for number in range(20))
    table = "".join(f"{name},{of_file(place)}\n" for place, name in enumerate(names))
    return names, fill(home, names, {"labels.csv": f"file,label\n{table}"})


def test_the_last_image_of_a_class_is_no_test_image(tmp_path):
    names, _ = classes_of(tmp_path, lambda place: "rare" if place == 1 else "common")
    train, test = (load(tmp_path, split, classes=2) for split in ("train", "test"))
    assert train.test_split_but == test.test_split_but == (names[1],)
    assert test.names == (names[0],) and names[1] in train.names and len(train.names) == 19
    assert np.bincount(train.labels).tolist() == [18, 1] and train.classes == test.classes == ("common", "rare")
    assert "of 20 files 1 are the test split, and are not trained on" in train.notes
    assert "1 image(s) more would be, but stay for training as the last of a class or tag" in train.notes


def test_a_class_each_holds_nothing_out(tmp_path):
    fill(tmp_path, [f"{number}/0.png" for number in range(20)])
    for classes in (0, 20):
        assert len(load(tmp_path, classes=classes).names) == 20
        with pytest.raises(NoTestSplit, match="as each that would be is the last of its class"):
            load(tmp_path, "test", classes=classes)


@pytest.mark.parametrize("classes, max_tags", [(0, 0), (3, 2)])
def test_the_last_image_of_a_tag_is_no_test_image_whatever_the_recipe_takes(tmp_path, classes, max_tags):
    names = by_digest(f"{number}.png" for number in range(20))
    tags = {names[0]: "a", names[1]: "a;rare", names[2]: ""}
    table = "".join(f"{name},{tags.get(name, 'a;b')}\n" for name in names)
    fill(tmp_path, names, {"labels.csv": f"file,tags\n{table}"})
    assert load(tmp_path, classes=classes, max_tags=max_tags).test_split_but == (names[1],)
    assert load(tmp_path, "test", classes=classes, max_tags=max_tags).names == (names[0],)


def test_the_split_is_the_same_for_a_recipe_with_classes_and_one_without(tmp_path):
    fill(tmp_path, [f"{number % 7}/{number}.png" for number in range(40)] + ["rare/41.png", "rarer/3.png"])
    for split in ("train", "test"):
        plain, labelled = (load(tmp_path, split, classes) for classes in (0, 9))
        assert plain.names == labelled.names and plain.test_split_but == labelled.test_split_but
        assert plain.labelled().sha256 == labelled.sha256 != plain.sha256


@settings(deadline=None, max_examples=200)
@given(st.lists(st.sets(st.integers(0, 12), max_size=3), min_size=1, max_size=60))
def test_whatever_the_labels_each_has_an_image_to_train_on_and_no_more_stay_than_have_to(of_each):
    names = [f"{number}.png" for number in range(len(of_each))]
    rows = {name: Row(tuple(map(str, labels)), Place(Path())) for name, labels in zip(names, of_each)}
    labels = Labels(Path(), rows, tags=True)
    tenth = choose_tenth(names, labels)
    up_to, but = tenth
    train, test = ([name for name in names if tenth.holds(name) == is_test] for is_test in (False, True))
    assert {label for name in train for label in rows[name].labels} == {
        label for row in rows.values() for label in row.labels
    }
    assert set(test) == {name for name in names if digest(name) <= up_to} - set(but)
    assert len(test) + len(but) == len(names) // 10
    for name in but:  # the last of at least one class among those with a larger digest and those trained on anyway
        others = [n for n in train if n != name and (digest(n) > up_to or digest(n) > digest(name))]
        assert set(rows[name].labels) - {label for n in others for label in rows[n].labels}
    assert choose_tenth(names[::-1], labels) == tenth


# Records of runs


def test_with_a_record_only_its_exceptions_count(tmp_path):
    names, _ = classes_of(tmp_path, lambda place: "rare" if place == 1 else "common")
    up_to = load(tmp_path).test_split_up_to
    for record, shown in (({}, names[:2]), ({"test_split_but": [names[0]]}, names[1:2])):
        test = load(tmp_path, "test", classes=2, test_split_up_to=up_to, **record)
        assert set(test.names) == set(shown) and test.test_split_but == tuple(record.get("test_split_but", ()))
        train = load(tmp_path, classes=2, test_split_up_to=up_to, **record)
        assert set(train.names) == set(names) - set(shown)
    assert "no image to train on is left of 1 of the classes, such as rare" in " ".join(
        load(tmp_path, classes=2, test_split_up_to=up_to).notes
    )


def test_what_was_trained_on_is_never_shown_after_the_folder_changed(tmp_path):
    names, _ = classes_of(tmp_path, lambda place: "rare" if place == 1 else "common")
    began = load(tmp_path, classes=2)
    record = {"test_split_up_to": began.test_split_up_to, "test_split_but": list(began.test_split_but)}
    more = [f"more{number}.png" for number in range(30)]
    table = "".join(f"{name},{'rare' if name in more else 'common'}\n" for name in names + more)
    afresh(tmp_path, names + more, {"labels.csv": f"file,label\n{table}"})
    train, test = (load(tmp_path, split, classes=2, **record) for split in ("train", "test"))
    assert not set(test.names) & set(began.names) and names[0] in test.names
    assert set(began.names) <= set(train.names)


def test_names_that_are_no_utf_8_are_recorded_and_found_again(tmp_path):
    strange = os.fsdecode(b"\xe9/1.png")
    names = by_digest([f"{number}/{copy}.png" for number in range(9) for copy in (0, 1)] + ["x/0.png"])
    fill(tmp_path, [*names, strange])
    train, test = (load(tmp_path, split) for split in ("train", "test"))
    assert strange in train.names + test.names and "not UTF-8" in train.why_unlabelled
    kept = load(tmp_path, "test", test_split_up_to="f" * 64, test_split_but=json.loads(json.dumps([strange])))
    assert set(kept.names) == set(train.names + test.names) - {strange} and kept.test_split_but == (strange,)


def test_records_with_the_names_of_before_are_read(tmp_path):
    source = {"path": "x", "skip_unreadable": False, "held_out_up_to": "f", "held_out_but": ["a.png"]}
    for version in ({}, {"format_version": 2}):
        found = Provenance.from_json({**version, "data": source, "starts": []}, tmp_path / "record")
        assert (found.data.test_split_up_to, found.data.test_split_but) == ("f", ("a.png",))
        assert Provenance.from_json(json.loads(json.dumps(found.to_json())), tmp_path) == found


# The vocabulary of a run


def test_labels_follow_the_vocabulary_of_the_run(tmp_path):
    fill(tmp_path, ["10/a.png", "2/b.png"])
    assert load(tmp_path, classes=2).classes == ("2", "10")
    known = load(tmp_path, classes=3, class_names=["10", "2", "7"])
    assert known.classes == ("10", "2", "7") and known.labels.tolist() == [0, 1]
    assert load(tmp_path, classes=2, class_names=None).classes == ("2", "10")
    tagged = load(tmp_path, classes=3, max_tags=2, class_names=["10", "2", "7"])
    assert tagged.classes == known.classes and tagged.labels.tolist() == [[1, 0], [2, 0]]


@pytest.mark.parametrize("split", ["train", "test"])
def test_labels_that_the_run_does_not_know_are_refused(tmp_path, split):
    fill(tmp_path, ["train/cat/1.png", "train/wolf/2.png", "test/cat/3.png"])
    why = "train/wolf: 'wolf' does not occur in the run"
    refusal(tmp_path, why, classes=2, split=split, class_names=["cat", "dog"])
    assert load(tmp_path, split, class_names=["cat"]).why_unlabelled == why


def test_a_class_is_the_same_in_every_unicode_form(tmp_path):
    fill(tmp_path, ["cafe\u0301/1.png", "the\u0301/1.png"])
    assert load(tmp_path, classes=2, class_names=["th\xe9", "cafe\u0301"]).labels.tolist() == [1, 0]


# Spare labels


def test_labels_are_found_for_a_recipe_without(tmp_path):
    fill(tmp_path, ["2/a.png", "10/b.png", "10/c.png"])
    found = load(tmp_path)
    assert found.labels is None and found.classes == () and found.max_tags == 0 and found.why_unlabelled is None
    numbers, names = found.spare
    assert numbers.dtype == np.int32 and numbers.tolist() == [1, 1, 0] and names == ("2", "10")
    assert found.labelled().labels.tolist() == [1, 1, 0] and found.labelled().classes == ("2", "10")
    assert found.sha256 == replace(found, spare=None).sha256
    labelled = load(tmp_path, classes=2)
    assert labelled.labelled() is labelled and labelled.spare is None
    some = found.only(np.array([2, 0]))
    assert some.names == ("2/a.png", "10/b.png") and some.spare[0].tolist() == [0, 1] and some.spare[1] == names
    assert found.at_size(2).names == found.names and found.at_size(2).spare is found.spare


@pytest.mark.parametrize(
    "names, table, why",
    [
        (["a.png", "b.png"], None, "no image of the folder is in a class's folder directly in it, and there is no"),
        (["a.png", "x/b.png"], None, "a.png: is in no class's folder, as x/b.png"),
        (["set/x/a.png", "set/y/b.png"], None, "no image of the folder is in a class's folder directly in it"),
        (["a.png", "b.png"], "file,tags\na.png,x\nb.png,y\n", "the labels of the folder are tags"),
        (["a.png", "b.png"], "file,label\na.png,x\n", "labels.csv: has no row for b.png"),
        (["a.png", "b.png"], "file,label\na.png,x\nb.png\n", "labels.csv: line 3: has 1 column(s), not 2"),
        (["a.png", "b.png"], "file;label\n", "labels.csv: line 1: the columns are separated by semicolons"),
        (["a;b,c/a.png", "d/b.png"], None, "a;b,c: 'a;b,c' holds a comma, a line break"),
    ],
)
def test_why_there_are_no_labels_is_said_and_is_no_fault(tmp_path, names, table, why):
    fill(tmp_path, names, {} if table is None else {"labels.csv": table})
    found = load(tmp_path)
    assert found.names == tuple(sorted(names)) and found.labelled() is found and found.spare is None
    assert found.why_unlabelled.startswith(why) and len(found.why_unlabelled.splitlines()) == 1
    assert f" ({found.why_unlabelled})" in str(pytest.raises(UserError, found.require, 4, 3, 2).value)


def test_a_table_in_which_no_image_has_a_tag_is_no_vocabulary(tmp_path):
    fill(tmp_path, ["a.png", "b.png"], {"labels.csv": "file,tags\na.png,\nb.png,;\n"})
    found = load(tmp_path, classes=2, max_tags=2)
    assert found.labels is None and found.why_unlabelled == "labels.csv of the folder gives no image a tag"


# Validation images


def numbered(labels=None, max_tags=0):
    images = np.arange(40 * 16).reshape(40, 1, 4, 4).astype(np.uint8)
    return ImageData("x", "train", "x", images, labels, tuple("abcdefghij"), max_tags)


@pytest.mark.parametrize("max_tags", [0, 2])
def test_each_label_keeps_a_training_image(max_tags):
    labels = np.arange(40, dtype=np.int32) // 4
    tags = np.stack([labels + 1, np.zeros(40, np.int32)], 1)
    data = numbered(tags if max_tags else labels, max_tags)
    train, validation = split_validation(data, 38, 1, keep_labels=True)
    assert len(np.unique(train.labels[:, 0] if max_tags else train.labels)) == 10
    assert len(train.images) == 10 and len(validation.images) == 30
    assert len(split_validation(data, 38, 1, keep_labels=False)[1].images) == 38


def test_a_place_without_a_tag_is_no_tag_that_training_lacks():
    images = np.repeat(np.arange(40, dtype=np.uint8), 16).reshape(40, 1, 4, 4)
    tags = np.stack([np.arange(40) % 9 + 1, np.full(40, 10)], 1).astype(np.int32)
    for seed in range(1, 9):
        first = split_validation(replace(numbered(tags, 2), images=images), 5, seed, keep_labels=False)[1].images[0]
        lacking = tags.copy()
        lacking[first[0, 0, 0], 1] = 0
        held = split_validation(replace(numbered(lacking, 2), images=images), 5, seed, keep_labels=True)[1]
        assert len(held.images) == 5 and (held.labels == 0).any(), "training has all ten tags"


# Sizes


def test_images_are_brought_to_whole_fractions_of_their_size():
    assert numbered().at_size(2).images.shape == (40, 1, 2, 2)
    square = np.array([[[[0, 1], [1, 1]]]], np.uint8)
    assert replace(numbered(), images=square).at_size(1).images.tolist() == [[[[1]]]], "rounded, not cut off"
    for size in (3, 8):
        with pytest.raises(ValueError, match=f"4x4 cannot be brought to {size}x{size}"):
            numbered().at_size(size)


@pytest.mark.parametrize("count", [10, 11])
def test_up_to_ten_classes_are_named_where_they_are_too_many(count):
    images = replace(numbered(np.zeros(40, np.int32)), classes=tuple("abcdefghijk"[:count]))
    with pytest.raises(UserError, match=f"has {count} classes") as caught:
        images.require(4, 1, 3)
    assert ("(a, b, c, d, e, f, g, h, i, j)" in str(caught.value)) == (count == 10)
    assert ("i, j, …)" in str(caught.value)) == (count == 11)


def test_a_recipes_section_and_a_request_make_the_same_request():
    section = Data(dataset="folder", size=64, channels=3, classes=5, max_tags=2)
    expected = DataRequest(64, 3, 5, 2, verify_test=False)
    for some in (section, DataRequest(64, 3, 5, 2)):
        assert DataRequest.of(some, verify_test=False) == expected
    assert DataRequest.of() == DataRequest() and DataRequest().verify_test
