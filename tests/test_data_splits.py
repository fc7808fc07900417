"""Folders of images with splits: however their names are spelt, no test image is trained on."""

from __future__ import annotations

import pytest
from helpers.image_folders import afresh, fill, load, refusal

from ms_gan.data.folder.splits import kind_of
from ms_gan.errors import UserError


def tree(*places, classes=("cat", "dog")):
    return [f"{place}/{name}/{number}.png" for place in places for name in classes for number in range(2)]


PAIRS = """train/test train/val Train/Test TRAIN/VAL training/testing train/valid train/validation train/dev train/eval
train/tests trn/tst train/holdout train/held_out train/Hold-Out training_set/test_set train_images/val_images
trainingSet/testSet Training-Data/Testing-Data images_train/images_test train2017/val2017 train/test1
train.split/test.split trainval/test Training/PublicTest 训练集/测试集"""


@pytest.mark.parametrize("train, held_out", [pair.split("/") for pair in PAIRS.split()])
@pytest.mark.parametrize("classes", [0, 2])
def test_every_spelling_of_splits_is_known(tmp_path, train, held_out, classes):
    fill(tmp_path, tree(train) + [f"{held_out}/dog/{number}.png" for number in range(2, 5)])
    learned, shown = (load(tmp_path, split, classes) for split in ("train", "test"))
    assert learned.names == ("cat/0.png", "cat/1.png", "dog/0.png", "dog/1.png")
    assert shown.names == ("dog/2.png", "dog/3.png", "dog/4.png")
    assert [of_split.labelled().labels.tolist() for of_split in (learned, shown)] == [[0, 0, 1, 1], [1, 1, 1]]
    assert learned.labelled().classes == shown.labelled().classes == ("cat", "dog")
    assert not any("test split" in note for note in learned.notes)


OTHER_WORDS = "steam train|test tube|training shoes|express_train|trainer|contest|value|evaluator|valley|data|2017||t"


@pytest.mark.parametrize("name", OTHER_WORDS.split("|"))
def test_a_name_that_merely_contains_such_a_word_is_no_split(name):
    assert kind_of(name) is None


CLASSES = (
    "train,bus,car|test,bus|val,hill|test1,test2,test3|steam train,test tube|dev_1,dev_2|training shoes,testing kit"
)


@pytest.mark.parametrize("names", [names.split(",") for names in CLASSES.split("|")])
@pytest.mark.parametrize("classes", [0, 2])
def test_classes_with_such_names_stay_classes(tmp_path, names, classes):
    fill(tmp_path, tree(*names, classes=("",)))
    data = load(tmp_path, classes=classes).labelled()
    assert set(data.classes) == set(names) and len(data.names) == 2 * len(names)


@pytest.mark.parametrize("held_out", ["test", "tests", "holdout"])
@pytest.mark.parametrize("between", ["val", "validation", "dev"])
def test_validation_images_beside_both_splits_are_left_out(tmp_path, held_out, between):
    fill(tmp_path, tree("train", held_out) + [f"{between}/wolf/9.png"])
    for split in ("train", "test"):
        data = load(tmp_path, split, classes=2)
        assert data.classes == ("cat", "dog") and "wolf/9.png" not in data.names
        assert f"left out {between}/ (1 image(s)): train/ and {held_out}/ are the splits" in data.notes


@pytest.mark.parametrize(
    "names, named",
    [
        (("train", "Train", "test"), ("Train/", "train/")),
        (("train", "test", "testing"), ("test/", "testing/")),
        (("train", "test", "val", "valid"), ("val/", "valid/")),
        (("Training", "PublicTest", "PrivateTest"), ("PublicTest/", "PrivateTest/")),
        (("train", "Train"), ("Train/", "train/")),
        (("train", "training", "bus"), ("train/", "training/")),
        (("train", "train (1)", "val"), ("train/", "train (1)/")),
        (("test", "val"), ("val", "test/", "no train/")),
    ],
)
@pytest.mark.parametrize("classes", [0, 2])
def test_two_folders_that_may_be_the_same_split_are_refused(tmp_path, names, named, classes):
    fill(tmp_path, tree(*names))
    refusal(tmp_path, tmp_path, *named, classes=classes)


@pytest.mark.parametrize(
    "name, other",
    [("train", "test/"), ("Training", "test/"), ("test", "train/"), ("val_images", "train/"), ("train2017", "test/")],
)
@pytest.mark.parametrize("names", [["1.png", "2.png"], ["cat/1.png", "dog/2.png"]])
@pytest.mark.parametrize("above", ["", "dataset/"])
def test_a_split_alone_is_refused(tmp_path, name, other, names, above):
    fill(tmp_path, [f"{above}{name}/{image}" for image in names], {"notes/read me.txt": ""})
    for split in ("train", "test"):
        refusal(tmp_path, f"data_path={tmp_path}/{above}{name}", f"into {other} beside it", split=split)
    assert len(load(tmp_path / above / name).names) == 2


