"""The protocol of the scores, and `eval --metrics` from the command line: what it prints, writes and refuses."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import numpy as np
import pytest
from helpers import commands, idx_files, tagged
from helpers.bundles import AUTOENCODER
from helpers.commands import here, refused_here
from helpers.networks import ACGAN, options
from helpers.refusals import refused
from PIL import Image

from ms_gan import recipes
from ms_gan.data.description import ImageData
from ms_gan.data.synthetic.digits import CLASSES, draw_digits
from ms_gan.errors import UserError
from ms_gan.evaluation import judge_training, metrics, protocol, score_picture, scores
from ms_gan.evaluation.judge import load_judge, save_judge
from ms_gan.evaluation.judge_training import train_judge
from ms_gan.evaluation.protocol import Real, Subject, as_shown
from ms_gan.evaluation.quick_scorer import QuickScorer
from ms_gan.evaluation.scores import Options, Scores, measure
from ms_gan.files import write_checksums
from ms_gan.sampling import as_bytes
from ms_gan.schema.recipe import Latent
from ms_gan.training.validation import ValidationScorer

pytestmark = pytest.mark.usefixtures("device", "short_judges")
LATENT = Latent(size=4)
SMALL = (*commands.SMALL, "--batch-size", "8")
SMALL_CONDITIONAL = (*options(ACGAN), "--batch-size", "8")


def quiet(line):
    pass


@pytest.fixture(scope="module")
def train():
    images, labels = draw_digits(1200, 0, 1)
    return ImageData("digits", "train", "the digits drawn for a test", images, labels, CLASSES)


@pytest.fixture(scope="module")
def test():
    images, labels = draw_digits(200, 0, 2)
    return ImageData("digits", "test", "the digits drawn for a test", images, labels, CLASSES)


@pytest.fixture(scope="module")
def judge(train, test, short_judges, tmp_path_factory):
    return save_judge(train_judge(train, test, 1, "a test", quiet), tmp_path_factory.mktemp("judges") / "digits")


def perfect(test):
    """A conditional generator that gives back test images of the class it is asked for."""

    def draw(inputs):
        chosen = [np.flatnonzero(test.labels == label)[index % 5] for index, label in enumerate(inputs[1])]
        return np.float32(test.images[chosen]) / 255

    return draw


def scored(train, test, judge=None, draw=None, conditional=True, discriminate=None, **options):
    subject = Subject(draw or perfect(test), LATENT, conditional, discriminate, "no discriminator", 0.0)
    return measure(subject, train, test, judge, None if judge else "no labels", Options(1, **options), quiet)


def test_only_what_was_trained_on_can_be_memorised(train, test):
    subject = Subject(perfect(test), LATENT, True, trained_on=(test.images,))
    found = measure(subject, train, test, None, "no labels", Options(1), quiet)
    assert found.generated["memorisation_200_share_below_1"] == 1, "these are the images of which it makes its own"


def test_d_is_measured_by_the_threshold_of_its_family(train, test):
    logits = np.linspace(-1, 1, 200)
    for threshold, share in ((0.0, 0.5), (-0.7, 0.85), (0.5, 0.25)):
        subject = Subject(perfect(test), LATENT, True, lambda images, labels: logits[: len(images)], "", threshold)
        found = measure(subject, train, test, None, "no labels", Options(1), quiet).generated
        assert found["discriminator_accuracy_real_test"] == pytest.approx(share, abs=0.01)
        assert found["discriminator_accuracy_generated"] == pytest.approx(1 - share, abs=0.01)


def test_names_say_the_protocol_and_perfect_samples_stand_beside(train, test, judge):
    found = scored(train, test, judge, discriminate=lambda images, labels: images.mean((1, 2, 3))[:, None] - 30)
    of_features = [f"{name}_200_test" for name in ("precision", "recall", "density", "coverage")]
    of_d = (
        "accuracy_real_test accuracy_generated accuracy_pairs logit_spread_real_test logit_spread_generated logit_gap"
    )
    assert list(found.generated) == [
        *("fd_200_test", "fd_200_test_ratio", *of_features, "class_accuracy_20_per_class"),
        *("sharpness_200_test_ratio", "flecked_200_test", "broken_200_test"),
        *(f"memorisation_200_{name}" for name in ("median", "percentile_1", "share_below_1")),
        *("parzen_200_test", "parzen_200_test_error", "parzen_200_test_sigma"),
        *(f"discriminator_{name}" for name in of_d.split()),
    ]
    assert set(found.generated) - set(found.real) == {name for name in found.generated if "discriminator" in name}
    assert found.generated["fd_200_test_ratio"] == found.generated["fd_200_test"] / found.real["fd_200_test"]
    assert found.real["fd_200_test_ratio"] == 1
    no_ratios = {"flecked_200_test_ratio", "broken_200_test_ratio"}  # no drawn digit has a fault
    assert set(found.left_out) == {"cas", "one_nearest_neighbour_error"} | no_ratios
    assert found.protocol["generated"] == found.protocol["real"] == 200 and found.protocol["seed"] == 1


def test_a_perfect_generator_is_read_as_the_test_images_are(train, test, judge):
    found = scored(train, test, judge)
    right = np.mean([np.mean(judge.read(test.images[test.labels == number][:5]) == number) for number in range(10)])
    assert found.generated["class_accuracy_20_per_class"] == pytest.approx(right, abs=0.15)
    assert found.shares["generated"] == pytest.approx(found.shares["real"], abs=0.12)
    assert found.generated["memorisation_200_share_below_1"] == 0


def test_copies_of_training_images_are_found(train, test):
    found = scored(train, test, draw=lambda inputs: np.float32(train.images[: len(inputs[0])]) / 255, conditional=False)
    assert found.generated["memorisation_200_share_below_1"] == 1 > found.real["memorisation_200_share_below_1"]


def test_the_test_split_is_scored_and_never_trained_on(train, test):
    real = Real.choose(train, test, 1)
    assert real.count == 200 and len(real.for_width) == 200 and len(real.draws[0]) == 200
    rows = {
        name: {image.tobytes() for image in images}
        for name, images in (("test", real.reference.images), ("some", real.draws[0]), ("for_width", real.for_width))
    }
    assert not rows["some"] & rows["for_width"] and not rows["test"] & (rows["some"] | rows["for_width"])
    assert rows["for_width"] <= {image.tobytes() for image in train.images[1000:]}
    some = Real.choose(train, test.only(np.arange(150)), 2)
    assert some.count == 150 == len(some.draws[0])


def test_real_stands_beside_as_a_mean_of_draws(train, test, judge):
    found = scored(train, test, judge)
    draws = found.protocol["fd_of_real_draws"]
    assert len(draws) == len(Real.choose(train, test, 1, as_labelled=True).draws) > 1
    assert found.real["fd_200_test"] == pytest.approx(np.mean(draws)) and np.std(draws) > 0
    black = scored(train, test, judge, draw=lambda inputs: np.zeros((len(inputs[0]), 1, 28, 28), np.float32))
    assert found.real["fd_200_test"] < black.generated["fd_200_test"] / 10


@pytest.mark.parametrize("as_labelled", [False, True])
def test_draws_of_real_images_share_none(train, test, as_labelled):
    images = np.arange(1200, dtype=np.int32).view(np.uint8).reshape(1200, 1, 2, 2)  # each says its number
    numbered = replace(train, images=images, labels=np.resize(train.labels, 1200))
    real = Real.choose(numbered, test, 1, as_labelled)
    found = [draw.reshape(-1, 4).copy().view(np.int32)[:, 0] for draw in real.draws]
    assert 1 < len(found) <= 5 and {len(draw) for draw in found} == {200}
    assert len(set(np.concatenate(found))) == 200 * len(found) and np.concatenate(found).max() < 1000
    rare = replace(train, labels=np.where(train.labels == 3, 4, train.labels))
    as_they_come, asked = (Real.choose(rare, test, 1, each).draws[0] for each in (False, as_labelled))
    assert np.array_equal(as_they_come, asked), "there are too few of a class"
    shares = [np.bincount(numbered.labels[draw], minlength=10).tolist() for draw in found]
    assert (shares == [np.bincount(real.reference.labels, minlength=10).tolist()] * len(found)) == as_labelled


def sorted_by_class(some):
    """The same images as a folder gives them, class by class."""
    return replace(some.only(np.argsort(some.labels, kind="stable")), name="folder")


def test_images_that_are_sorted_by_class_are_chosen_from_all_classes(train, test, monkeypatch):
    ordered, ordered_test = sorted_by_class(train), sorted_by_class(test)
    real = Real.choose(ordered, ordered_test, 1)
    label_of = {image.tobytes(): label for image, label in zip(train.images, train.labels.tolist())}
    for chosen in (*real.draws, real.for_width):
        assert len({label_of[image.tobytes()] for image in chosen}) == 10
    matched = Real.choose(ordered, ordered_test, 1, as_labelled=True)
    assert matched.as_labelled and not Real.choose(train.only(np.arange(400)), test, 1, as_labelled=True).as_labelled
    asked, shown = [], []
    monkeypatch.setattr(scores, "train_network", lambda name, images, seed, say: asked.append(images.labels))
    monkeypatch.setattr(scores, "accuracy", lambda network, images: 0.5)
    monkeypatch.setattr(scores, "LABELLED", 2)
    monkeypatch.setattr(scores, "DISCRIMINATED", 60)

    def discriminate(images, labels):
        shown.append(labels)
        return images.mean((1, 2, 3))[:, None]

    found = scored(ordered, ordered_test, cas=True, discriminate=discriminate)
    assert [len(set(labels.tolist())) for labels in (*asked, *shown)] == [10] * 4
    assert found.protocol["real_as_labelled"] is True
    assert len(asked[0]) == 400 and np.array_equal(*asked)


@pytest.mark.parametrize("held_out, classes", [(False, 10), (True, 10), (True, 0), (False, 0)])
def test_on_the_way_images_of_all_classes_are_compared_with_and_others_of_the_same(train, held_out, classes):
    half = np.arange(len(train.images)) % 2 == 0
    images, others = (sorted_by_class(train.only(np.flatnonzero(some))) for some in (half, ~half))
    recipe = recipes.override(recipes.load("rpgan"), [f"data.classes={classes}", "scores.images=100"])
    scorer = ValidationScorer(recipe, images, others if held_out else None, 1, 100)
    wanted = np.bincount(scorer.reference.labels, minlength=10)
    sets = [images.only(draw) for draw in scorer._draws]
    assert wanted.min() > 0 and 1 < len(sets) <= 5
    counts = [np.bincount(some.labels, minlength=10).tolist() for some in sets]
    assert all(count == wanted.tolist() for count in counts) == bool(classes)
    every = [image.tobytes() for some in (scorer.reference, *sets) for image in some.images]
    assert len(set(every)) == len(every)


def test_a_generator_whose_images_are_not_finite_is_not_scored(train, test):
    def diverged(inputs):
        return np.where(np.arange(784).reshape(1, 28, 28) == 5, np.nan, perfect(test)(inputs))

    assert "not finite" in refused(scored, train, test, draw=diverged)


@pytest.mark.parametrize(
    "setting, ways", [({}, 1), ({"mirror": True}, 2), ({"quarter_turns": True}, 8), ({"rotate_and_mirror": True}, 8)]
)
def test_copies_are_found_in_each_way_that_images_were_shown(train, test, setting, ways):
    shown = as_shown(train.images, replace(recipes.load("rpgan").data, **setting))
    assert len(shown) == ways and len({way[3].tobytes() for way in shown}) == ways

    def turned(inputs):
        return np.float32(shown[-1][: len(inputs[0])]) / 255

    subject = Subject(turned, LATENT, trained_on=shown)
    found = measure(subject, train, test, None, "no labels", Options(1), quiet)
    assert found.generated["memorisation_200_share_below_1"] == 1 > found.real["memorisation_200_share_below_1"]


def test_a_class_that_no_reference_image_has_is_not_asked_for(test):
    some = test.only(np.flatnonzero(test.labels != 4))
    labels, balanced = protocol.labels_to_ask_for(some, 1)
    assert set(np.unique(labels).tolist()) == set(range(10)) - {4}
    assert set(np.bincount(labels[balanced]).tolist()) == {0, len(some.images) // 9}


def test_every_class_is_asked_for_equally_often_in_class_accuracy_and_as_in_the_test_split_otherwise(test):
    labels, balanced = protocol.labels_to_ask_for(test, 1)
    assert sorted(labels[:200]) == sorted(test.labels)
    assert np.bincount(labels[balanced]).tolist() == [20] * 10


@pytest.fixture(scope="module")
def tags():
    """Both splits of images with tags."""
    return tagged.data("train", 600), tagged.data("test", 200)


@pytest.fixture(scope="module")
def judge_of_tags(tags):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(judge_training, "EPOCHS", 2)
        return train_judge(*tags, 1, "a test", quiet)


def obedient(inputs):
    """A generator that draws the tags that it is asked for."""
    return np.float32(tagged.draw(inputs[1], 3)) / 255


def test_a_generator_of_tags_is_scored_by_whether_they_can_be_read(tags, judge_of_tags):
    train, test = tags
    found = scored(train, test, judge_of_tags, obedient)
    generated, real = found.generated, found.real
    assert list(generated)[6:10] == [
        "average_precision_200_test",
        "single_tags_recognised_50",
        "single_tags_share_50",
        "sharpness_200_test_ratio",
    ]
    assert set(generated) == {*real, "single_tags_recognised_50"}, "few real images have a single tag"
    assert generated["average_precision_200_test"] > 0.9 and generated["single_tags_recognised_50"] == 4
    assert real["average_precision_200_test"] == pytest.approx(judge_of_tags.accuracy.classes)
    assert generated["fd_200_test_ratio"] < 2 and generated["sharpness_200_test_ratio"] == pytest.approx(1, abs=0.1)
    of_each = found.protocol["of_each_tag"]
    for name, score in (
        ("average_precision", "average_precision_200_test"),
        ("single_tags_share", "single_tags_share_50"),
    ):
        for kind, scores_ in (("generated", generated), ("real", real)):
            assert list(of_each[name][kind]) == list(tagged.TAGS)
            assert np.mean(list(of_each[name][kind].values())) == pytest.approx(scores_[score])
    alone = (test.labels > 0).sum(1) == 1
    assert found.protocol["real_images_with_one_tag"] == alone.sum()
    has = metrics.tag_indicators(test.labels, 4)
    assert found.shares["real"] == pytest.approx(has.mean(0), abs=0.05)
    assert set(found.left_out) == {"discriminator", "flecked, broken"}
    with pytest.raises(UserError, match="not tags"):
        scored(*tags, cas=True)


def test_a_generator_that_does_not_draw_a_tag_is_found_out(tags, judge_of_tags):
    def without_one(inputs):
        return obedient((inputs[0], np.sort(np.where(inputs[1] == 3, 0, inputs[1]))))

    found = scored(*tags, judge_of_tags, without_one)
    assert found.generated["single_tags_recognised_50"] == 3
    of_each = found.protocol["of_each_tag"]
    assert of_each["single_tags_share"]["generated"]["lying"] < 0.2
    assert of_each["average_precision"]["generated"]["lying"] < 0.6
    assert min(of_each["average_precision"]["generated"][tag] for tag in ("checked", "flat", "upright")) > 0.8


def test_a_blurred_generator_of_tags_scores_worse(tags, judge_of_tags):
    def blurred(inputs):
        images = obedient(inputs)
        return sum(np.roll(images, (down, right), (2, 3)) for down in range(-2, 3) for right in range(-2, 3)) / 25

    sharp, smooth = (scored(*tags, judge_of_tags, draw).generated for draw in (obedient, blurred))
    for name in ("average_precision_200_test", "single_tags_share_50", "sharpness_200_test_ratio"):
        assert smooth[name] < sharp[name] - 0.1, name
    assert smooth["fd_200_test_ratio"] > 2 * sharp["fd_200_test_ratio"]


def test_without_a_judge_or_without_asking_for_tags_their_scores_are_left_out(tags, judge_of_tags):
    found = scored(*tags, draw=obedient)
    assert found.left_out["fd, precision, recall, density, coverage, average_precision, single_tags"] == "no labels"
    assert "sharpness_200_test_ratio" in found.generated and "parzen_200_test" in found.generated
    found = scored(*tags, judge_of_tags, lambda inputs: obedient((0, tags[1].labels)), conditional=False)
    assert found.left_out["average_precision, single_tags"] == "the generator takes no tags"
    assert "fd_200_test" in found.generated and found.shares["generated"] == pytest.approx(
        found.shares["real"], abs=0.1
    )
    assert not any("average" in name or "single" in name for name in found.generated)


def test_images_without_edges_have_no_ratio_of_sharpness(train, test):
    flat = [replace(some, images=0 * some.images) for some in (train, test)]
    found = scored(*flat, draw=perfect(test))
    assert "sharpness_200_test_ratio" not in found.generated
    assert "undefined" in found.left_out["sharpness_200_test_ratio"]


def test_a_quick_look_at_a_generator_of_tags(tags, judge_of_tags):
    train, test = tags
    quick = QuickScorer(judge_of_tags, test.images, [train.images[:200]])
    good = quick(as_bytes(obedient((0, test.labels))), test.labels)
    assert set(good) == {"fd_ratio", "average_precision"} and good["average_precision"] > 0.9
    bad = quick(as_bytes(obedient((0, test.labels[::-1]))), test.labels)
    assert bad["average_precision"] < good["average_precision"] - 0.2
    assert set(quick(as_bytes(obedient((0, test.labels))))) == {"fd_ratio"}


def test_cas_and_nearest_neighbour_on_request(train, test, judge):
    def random(inputs):
        return np.random.default_rng(1).random((len(inputs[0]), 1, 28, 28), np.float32)

    found = scored(train, test, judge, draw=random, cas=True, nearest_neighbour=True)
    name = "one_nearest_neighbour_error_1k_test"
    assert found.generated[name] > 0.5 > found.real[name]
    assert not {"cas", "one_nearest_neighbour_error"} & set(found.left_out)


def test_cas_is_that_of_a_classifier_of_the_generated_images_and_of_one_of_real_ones(train, test, judge, monkeypatch):
    def of_label(inputs):
        return np.repeat(np.float32(inputs[1])[:, None], 784, axis=1).reshape(-1, 1, 28, 28) / 255

    trained = []
    monkeypatch.setattr(scores, "train_network", lambda name, images, seed, say: trained.append(images) or len(trained))
    monkeypatch.setattr(scores, "accuracy", lambda network, images: network / 10)
    found = scored(train, test, judge, draw=of_label, cas=True)
    assert (found.generated["cas_1k_test"], found.real["cas_1k_test"]) == (0.1, 0.2)
    generated, real = trained
    assert np.array_equal(generated.labels, train.labels[:1000]) and np.array_equal(real.labels, generated.labels)
    assert np.array_equal(generated.images[:, 0, 5, 5], generated.labels), "each was asked for its label"
    assert np.array_equal(real.images, train.images[:1000])


def test_a_quick_look_while_training(train, judge):
    quick = QuickScorer(judge, train.images[:400], [train.images[400:800]])
    perfect = quick(train.images[400:800], train.labels[400:800])
    assert set(perfect) == {"fd_ratio", "class_accuracy"} and perfect["fd_ratio"] == pytest.approx(1, rel=1e-5)
    right = np.mean(judge.read(train.images[400:800]) == train.labels[400:800])
    assert perfect["class_accuracy"] == pytest.approx(right, abs=0.02)
    noise = quick(np.random.default_rng(1).integers(0, 256, (400, 1, 28, 28), np.uint8))
    assert noise["fd_ratio"] > 2 and "class_accuracy" not in noise
    both = QuickScorer(judge, train.images[:400], [train.images[400:800], train.images[800:1200]])
    of_each = [QuickScorer(judge, train.images[:400], [train.images[start:][:400]]).real for start in (400, 800)]
    assert both.real == pytest.approx(np.mean(of_each)) and of_each[0] != of_each[1]


def copies_of(some, count):
    """One picture of each of two classes, and copies of them."""
    chosen = np.arange(count) % 2
    return replace(some, images=some.images[chosen], labels=chosen.astype(np.int32))


def test_copies_of_two_pictures_have_no_ratio_and_a_sentence_why(train, test, judge):
    copies, others = copies_of(train, 400), replace(copies_of(train, 200), split="test")
    quick = QuickScorer(judge, copies.images, [copies.images[:200]])
    assert not quick.has_ratio
    assert quick(test.images, np.arange(len(test.images)) % 2)["fd_ratio"] is None
    found = scored(copies, others, judge, lambda inputs: np.float32(test.images[np.arange(len(inputs[0])) % 200]) / 255)
    assert "fd_200_test_ratio" not in found.generated
    assert "the ratio is undefined" in found.left_out["fd_200_test_ratio"]
    assert found.generated["fd_200_test"] > 0 and 0 <= found.real["fd_200_test"] < 1e-2


def test_too_few_images_are_refused(train, test):
    with pytest.raises(UserError, match="has only 99 of 100 test images that scores need"):
        Real.choose(train, test.only(np.arange(99)), 1)
    assert Real.choose(train.only(np.arange(119)), test, 1).count == 100
    with pytest.raises(UserError, match="has only 118 of 119 training images that"):
        Real.choose(train.only(np.arange(118)), test, 1)


def test_the_picture_is_drawn_with_whatever_there_is(train, test, tmp_path):
    found = scored(train, test)
    score_picture.picture(tmp_path / "a.png", found, CLASSES, "a title", "a caption " * 30)
    found.shares = {kind: np.full(10, 0.1) for kind in ("generated", "real")}
    found.logits = {kind: np.zeros((5, 1), np.float32) for kind in ("generated", "real")}
    score_picture.picture(tmp_path / "b.png", found, ("$^a",) * 10, "a title", "a caption")
    first, second = (Image.open(tmp_path / name).size for name in ("a.png", "b.png"))
    assert first[0] == second[0] and first[1] < second[1]


@pytest.mark.parametrize(
    "names", [CLASSES, [f"an ingredient {number}" for number in range(28)]], ids=["few", "crowded"]
)
def test_what_the_picture_says_stands_below_the_table(monkeypatch, tmp_path, names):
    """Also where names on end below the bars take room."""
    found, drawn = Scores(), []
    for number in range(20):
        found.add(f"score_{number}", 1.0, 1.0)
    found.shares = {kind: np.full(len(names), 0.1) for kind in ("generated", "real")}
    found.nearest = found.logits = {kind: np.arange(5.0) for kind in ("generated", "real")}
    monkeypatch.setattr(score_picture.figures, "save", lambda figure, path: drawn.append(figure))
    score_picture.picture(tmp_path / "a.png", found, names, "a title", "a caption " * 40)
    drawn[0].canvas.draw()
    table, caption = (text.get_window_extent() for text in drawn[0].axes[0].texts)
    assert caption.y1 < table.y0


def write_idx(folder, train, test):
    arrays = [array for data in (train, test) for array in (data.images[:, 0], data.labels)]
    idx_files.fill(folder, dict(zip(idx_files.NAMES, map(idx_files.idx_bytes, arrays))))


def train_run(recipe, data, root, *more, dataset="mnist", small=SMALL):
    """Train a small model for two steps, and return its run."""
    here("train", "--recipe", recipe, "--dataset", dataset, "--data-path", data, *small, "--steps", 2, *more,
         "--output-dir", root)  # fmt: skip
    return max((root / recipe).iterdir(), key=lambda run: int(run.name))


@pytest.fixture(scope="module")
def place(train, test, tmp_path_factory):
    """A folder with data and runs of small models."""
    folder = tmp_path_factory.mktemp("place")
    write_idx(folder / "data", train, test)
    write_idx(folder / "other", replace(train, images=train.images[::-1]), test)
    write_idx(folder / "few", train, test.only(np.arange(50)))
    for split, data, count in (("train", train, 160), ("test", test, 100)):
        (folder / "unlabelled" / split).mkdir(parents=True)
        for number, image in enumerate(data.images[:count]):
            Image.fromarray(image[0]).save(folder / "unlabelled" / split / f"{number}.png")
    for recipe, dataset, path, small in (
        ("mlp", "mnist", "data", SMALL),
        ("mlp", "folder", "unlabelled", SMALL),
        ("mlp", "mnist", "few", SMALL),
        ("acgan", "mnist", "data", SMALL_CONDITIONAL),
    ):
        train_run(recipe, folder / path, folder / "runs", dataset=dataset, small=small)
    return folder


def record_of(run, folder, *options):
    """Score a run into a new folder, and return what metrics.json says."""
    here("eval", run, *options, "--output-dir", folder)
    return json.loads((folder / "metrics.json").read_text())


def test_metrics_are_printed_and_written(place, tmp_path, capsys):
    record = record_of(place / "runs/mlp/1", tmp_path / "out", "--metrics", "--seed", 3)
    printed = capsys.readouterr().out
    assert sorted(file.name for file in (tmp_path / "out").iterdir()) == ["metrics.json", "metrics.png", "samples.png"]
    assert record["protocol"]["seed"] == 3 and record["protocol"]["split"] == "test"
    assert record["judge"]["folder"].split("/")[-1] in printed
    assert set(record["judge"]["accuracy_test"]) == {"features", "classes"}
    assert record["model"]["step"] == 2 and record["model"]["dataset"] == "idx"
    assert record["model"]["source"] == f"the folder {place / 'data'}"
    assert "takes no class" in record["left_out"]["class_accuracy"]
    for name in record["generated"]:
        assert name in printed
    assert {"fd_200_test", "parzen_200_test", "discriminator_logit_gap"} <= set(record["generated"])
    assert "200 of the test split" in " ".join(printed.split()) and "mean little elsewhere" in printed
    assert re.search(r"scored in \d+ s", printed)

    assert record_of(place / "runs/mlp/1", tmp_path / "again", "--metrics", "--seed", 3) == record
    assert "training a judge" not in capsys.readouterr().out
    assert (tmp_path / "again/metrics.json").read_bytes() == (tmp_path / "out/metrics.json").read_bytes()


@pytest.mark.parametrize(
    "setting",
    ["data.classes=10", *(pytest.param(f"data.clusters={count}", marks=pytest.mark.slow) for count in (4, 0))],
)
def test_the_house_recipe_is_scored_with_classes_with_clusters_and_with_neither(setting, place, tmp_path):
    run = train_run("rpgan", place / "data", tmp_path / "runs", "--set", setting)
    record = record_of(run, tmp_path / "out", "--metrics")
    of_d = {name for name in record["generated"] if name.startswith("discriminator")}
    assert "discriminator_accuracy_pairs" in of_d and "discriminator_accuracy_generated" not in of_d
    assert "differences of logits" in record["left_out"]["discriminator_accuracy_generated"]
    assert ("class_accuracy_20_per_class" in record["generated"]) == (setting == "data.classes=10")
    assert len(record["protocol"]["fd_of_real_draws"]) > 1


@pytest.mark.slow
def test_a_conditional_model_with_all_scores(place, tmp_path):
    found = record_of(place / "runs/acgan/1", tmp_path / "out", "--cas", "--nearest-neighbour")["generated"]
    assert {
        "cas_1k_test",
        "one_nearest_neighbour_error_1k_test",
        "class_accuracy_20_per_class",
        "discriminator_accuracy_generated",
    } <= set(found)


def test_unlabelled_images_get_what_needs_no_judge(place, tmp_path, capsys):
    record = record_of(place / "runs/mlp/2", tmp_path / "out", "--metrics")
    printed = " ".join(capsys.readouterr().out.split())
    assert "No judge: the folder" in printed and "has no labels to train a judge on" in printed
    assert record["judge"] is None and "memorisation_100_median" in record["generated"]
    assert record["left_out"]["fd, precision, recall, density, coverage, class_accuracy"].startswith("the folder")


def test_models_are_chosen_by_training_images(place, tmp_path):
    record = record_of(place / "runs/mlp/1", tmp_path / "out", "--against", "train")
    assert record["protocol"]["split"] == "train" and record["protocol"]["other_training_images"] == 1000
    assert {
        "fd_200_train",
        "fd_200_train_ratio",
        "coverage_200_train",
        "parzen_200_train",
        "discriminator_accuracy_real_train",
    } <= set(record["generated"])
    assert not [name for name in record["generated"] if "test" in name or "memorisation" in name]
    assert "memorisation" in record["left_out"]


def test_images_to_choose_by_are_of_the_training_split_and_no_others_of_it(train, test):
    numbered = replace(train, images=np.arange(1200, dtype=np.uint16).reshape(-1, 1, 1, 1))
    other, compared = protocol.among_training_images(numbered, test, 1)
    assert len(compared.images) == 200 and compared.split == "train"
    assert sorted(np.concatenate([other.images, compared.images]).ravel()) == list(range(1200))
    np.testing.assert_array_equal(compared.labels, train.labels[compared.images.ravel()])
    again = protocol.among_training_images(numbered, test, 2)[1]
    assert (again.images != compared.images).any()
    few = train.only(np.arange(400))
    assert len(protocol.among_training_images(few, test, 1)[1].images) == 100
    too_few = train.only(np.arange(399))
    with pytest.raises(UserError, match="399 training images and 200 test images are too few .* at least 400 and 100"):
        protocol.among_training_images(too_few, test, 1)


def test_models_are_chosen_by_the_validation_images_of_the_run_if_there_are_any(place, tmp_path):
    run = train_run("mlp", place / "data", tmp_path, "--set", "scores.held_out=150")
    record = record_of(run, tmp_path / "out", "--against", "train")
    assert record["protocol"]["split"] == "held_out" and record["protocol"]["other_training_images"] == 1050
    assert {"fd_150_held_out", "memorisation_150_median", "parzen_150_held_out"} <= set(record["generated"])


def test_another_judge_of_the_same_data_may_be_named(place, tmp_path, capsys):
    judge = tmp_path / "judge"
    here("judge", "--data-path", place / "data", "--output-dir", judge, "--seed", 7)
    own = record_of(place / "runs/mlp/1", tmp_path / "own", "--metrics")
    other = record_of(place / "runs/mlp/1", tmp_path / "other", "--judge", judge)
    assert other["judge"]["folder"] == str(judge) and other["judge"]["training"]["seeds"]["features"] == 7
    assert own["generated"]["fd_200_test"] != other["generated"]["fd_200_test"]
    assert own["generated"]["parzen_200_test"] == other["generated"]["parzen_200_test"]
    about = json.loads((judge / "judge.json").read_text())
    about["data"]["test_sha256"] = "0" * 64
    (judge / "judge.json").write_text(json.dumps(about))
    write_checksums(judge)
    for run, folder, named in (
        ("runs/mlp/1", judge, "a judge of other data (idx); leave out --judge: the judge of these data"),
        ("runs/mlp/2", judge, "has no labels"),
        ("runs/mlp/1", tmp_path / "own", "no judge"),
    ):
        refusal = refused_here(capsys, "eval", place / run, "--judge", folder, "--output-dir", tmp_path / "none")
        assert named in refusal
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize(
    "arguments, named",
    [
        (("runs/mlp/3", "--metrics"), "of 100 test images"),
        (("runs/mlp/1", "--cas"), "CAS needs a generator"),
        (("runs/mlp/1", "--nearest-neighbour"), "the nearest-neighbour error needs a generator"),
        (("runs/mlp/1", "--metrics", "--data-path", "other"), "not the images that the run was trained on"),
    ],
)
def test_what_cannot_be_scored_is_said_in_one_line(arguments, named, place, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(place)
    assert named in refused_here(capsys, "eval", *arguments, "--output-dir", tmp_path / "out")


def test_a_judge_from_the_command_line(place, tmp_path, capsys):
    folder = tmp_path / "judge"
    command = ("judge", "--data-path", place / "data", "--output-dir", folder, "--seed", 4)
    here(*command)
    assert "mean little elsewhere" in capsys.readouterr().out
    training = load_judge(folder).training
    assert training["seeds"] == {"features": 4, "classes": 5}
    assert training["command"] == ("python -m ms_gan judge --dataset mnist --data-path DIR --seed 4 --output-dir DIR")
    assert "holds" in refused_here(capsys, *command)
    unlabelled = ("--dataset", "folder", "--data-path", place / "unlabelled")
    assert "no labels" in refused_here(capsys, "judge", *unlabelled, "--output-dir", tmp_path / "none")


def test_a_model_of_tags_is_scored_on_the_way_and_after(tags, tmp_path, capsys):
    """And by a judge from the command line."""
    for some in tags:
        tagged.write(tmp_path / "data" / some.split, some)
    sizes = ("data.size=12", "data.channels=3", "data.classes=4", "data.max_tags=3", "data.rotate_and_mirror=False")
    small = options([*AUTOENCODER, *sizes, "schedule.steps_per_epoch=3", "scores.every_epochs=1", "scores.images=100"])
    where = ("--dataset", "folder", "--data-path", tmp_path / "data")
    here("train", "--recipe", "cvae_late", *where, *small, "--epochs", 1, "--output-dir", tmp_path)
    run = tmp_path / "cvae_late" / "1"
    header, row = (run / "history.csv").read_text().splitlines()
    assert header.endswith("fd_100_train_ratio,average_precision") and 0 <= float(row.split(",")[-1]) <= 1
    record = record_of(run, tmp_path / "out", "--metrics")
    assert {"average_precision_200_test", "single_tags_recognised_50"} <= set(record["generated"])
    assert list(record["protocol"]["of_each_tag"]["average_precision"]["real"]) == list(tagged.TAGS)
    assert len(record["class_shares"]["generated"]) == 4

    capsys.readouterr()
    form = ("--size", 12, "--channels", 3, "--max-tags", 3)
    here("judge", *where, *form, "--output-dir", tmp_path / "judge")
    assert "mean average precision" in capsys.readouterr().out
    command = load_judge(tmp_path / "judge").training["command"]
    assert "--size 12 --channels 3 --max-tags 3 --seed 1" in command
    other = record_of(run, tmp_path / "other", "--judge", tmp_path / "judge")
    assert other["judge"]["folder"] == str(tmp_path / "judge")


@pytest.mark.parametrize("count", [20, 111, 112, 113, 1000])
@pytest.mark.parametrize("alike", [False, True], ids=["", "alike"])
def test_neighbours_are_those_of_all_images_though_they_are_looked_for_in_groups(alike, count, monkeypatch):
    stream = np.random.default_rng(count)
    real, generated = stream.standard_normal((2, count, 3), np.float32)
    if alike:  # many distances are equal
        real, generated = np.rint(real), np.rint(generated)
    found = metrics.precision_recall_density_coverage(real, generated)
    monkeypatch.setattr(metrics, "GROUP", 10**9)  # one group: all of them
    assert metrics.precision_recall_density_coverage(real, generated) == found
