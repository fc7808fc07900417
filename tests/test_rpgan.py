"""The update of the relativistic pairing GAN, worked out apart, as in `test_procedures`: by differences, in double."""

from __future__ import annotations

import mindspore as ms
import numpy as np
import pytest
from mindspore import Parameter, Tensor, nn
from test_procedures import BATCH, IMAGES, LABELS, RATE, START, STEPS, Data, Generator, Player, flat, image, sigmoid

from ms_gan import recipes
from ms_gan.nets.blocks import ProjectionHead
from ms_gan.nets.conv import ConvDiscriminator
from ms_gan.nets.mlp import MLPDiscriminator
from ms_gan.recipes.build import adam, build_discriminator, build_step
from ms_gan.runtime import random_stream
from ms_gan.steps.rpgan import RpGANStep
from ms_gan.training.loop import on_device

pytestmark = pytest.mark.usefixtures("device")
D = {"p": 0.5, "q": -0.4, "r": 0.2, "s": 0.3}


def score(d, x, label):
    """D: p·x² + q·x + r·x·label, whose slope depends on the image and on the label."""
    return d["p"] * x**2 + d["q"] * x + d["r"] * x * label


def slope(d, x, label):
    return 2 * d["p"] * x + d["q"] + d["r"] * label


def named(d, x, label):
    """−log softmax of the label among three classes, whose logits are s·x·(0, 1, 2), of each image."""
    logits = d["s"] * x[:, None] * np.arange(3)
    return np.log(np.exp(logits).sum(1)) - logits[np.arange(len(x)), label]


class Discriminator(nn.Cell):
    dropout_shapes = ()

    def __init__(self, named_classes):
        super().__init__()
        self.named_classes = named_classes
        for name, value in D.items():
            setattr(self, name, Parameter(Tensor(value, ms.float32), name=f"discriminator.{name}"))

    def construct(self, images, label=None):
        x = images.reshape((-1, 1))
        found = self.p * x * x + self.q * x
        if label is not None:
            found = found + self.r * x * label.astype(ms.float32).reshape((-1, 1))
        if self.named_classes == 0:
            return found
        return found, self.s * x * Tensor([[0.0, 1.0, 2.0]])


@pytest.mark.parametrize(
    "classes, names, penalised, gamma",
    [(3, 3, 2, 1.5), (3, 0, 2, 1.5), (0, 0, BATCH, 1.5), (0, 0, 3 * BATCH, 1.5), (3, 3, 2, 0.0)],
)
def test_the_step_does_what_the_paper_says(classes, names, penalised, gamma):
    """D: −log σ(D(x) − D(G(z))) + γ/2 (|∇D(x)|² + |∇D(G(z))|²); G, on the updated D: −log σ(D(G(z)) − D(x)).

    Naming classes: D on real images, G on its own, −w log softmax.
    """
    class_weight = 0.7
    settings = {**recipes.load("rpgan")["optimizer_generator"], "learning_rate": RATE}
    generator, discriminator = Generator(), Discriminator(names)
    optimizers = [adam(network, name, **settings) for network, name in ((generator, "og"), (discriminator, "od"))]
    step = RpGANStep(
        Data(),
        generator,
        discriminator,
        *optimizers,
        latent={"size": 1, "distribution": "normal"},
        classes=classes,
        batch_size=BATCH,
        gamma=gamma,
        penalised=penalised,
        class_weight=class_weight,
    )
    g, d = Player(START["g"], settings, [0]), Player(D, settings, [0])
    some = min(penalised, BATCH)
    for number in range(STEPS):
        noise = step.draw_noise(random_stream(3, "step", number))
        indices = np.random.default_rng(number).integers(0, len(IMAGES), BATCH).astype(np.int32)
        real, z = IMAGES[indices].astype(np.float64), flat(noise[0])
        label = LABELS[indices] if classes else 0 * indices
        fake = image(g.numbers, z, label, True)

        def loss_d(n):
            pairing = np.mean(-np.log(sigmoid(score(n, real, label) - score(n, fake, label))))
            slopes = [slope(n, x[:some], label[:some]) for x in (real, fake)]
            return pairing, *(np.mean(each**2) if gamma else 0.0 for each in slopes)

        pairing, *penalties = loss_d(d.numbers)
        expected = {
            "loss_d": pairing,
            "penalty_real": penalties[0],
            "penalty_fake": penalties[1],
            "accuracy_pairs": np.mean(score(d.numbers, real, label) > score(d.numbers, fake, label)),
        }

        def of_class(n, x):
            return np.mean(named(n, x, label)) if names else 0.0

        def pairing_g(n):
            advantage = score(d.numbers, image(n, z, label, True), label) - score(d.numbers, real, label)
            return np.mean(-np.log(sigmoid(advantage)))

        if names:
            expected["loss_d_class"] = of_class(d.numbers, real)
        d.update(lambda n: loss_d(n)[0] + gamma / 2 * sum(loss_d(n)[1:]) + class_weight * of_class(n, real))
        expected["loss_g"] = pairing_g(g.numbers)
        if names:
            expected["loss_g_class"] = of_class(d.numbers, fake)
            logits = d.numbers["s"] * fake[:, None] * np.arange(3)
            expected["accuracy_class"] = np.mean(logits.argmax(1) == label)
        g.update(lambda n: pairing_g(n) + class_weight * of_class(d.numbers, image(n, z, label, True)))
        found = dict(zip(step.scalars, step(on_device((indices,)), on_device(noise)).asnumpy()))
        assert found.keys() == expected.keys()
        for key in found:
            assert found[key] == pytest.approx(expected[key], rel=3e-4, abs=3e-5), (number, key)
    moved = 0.0
    for player, cell, start in ((g, generator, START["g"]), (d, discriminator, D)):
        for parameter in cell.get_parameters():
            key = parameter.name.split(".")[1]
            assert float(parameter) == pytest.approx(player.numbers[key], abs=3e-4), key
            moved = max(moved, abs(player.numbers[key] - start[key]))
    assert moved > 0.05, "nothing moved that could be seen"