def test_a_table_says_what_a_folder_of_training_images_holds(tmp_path):
    fill(tmp_path, ["train/1.png", "train/2.png"], {"labels.csv": "file,label\ntrain/1.png,a\ntrain/2.png,b\n"})
    assert load(tmp_path, classes=2).labels.tolist() == [0, 1]
    (tmp_path / "train").rename(tmp_path / "test")
    refusal(tmp_path, "into train/ beside it", classes=2)


@pytest.mark.parametrize(
    "names, place, advice",
    [
        (tree("dataset/train", "dataset/test"), "dataset", "data_path={}/dataset"),
        (tree("a/b/Train", "a/b/Val"), "a/b", "data_path={}/a/b"),
        (["images/train/1.png", "images/val/2.png"], "images", "data_path={}/images"),
        (tree("set/seg_train", "set/seg_test"), "set", "data_path={}/set"),
        (
            ["cats/train/1.png", "cats/test/2.png", "dogs/train/3.png", "dogs/test/4.png"],
            "cats",
            "{0}/train/ and {0}/test/",
        ),
        (["cats/train/1.png", "cats/test/2.png", "dogs/3.png"], "cats", "{0}/train/ and {0}/test/"),
        (
            ["images/train/1.png", "images/val/2.png", "masks/train/3.png", "masks/val/4.png"],
            "images",
            "data_path={}/images",
        ),
    ],
)
@pytest.mark.parametrize("classes", [0, 2])
def test_splits_within_a_folder_are_refused(tmp_path, names, place, advice, classes):
    fill(tmp_path, names, {"images/readme.txt": ""})
    for split in ("train", "test"):
        refusal(tmp_path, f"{tmp_path / place}: holds ", advice.format(tmp_path), classes=classes, split=split)


@pytest.mark.parametrize(
    "train, test",
    [("seg_train", "seg_test"), ("DIV2K_train_HR", "DIV2K_valid_HR"), ("trainA", "testA"), ("cats_train", "cats_test")],
)
def test_names_that_differ_in_the_word_of_the_split_alone_are_refused(tmp_path, train, test):
    fill(tmp_path, tree(train, test))
    refusal(tmp_path, f"{tmp_path}: holds {train}/ and {test}/, which look like splits", "if they are classes, rename")


@pytest.mark.parametrize("stray", ["a.png", "bus/a.png"])
@pytest.mark.parametrize("train, held_out", [("train", "test"), ("train", "val"), ("Training", "Testing")])
def test_images_beside_the_splits_are_refused_in_their_words(tmp_path, train, held_out, stray):
    fill(tmp_path, tree(train, held_out) + [stray])
    refusal(tmp_path, f"{tmp_path / stray}: lies beside {train}/ and {held_out}/")
    (tmp_path / stray).unlink()
    (tmp_path / "Labels.csv").write_text("file,label\n")
    refusal(tmp_path, f"{tmp_path / 'Labels.csv'}: lies beside {train}/ and {held_out}/", "of its own")


def test_loose_images_are_not_mixed_with_test_images(tmp_path):
    fill(tmp_path, ["a.png", "b.png", "Test/c.png"])
    refusal(tmp_path, f"{tmp_path / 'a.png'}: lies beside Test/", "into train/")


@pytest.mark.parametrize("full, empty, named", [("train", "val", "test/"), ("test", "train", "train/")])
def test_a_folder_without_images_is_no_split(tmp_path, full, empty, named):
    fill(tmp_path, [*tree(full), f"{empty}/"])
    refusal(tmp_path, f"{tmp_path / full}: holds all images, and none are in {named} beside it")
    afresh(tmp_path, [*tree("train", "val"), "test/"])
    assert len(load(tmp_path, "test").names) == 4, "val/ is the split"


def test_links_to_splits_are_followed(tmp_path):
    fill(tmp_path / "elsewhere", tree("a", "b"))
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "train").symlink_to(tmp_path / "elsewhere" / "a")
    (tmp_path / "home" / "val").symlink_to(tmp_path / "elsewhere" / "b")
    assert len(load(tmp_path / "home").names) == len(load(tmp_path / "home", "test").names) == 4
    for target in ("a", "a/cat"):
        (tmp_path / "home" / "val").unlink()
        (tmp_path / "home" / "val").symlink_to(tmp_path / "elsewhere" / target)
        refusal(tmp_path / "home", "its train/ and val/ are links to one folder")
    (tmp_path / "home" / "val").unlink()
    (tmp_path / "home" / "val").symlink_to(tmp_path / "nowhere")
    refusal(tmp_path / "home", "train: holds all images")


