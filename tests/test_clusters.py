"""Clusters of unlabelled images, and a generator whose latent chooses one."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import replace

import numpy as np
import pytest
from helpers.commands import SMALL, here, kill_when, refused_here, start, steps_saved, write_mnist
from helpers.networks import BATCH, MLP
from helpers.refusals import refused
from helpers.resuming import ENDLESS, result, steps_to_resume_to
from mindspore import Tensor, load_checkpoint
from PIL import Image

from ms_gan import recipes
from ms_gan.data import clusters
from ms_gan.data.mnist import load_mnist
from ms_gan.latents import draw_latents, thresholds
from ms_gan.recipes.build import build_batches, build_discriminator, build_step
from ms_gan.runs.checkpoints import load_cells
from ms_gan.runs.model import load_model
from ms_gan.runtime import Device
from ms_gan.sampling import seeded_inputs
from ms_gan.training.loop import run_cell

MNIST = os.environ.get("MS_GAN_MNIST")
COUNT = 5
GROUP_SIZES, GROUPS = [404, 51, 8, 14, 8, 8, 7], "42478591590c36cc"  # of the noise of one test
DENSE = (*MLP, BATCH)


def grouped(images, count):
    return clusters.find_clusters(images, count).of(images)


def blobs(count, channels=1, size=28, seed=0):
    """Images of three kinds, nothing alike, in no order, and which kind each is."""
    random = np.random.default_rng(seed)
    kinds = random.integers(0, 3, count)
    images = random.integers(0, 40, (count, channels, size, size))
    for kind, rows in enumerate((slice(0, 5), slice(8, 14), slice(18, 24))):
        images[kinds == kind, :, rows] += 180
    return images.astype(np.uint8), kinds


@pytest.mark.parametrize("channels, size", [(1, 28), (3, 28), (1, 30), (3, 64), (1, 24)])
def test_images_that_look_alike_are_in_one_cluster(channels, size):
    images, kinds = blobs(200, channels, size)
    groups = grouped(images, 3)
    assert groups.dtype == np.int32 and groups.shape == (200,)
    assert len({(kind, group) for kind, group in zip(kinds, groups)}) == 3 == len(set(groups))


def test_images_beyond_those_that_are_fitted_join_a_cluster(monkeypatch):
    images, kinds = blobs(300)
    monkeypatch.setattr(clusters, "FITTED", 200)
    monkeypatch.setattr(clusters, "BLOCK", 70)
    groups = grouped(images, 3)
    assert len(set(zip(kinds, groups))) == 3


def test_the_clusters_are_the_same_everywhere():
    """No number is rounded on the way to a cluster, so every machine finds these bytes."""
    groups = grouped(np.random.default_rng(3).integers(0, 256, (500, 1, 28, 28), dtype=np.uint8), 7)
    assert np.bincount(groups).tolist() == GROUP_SIZES
    assert hashlib.sha256(groups.astype("<i4").tobytes()).hexdigest()[:16] == GROUPS
    features = clusters.features(blobs(20, 3, 64)[0])
    assert features.shape == (20, 3 * 14 * 14) and (features == np.rint(features)).all()
    assert features[0, 0] == int(blobs(20, 3, 64)[0][0, 0, 4:8, 4:8].mean() * 168 / 255)


@pytest.mark.parametrize("channels, size", [(1, 28), (3, 28), (3, 64), (1, 9)])
def test_no_sum_is_rounded_whatever_the_order(channels, size):
    """White images have the largest sums: float32 still knows each whole number there."""
    features = clusters.features(np.full((2, channels, size, size), 255, np.uint8))
    exact = (features.astype(np.int64) ** 2).sum(1)
    assert exact.max() <= clusters.EXACT and ((features**2).sum(1) == exact).all()
    random = np.random.default_rng(0)
    features = clusters.features(random.integers(0, 256, (300, channels, size, size), dtype=np.uint8))
    centres = features[:20]
    found = clusters.two_nearest(features, centres)
    whole = ((features[:, None].astype(np.int64) - centres.astype(np.int64)) ** 2).sum(2)
    assert np.array_equal(found, np.argsort(whole, axis=1, kind="stable")[:, :2])
    mixed = random.permutation(features.shape[1])
    assert np.array_equal(found, clusters.two_nearest(features[:, mixed], centres[:, mixed]))


@pytest.mark.parametrize("seed", range(10))
def test_repeated_images_do_not_split_a_cluster(seed):
    """Two kinds, of two pictures each that differ a little: centres of the same picture are one."""
    random = np.random.default_rng(seed)
    kinds = np.repeat(random.integers(0, 120, (2, 1, 1, 28, 28)), 2, axis=0) + random.integers(0, 3, (4, 1, 1, 28, 28))
    kinds[2:, ..., :14, :] += 120
    which = random.permutation(np.repeat(np.arange(4), 50))
    groups = grouped(kinds[which, 0].astype(np.uint8), 2)
    assert len(set(zip(which // 2, groups))) == 2 == len(set(groups))


def rings(count, seed=0):
    """Images of a bright spot on one of two tracks around the middle, and which: like their neighbours alone."""
    random = np.random.default_rng(seed)
    angles, tracks = random.uniform(0, 2 * np.pi, count), random.integers(0, 2, count)
    across, down = np.meshgrid(np.arange(28), np.arange(28))
    radius = np.where(tracks, 11.0, 4.0)
    squared = sum(
        (axis - (13.5 + radius * turn(angles))[:, None, None]) ** 2 for axis, turn in ((across, np.cos), (down, np.sin))
    )
    return (255 * np.exp(-squared / 6)).astype(np.uint8)[:, None], tracks


def test_a_cluster_follows_a_chain_of_similar_images():
    images, tracks = rings(3000)
    groups = grouped(images, 2)
    assert max((groups == tracks).mean(), (groups != tracks).mean()) == 1


@pytest.mark.skipif(not MNIST, reason="MS_GAN_MNIST does not name a folder with MNIST")
@pytest.mark.parametrize("cells, share", [(1000, 0.923), (0, 0.706)], ids=["average linkage", "k-means alone"])
def test_twenty_clusters_of_mnist_follow_its_digits(cells, share, monkeypatch):
    train = load_mnist("train", MNIST)
    monkeypatch.setattr(clusters, "CELLS", cells)
    groups = grouped(train.images, 20)
    digits = np.zeros((20, 10))
    np.add.at(digits, (groups, train.labels), 1)
    assert digits.max(1).sum() / len(groups) == pytest.approx(share, abs=0.001)


def test_cells_of_the_greatest_affinity_are_merged_first():
    near = np.repeat([[0, 1], [1, 0], [1, 2], [2, 1], [3, 2], [3, 4], [4, 3]], [30, 30, 2, 30, 3, 27, 30], axis=0)
    # links for sizes: 0-1 60/960, 1-2 32/960, 2-3 3/900, 3-4 57/900, joined in this order: 3-4, 0-1, and 2 to 0-1
    assert clusters.average_linkage(near, 4).tolist() == [0, 1, 2, 3, 3]
    assert clusters.average_linkage(near, 3).tolist() == [0, 0, 1, 2, 2]
    assert clusters.average_linkage(near, 2).tolist() == [0, 0, 0, 1, 1]


def test_identical_images_make_a_single_cluster():
    assert set(grouped(np.full((9, 1, 28, 28), 7, np.uint8), 4)) == {0}


@pytest.mark.parametrize("distribution", ["normal", "uniform"])
def test_a_latents_number_lies_in_each_part_as_often_as_wanted(distribution):
    shares = np.array([0.0, 0.5, 0.2, 0.0, 0.3, 0.0])
    parted = thresholds(distribution, shares)
    assert parted.dtype == np.float32 and np.isfinite(parted).all() and (np.diff(parted) >= 0).all()
    numbers = draw_latents(distribution, 100_000, 3, np.random.default_rng(0))[:, 0]
    found = np.bincount((numbers[:, None] > parted).sum(1), minlength=6) / len(numbers)
    assert found == pytest.approx(shares, abs=0.01) and found[[0, 3, 5]].tolist() == [0, 0, 0]


def of_clusters(*settings):
    recipe = recipes.load("rpgan").but({"data.clusters": COUNT})
    return recipes.override(recipe, [*DENSE, *settings])


@pytest.fixture
def built(random_data, device):
    return build_step(of_clusters(), replace(random_data, labels=None), seed=1)


def test_the_latents_first_number_chooses_as_often_as_the_groups_are(built, random_data):
    groups = grouped(random_data.images, COUNT)
    parted = built.generator.thresholds.asnumpy()
    assert np.array_equal(parted, thresholds("normal", np.bincount(groups, minlength=COUNT) / len(groups)))
    assert np.array_equal(built.ema["generator"].thresholds.asnumpy(), parted)
    assert np.array_equal(built.data.labels(Tensor(np.arange(64, dtype=np.int32))).asnumpy(), groups)

    latents = draw_latents("normal", 400, 64, np.random.default_rng(5))
    chosen = (latents[:, :1] > parted).sum(1).astype(np.int32)
    assert len(set(chosen)) == COUNT
    generator = built.generator.set_train(False)
    drawn = generator(Tensor(latents)).asnumpy()
    assert np.array_equal(drawn, generator.network(Tensor(latents[:, 1:]), Tensor(chosen)).asnumpy())
    others = (chosen + 1) % COUNT
    asked = generator(Tensor(latents), Tensor(others)).asnumpy()
    assert np.array_equal(asked, generator.network(Tensor(latents[:, 1:]), Tensor(others)).asnumpy())
    assert not np.array_equal(asked, drawn)


def test_the_step_is_that_of_labelled_images(built, random_data):
    """Trained with labels that say the same, and the same weights, the network within comes to the same."""
    labelled = replace(random_data, labels=grouped(random_data.images, COUNT), classes=tuple("abcde"))
    recipe = of_clusters(f"data.classes={COUNT}", "latent.size=63")
    conditional = build_step(recipe, labelled, seed=1)
    for one, other in (
        (built.generator.network, conditional.generator),
        (built.discriminator, conditional.discriminator),
    ):
        for parameter, same in zip(one.get_parameters(), other.get_parameters()):
            assert parameter.name.replace("network.", "") == same.name
            same.set_data(parameter.value())
    built.draw_noise = lambda stream: (np.insert(conditional.draw_noise(stream)[0], 0, 9.0, axis=1),)
    batches, _ = build_batches(recipe, 64, 8, seed=1)
    for number in range(3):
        reported = [
            run_cell(step, step, batches, Device("CPU", 0), 1, "step", number).asnumpy()
            for step in (built, conditional)
        ]
        assert np.array_equal(*reported)
    for parameter, same in zip(built.generator.network.get_parameters(), conditional.generator.get_parameters()):
        assert np.array_equal(parameter.asnumpy(), same.asnumpy())


def test_with_labels_clusters_say_nothing(random_data, device):
    names = [
        {parameter.name for parameter in build_step(of_clusters(*settings), random_data, 1).get_parameters()}
        for settings in (["data.classes=10"], ["data.classes=10", "data.clusters=0"])
    ]
    assert names[0] == names[1] and not any("thresholds" in name for name in names[0])


@pytest.mark.parametrize(
    "name, settings, named",
    [
        ("mlp", ["data.clusters=4"], "clusters are for rpgan"),
        ("cvae_early", ["data.clusters=4", "data.classes=0", "data.max_tags=0"], "clusters are for rpgan"),
        ("rpgan", ["data.clusters=4", "latent.distribution=sphere"], "latent.distribution=sphere"),
        ("rpgan", ["data.clusters=4", "latent.size=1"], "give more latent.size"),
        ("rpgan", ["data.clusters=65"], "at most 64"),
        ("acgan", ["data.classes=0", "data.clusters=4"], "data.classes must be at least 2"),
    ],
)
def test_what_cannot_go_with_clusters_is_refused(name, settings, named, random_data, device):
    message = refused(build_step, recipes.override(recipes.load(name), settings), random_data, 1)
    assert named in message and "\n" not in message


def test_one_cluster_is_none():
    assert "0 for none, or at least 2" in refused(recipes.override, recipes.load("rpgan"), ["data.clusters=1"])
    assert "at most 1000" in refused(recipes.override, recipes.load("rpgan"), ["data.clusters=1001"])


@pytest.mark.parametrize("images, clusters", [(60_000, 20), (1_000, 20), (999, 19), (100, 2), (99, 0), (4, 0)])
def test_few_images_make_fewer_clusters(images, clusters):
    recipe = recipes.load("stacked_mnist")
    assert recipes.clusters_for(recipe, images) == clusters
    assert recipes.clusters_for(recipes.override(recipe, ["data.classes=10"]), images) == 0


def test_images_that_are_held_out_are_in_no_cluster(random_data):
    images = random_data.only(np.arange(1000) % 64)
    recipe = recipes.override(recipes.load("rpgan"), ["scores.held_out=900"])
    assert recipes.fitted(recipe, images, ()).data.clusters == 2


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_mnist(tmp_path_factory.mktemp("clusters") / "data", 120)


def training(recipe, root, *more, steps=36):
    small = (*SMALL, "--batch-size", "10", "--steps", str(steps), "--output-dir", str(root))
    return ["train", "--recipe", recipe, *small, *map(str, more)]


def arguments(data, root, steps=36):
    return training("rpgan", root, "--data-path", data, "--set", f"data.clusters={COUNT}", steps=steps)


def test_what_nobody_said_is_fitted_to_the_images_and_written_down(data, tmp_path, capsys):
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for number, image in enumerate(blobs(130, 3)[0]):
        Image.fromarray(image.transpose(1, 2, 0)).save(pictures / f"{number}.png")
    here(*training("stacked_mnist", tmp_path, "--dataset", "folder", "--data-path", pictures, steps=1))
    assert "in 2 clusters of similar images" in capsys.readouterr().out
    recipe = json.loads((tmp_path / "stacked_mnist" / "1" / "settings.json").read_text())["recipe"]
    assert recipe["data"]["clusters"] == 2
    both = ("--set", "data.classes=10", "--set", "data.clusters=4")
    refused = refused_here(capsys, *training("rpgan", tmp_path / "both", "--data-path", data, *both))
    assert "leave out --set data.classes or --set data.clusters" in refused and not (tmp_path / "both").exists()


def test_a_run_whose_images_fall_into_other_clusters_is_not_resumed(data, tmp_path, capsys, monkeypatch):
    here(*arguments(data, tmp_path))
    capsys.readouterr()
    monkeypatch.setattr(clusters, "ROUNDS", 1)
    refused = refused_here(capsys, "train", "--resume", tmp_path / "rpgan" / "1", "--steps", 40)
    assert "other clusters than when it began" in refused


def test_a_warm_start_chooses_as_often_as_its_own_images_are(data, tmp_path, capsys):

    here(*arguments(data, tmp_path / "first"))
    others = write_mnist(tmp_path / "others", 90)
    here(*arguments(others, tmp_path / "second"), "--warm-start", tmp_path / "first" / "rpgan" / "1")
    assert "other clusters than those that the warm start knows" in capsys.readouterr().out
    groups = grouped(load_mnist("train", others).images, COUNT)
    wanted = thresholds("normal", np.bincount(groups, minlength=COUNT) / 90)
    begun = tmp_path / "second" / "rpgan" / "1" / "checkpoints" / "step_00000000"
    for name in ("generator", "generator_average"):
        found = load_checkpoint(str(begun / f"{name}.ckpt"))[f"{name}.thresholds"].asnumpy()
        assert np.array_equal(found, wanted), name


def test_a_killed_run_finds_the_groups_again_and_leaves_as_any_generator(data, tmp_path):
    whole, killed = (tmp_path / name / "rpgan" / "1" for name in ("whole", "killed"))
    kill_when(lambda: steps_saved(killed) > 0, start(*arguments(data, tmp_path / "killed", ENDLESS)))
    steps = steps_to_resume_to(killed, 0)
    here("train", "--resume", str(killed), "--steps", str(steps))
    here(*arguments(data, tmp_path / "whole", steps))
    assert result(killed, steps) == result(whole, steps)

    here("export", whole)
    drawn = tmp_path / "drawn.npy"
    here("infer", whole / "export", "--num", 6, "--format", "mindir", "--output", drawn)

    trained = load_model(str(whole))
    assert trained.label_names is None
    assert np.array_equal(np.load(drawn), trained.draw(seeded_inputs(trained.latent, 6, 1)))


def test_the_discriminator_judges_an_image_with_the_cluster_it_falls_into(data, tmp_path):

    here(*arguments(data, tmp_path))
    trained = load_model(str(tmp_path / "rpgan" / "1"))
    train, test = (load_mnist(split, data) for split in ("train", "test"))
    discriminate, reason = trained.discriminator(train)
    assert reason is None
    network = build_discriminator(trained.recipe)
    load_cells(trained.checkpoint, {"discriminator": network.network})
    network.set_train(False)
    groups = clusters.find_clusters(train.images, COUNT).of(test.images[:9])
    assert len(set(groups)) > 1
    expected = network(Tensor(np.float32(test.images[:9]) / 255), Tensor(groups)).asnumpy()
    np.testing.assert_allclose(discriminate(test.images[:9], None), expected, atol=1e-6)
    others = network(Tensor(np.float32(test.images[:9]) / 255), Tensor((groups + 1) % COUNT)).asnumpy()
    assert np.abs(others - expected).max() > 1e-4
    fewer = replace(train, images=train.images[:100])
    discriminate, reason = trained.discriminator(fewer)
    assert discriminate is None and "other clusters" in reason