def test_a_projection_is_a_score_and_how_well_features_fit_a_label():
    random = np.random.default_rng(1)
    features = random.standard_normal((3, 4), dtype=np.float32)
    for places, labels, codes in (
        (0, [2, 0, 1], np.eye(3)[[2, 0, 1]]),
        (2, [[1, 3], [2, 0], [0, 0]], [[0, 1, 0, 0, 0, 0, 0, 1], [0, 0, 1, 0, 1, 0, 0, 0], [1, 0, 0, 0, 1, 0, 0, 0]]),
    ):
        head = ProjectionHead(4, 3, places, 0, "mindspore")
        weights, bias, fitting = (parameter.asnumpy() for parameter in head.get_parameters())
        expected = features @ weights.T + bias + ((features @ fitting.T) * codes).sum(1, keepdims=True)
        found = head(Tensor(features), Tensor(np.int32(labels))).asnumpy()
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("places", [0, 2])
def test_a_projection_may_also_name_classes(places):
    """By the features alone: the logits do not depend on the label, and the score is as without them."""
    features = Tensor(np.random.default_rng(1).standard_normal((3, 4), dtype=np.float32))
    labels = np.zeros((3, places) if places else 3, np.int32)
    head = ProjectionHead(4, 3, places, 5, "mindspore")
    (score, logits), (other, same) = (head(features, Tensor(label)) for label in (labels, labels + 1))
    expected = features.asnumpy() @ head.classes.weight.asnumpy().T + head.classes.bias.asnumpy()
    np.testing.assert_allclose(logits.asnumpy(), expected, rtol=0, atol=1e-6)
    assert logits.shape == (3, 5) and score.shape == (3, 1)
    assert np.array_equal(logits.asnumpy(), same.asnumpy()) and not np.array_equal(score.asnumpy(), other.asnumpy())


def test_d_names_classes_where_an_image_has_just_one():
    for settings, names in (
        ([], 20),
        (["data.clusters=0"], 0),
        (["data.classes=10"], 10),
        (["data.classes=10", "data.places=2"], 0),
    ):
        recipe = recipes.override(recipes.load("rpgan"), [*settings, "discriminator.widths=[16]"])
        assert build_discriminator(recipe).discriminator.named_classes == names


@pytest.mark.parametrize(
    "build",
    [
        lambda judging: MLPDiscriminator(0, (1, 8, 8), [6], 0.2, "mindspore", judging),
        lambda judging: ConvDiscriminator(
            0, (1, 8, 8), [3], [2], 3, 0.2, "none", 0.0, [6], "mindspore", "mindspore", judging
        ),
    ],
)
def test_every_discriminator_can_judge_by_labels(build):
    images = np.random.default_rng(2).random((4, 1, 8, 8), dtype=np.float32)
    judging, not_judging = build((3, 0)), build((0, 0))
    scores = [judging(Tensor(images), Tensor(np.full(4, label, np.int32))).asnumpy() for label in range(3)]
    assert scores[0].shape == (4, 1) == not_judging(Tensor(images)).shape
    assert not np.array_equal(scores[0], scores[1])


def test_a_discriminator_that_wins_every_pair_is_remarked():
    assert "overpowers G" in RpGANStep.remark(None, {"accuracy_pairs": 1.0})
    assert RpGANStep.remark(None, {"accuracy_pairs": 0.7}) is None


@pytest.mark.parametrize("classes", [0, 10])
def test_g_runs_forward_once_a_step(classes, random_data):
    """BatchNorm's moving mean advances by a tenth of the batch's mean; run twice, it would by 0.19 of it."""
    recipe = recipes.override(
        recipes.load("rpgan"),
        [
            "generator.widths=[16, 32]",
            "discriminator.widths=[16]",
            "schedule.batch_size=8",
            "data.clusters=0",
            f"data.classes={classes}",
        ],
    )
    step, twin = (build_step(recipe, random_data, 1) for _ in range(2))
    noise = step.draw_noise(random_stream(1, "step"))
    step(on_device((np.arange(8, dtype=np.int32),)), on_device(noise))
    before_norm = nn.SequentialCell(list(twin.generator.layers)[:3])
    labels = (Tensor(random_data.labels[:8]),) if classes else ()
    mean = before_norm(twin.generator.condition(Tensor(noise[0]), *labels)).asnumpy().astype(np.float64).mean(0)
    (moving,) = (
        parameter.asnumpy() for parameter in step.generator.get_parameters() if parameter.name.endswith("moving_mean")
    )
    np.testing.assert_allclose(moving, 0.1 * mean, rtol=0, atol=1e-6)
    assert np.abs(mean).max() > 1e-3
