"""The update of the relativistic pairing GAN, worked out apart, as in helpers.procedures: by differences, in double."""

from __future__ import annotations

import dataclasses

import mindspore as ms
import numpy as np
import pytest
from helpers.procedures import (
    BATCH,
    IMAGES,
    LABELS,
    RATE,
    START,
    Data,
    Generator,
    Player,
    StandIn,
    assert_scalars,
    assert_weights,
    draws,
    flat,
    image,
    sigmoid,
)
from mindspore import Tensor, nn

from ms_gan import recipes
from ms_gan.nets.conv import ConvDiscriminator
from ms_gan.nets.heads import Discriminator as DiscriminatorBase
from ms_gan.nets.heads import Heads
from ms_gan.nets.mlp import MLPDiscriminator
from ms_gan.randomness import random_stream
from ms_gan.recipes.build import adam, build_discriminator, build_step
from ms_gan.schema import networks as settings_of
from ms_gan.schema.networks import NetworkInputs
from ms_gan.schema.recipe import Latent
from ms_gan.schema.updates import RpGANUpdates
from ms_gan.steps.base import StepParts
from ms_gan.steps.graph import on_device
from ms_gan.steps.rpgan import RpGANStep

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


class Discriminator(StandIn, DiscriminatorBase):
    def __init__(self, class_logits):
        super().__init__("discriminator", D)
        self.class_logits = class_logits

    def construct(self, images, label=None):
        x = images.reshape((-1, 1))
        found = self.p * x * x + self.q * x
        if label is not None:
            found = found + self.r * x * label.astype(ms.float32).reshape((-1, 1))
        if self.class_logits == 0:
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
    settings = dataclasses.replace(recipes.load("rpgan").optimizers["generator"], learning_rate=RATE)
    networks = {"generator": Generator(), "discriminator": Discriminator(names)}
    optimizers = {name: adam(network, f"o_{name}", settings) for name, network in networks.items()}
    parts = StepParts(Data(), networks, optimizers, Latent(size=1), classes, BATCH)
    step = RpGANStep(parts, RpGANUpdates(gamma=gamma, penalised=penalised, class_weight=class_weight))
    g, d = Player(START["g"], settings, [0]), Player(D, settings, [0])
    some = min(penalised, BATCH)
    for noise, indices in draws(step):
        real, z = IMAGES[indices].astype(np.float64), flat(noise.latents)
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
        assert_scalars(step, noise, indices, expected, rel=3e-4)
    trained = (step.generator, g, START["g"]), (step.discriminator, d, D)
    assert max(assert_weights(*each, atol=3e-4) for each in trained) > 0.05, "nothing moved that could be seen"


@pytest.mark.parametrize("class_logits", [0, 5])
@pytest.mark.parametrize(
    "max_tags, labels, codes",
    [
        (0, [2, 0, 1], np.eye(3)[[2, 0, 1]]),
        (2, [[1, 3], [2, 0], [0, 0]], [[0, 1, 0, 0, 0, 0, 0, 1], [0, 0, 1, 0, 1, 0, 0, 0], [1, 0, 0, 0, 1, 0, 0, 0]]),
    ],
)
def test_a_projection_is_a_score_and_how_well_features_fit_a_label(max_tags, labels, codes, class_logits):
    """Class logits, where there are any, do not depend on the label."""
    features = np.random.default_rng(1).standard_normal((3, 4), dtype=np.float32)
    inputs = NetworkInputs((1, 2, 2), class_logits=class_logits, conditioned_on=(3, max_tags))
    head = Heads(4, inputs, {})
    weights, bias, fitting, *of_classes = (parameter.asnumpy() for parameter in head.get_parameters())
    expected = [features @ weights.T + bias + ((features @ fitting.T) * codes).sum(1, keepdims=True)]
    if class_logits:
        expected.append(features @ of_classes[0].T + of_classes[1])
    found = head(Tensor(features), Tensor(np.int32(labels)))
    for output, numbers in zip(found if class_logits else (found,), expected):
        np.testing.assert_allclose(output.asnumpy(), numbers, rtol=0, atol=1e-6)


def test_d_names_classes_where_an_image_has_just_one_and_tags_if_asked():
    for settings, names in (
        ([], 20),
        (["data.clusters=0"], 0),
        (["data.classes=10"], 10),
        (["data.classes=10", "data.max_tags=2"], 0),
        (["data.classes=10", "data.max_tags=2", "updates.tag_weight=0.1"], 10),
    ):
        recipe = recipes.override(recipes.load("rpgan"), [*settings, "discriminator.widths=[16]"])
        assert build_discriminator(recipe).network.class_logits == names


@pytest.mark.parametrize(
    "build",
    [
        lambda inputs: MLPDiscriminator(settings_of.MLPDiscriminator((6,)), inputs),
        lambda inputs: ConvDiscriminator(
            settings_of.ConvDiscriminator((3,), (2,), kernel_size=3, dense_widths=(6,)), inputs
        ),
    ],
)
def test_every_discriminator_can_be_conditioned_on_labels(build):
    images = np.random.default_rng(2).random((4, 1, 8, 8), dtype=np.float32)
    conditioned, plain = (build(NetworkInputs((1, 8, 8), conditioned_on=label)) for label in ((3, 0), (0, 0)))
    scores = [conditioned(Tensor(images), Tensor(np.full(4, label, np.int32))).asnumpy() for label in range(3)]
    assert scores[0].shape == (4, 1) == plain(Tensor(images)).shape
    assert not np.array_equal(scores[0], scores[1])


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