def test_a_class_named_like_a_split_within_the_splits(tmp_path):
    fill(tmp_path, tree("train", "test", classes=("train", "bus")))
    assert load(tmp_path, classes=2).classes == load(tmp_path, "test", classes=2).classes == ("bus", "train")


# Labels of one split that do not go with those of the other


def test_a_flat_split_beside_classes_has_no_labels_and_says_so(tmp_path):
    fill(tmp_path, [*tree("train"), "val/1.png"])
    for classes in (0, 2):
        assert load(tmp_path, classes=classes).labelled().labels.tolist() == [0, 0, 1, 1]
        shown = load(tmp_path, "test", classes=classes)
        assert shown.labelled().labels is None and "no image of val/ is in a class's folder" in shown.why_unlabelled
    with pytest.raises(UserError, match=r"has no labels \(no image of val/"):
        shown.require(4, 3, 2)


def test_a_class_that_is_only_in_the_test_split_is_refused_or_said(tmp_path):
    fill(tmp_path, [*tree("Train"), "val/wolf/1.png"])
    refusal(tmp_path, f"{tmp_path / 'val' / 'wolf'}: 'wolf' does not occur in Train/", split="test", classes=2)
    assert load(tmp_path, "test").why_unlabelled == "val/wolf: 'wolf' does not occur in Train/"


def test_tags_in_one_split_and_classes_in_the_other(tmp_path):
    fill(
        tmp_path, ["train/1.png", "train/2.png", "val/a/1.png"], {"train/labels.csv": "file,tags\n1.png,a;b\n2.png,b\n"}
    )
    assert load(tmp_path).why_unlabelled == load(tmp_path, "test").why_unlabelled == "the labels of train/ are tags"
    assert load(tmp_path, "test", classes=2, max_tags=2).labels.tolist() == [[1, 0]]
    afresh(tmp_path, [*tree("train"), "val/1.png"], {"val/labels.csv": "file,tags\n1.png,cat\n"})
    assert load(tmp_path, "test").why_unlabelled == "the labels of val/ are tags"
    refusal(tmp_path, "val/labels.csv: line 1: lists tags", split="test", classes=2)


@pytest.mark.parametrize("split, other", [("test", "train"), ("val", "train"), ("train", "test")])
def test_classes_beside_a_split_of_them_are_not_swallowed(tmp_path, split, other):
    fill(tmp_path, tree("cat", "dog", f"{split}/cat", f"{split}/dog", classes=("",)))
    refusal(tmp_path, f"cat: lies beside {split}/, which has images of cat/, too", f"move them into {other}/")


@pytest.mark.parametrize("name", ["images", "Photos_2", "data set"])
def test_a_test_split_beside_nameless_images_is_not_swallowed(tmp_path, name):
    fill(tmp_path, tree(name, "test", classes=("",)))
    refusal(tmp_path, f"{name}: lies beside test/", "move the images to train on into train/")
    fill(tmp_path, tree("public", "private", classes=("",)))
    refusal(tmp_path, "lies beside test/", "move the images to train on into train/")
    fill(tmp_path, tree("bus", classes=("",)))
    assert len(load(tmp_path).classes) == 0 and len(load(tmp_path, classes=5).classes) == 5, "these are kinds"


@pytest.mark.parametrize("name", ["train", "test"])
def test_a_split_in_a_folder_of_its_own_name_is_taken_for_that(tmp_path, name):
    fill(tmp_path, tree(f"{name}/{name}"))
    refusal(tmp_path, f"{name}: holds all images", "name that folder itself")


def test_a_table_over_folders_in_folders_of_their_name(tmp_path):
    names = [f"train/train/{number}.png" for number in range(40)]
    fill(tmp_path, names, {"labels.csv": "file,label\n" + "".join(f"{name},cat\n" for name in names)})
    assert len(load(tmp_path).names) + len(load(tmp_path, "test").names) == 40


def test_a_run_goes_on_with_images_that_are_refused_since(tmp_path):
    fill(tmp_path, tree("images", "test", classes=("",)))
    refusal(tmp_path, "lies beside test/")
    assert load(tmp_path, test_split_up_to="0" * 64).names


@pytest.mark.parametrize("split, other", [("train", "Validierung"), ("train", "unlabeled"), ("test", "learn")])
def test_a_folder_with_the_classes_of_a_split_is_not_swallowed(tmp_path, split, other):
    fill(tmp_path, tree(split, other))
    refusal(tmp_path, f"{other}: holds the same folders as {split}/, such as cat/", "name it as the other split")
