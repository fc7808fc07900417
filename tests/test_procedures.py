"""Each document's update, worked out apart: networks of a few numbers, gradients by differences, in double precision.

Nothing here uses MindSpore's gradients or the project's losses: what the documents say is written out
with NumPy, and three updates of the step have to give the same numbers.
"""

from __future__ import annotations

import re

import mindspore as ms
import numpy as np
import pytest
from helpers.procedures import (
    BATCH,
    IMAGES,
    LABELS,
    START,
    Player,
    StandIn,
    accuracies,
    assert_scalars,
    assert_weights,
    class_logits,
    cross_entropy,
    draws,
    flat,
    fool,
    image,
    logit,
    make_step,
    mlp_as_published,
    sigmoid,
)
from mindspore import Parameter, Tensor, nn, ops

from ms_gan import recipes
from ms_gan.errors import UserError
from ms_gan.nets.heads import Discriminator as DiscriminatorBase
from ms_gan.randomness import random_stream
from ms_gan.schema.updates import GANUpdates
from ms_gan.steps.base import TrainingStep
from ms_gan.steps.gradient_penalty import GradientPenalty
from ms_gan.steps.graph import on_device

pytestmark = pytest.mark.usefixtures("device")


def latents_of(noise):
    """The latents of D's only update, and of G's."""
    return flat(noise.discriminator[0].inputs[0]), flat(noise.generator.inputs[0])


def of_real_or_not(d, x, targets):
    """D's cross-entropy of real or not, the mean over the images."""
    return cross_entropy(sigmoid(logit(d, x)), targets)


def softmax(logits):
    return np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)


def of_classes(d, x, labels):
    """The categorical cross-entropy of each image, from its softmax."""
    return -np.log(softmax(class_logits(d, x))[np.arange(len(x)), labels])


# The documents' procedures: from the players, the real images and the noise to the scalars, by name.


def keras_mlp_as_published(g, d, real, labels, noise):
    """Lecture: train_on_batch(half real, 1), train_on_batch(half predicted, 0), the mean logged; G on a new batch."""
    z, new = latents_of(noise)
    assert (len(z), len(new), len(real)) == (BATCH // 2, BATCH, BATCH // 2)
    fake = image(g.numbers, z, 0, False)
    scalars = {"accuracy_real": np.mean(logit(d.numbers, real) > 0)}
    loss_real = d.update(lambda n: cross_entropy(sigmoid(logit(n, real)), 1))
    scalars["accuracy_fake"] = np.mean(logit(d.numbers, fake) < 0)
    loss_fake = d.update(lambda n: cross_entropy(sigmoid(logit(n, fake)), 0))
    return {**scalars, "loss_d": 0.5 * (loss_real + loss_fake), **fool(g, d, new)}


def slim_mlp_as_published(g, d, real, labels, noise, *loss_g):
    """Article: D on −mean(log D(x) + log(1 − D(G(z)))), G on −mean(log D(G(z'))), one Adam counting both."""
    z, new = latents_of(noise)
    fake = image(g.numbers, z, 0, True)
    scalars = accuracies(d.numbers, real, fake)
    scalars["loss_d"] = d.update(
        lambda n: -np.mean(np.log(sigmoid(logit(n, real))) + np.log(1 - sigmoid(logit(n, fake))))
    )
    return {**scalars, **fool(g, d, new, *loss_g)}


def saturating_as_published(*players_and_noise):
    """The paper's G: mean(log(1 − D(G(z'))))."""
    return slim_mlp_as_published(*players_and_noise, lambda fooled: np.mean(np.log(1 - fooled)))


def dcgan_as_published(g, d, real, labels, noise):
    """Pizzas: D on one batch of real (1) and predicted (0) images, the mean over all; G on new noise."""
    z, new = latents_of(noise)
    fake = image(g.numbers, z, 0, False)
    scalars = accuracies(d.numbers, real, fake)
    both, targets = np.concatenate((real, fake)), np.repeat((1.0, 0.0), BATCH)
    scalars["loss_d"] = d.update(lambda n: cross_entropy(sigmoid(logit(n, both)), targets))
    return {**scalars, **fool(g, d, new)}


def acgan_as_published(g, d, real, labels, noise):
    """Keras: one batch of real and predicted images; smoothed targets; label vectors of zeros for fakes; weights 1, 1.

    D's dropout is active in its own update and in G's.
    """
    turn = noise.discriminator[0]
    z, wanted, targets, kept = map(flat, (*turn.inputs, turn.targets, *turn.masks))
    new, new_wanted, kept_new = map(flat, (*noise.generator.inputs, *noise.generator.masks))
    new_wanted = new_wanted.astype(int)
    fake = image(g.numbers, z, wanted, False)
    both = np.concatenate((real, fake)) * kept * 1.25
    one_hot = np.concatenate((np.eye(3)[labels], np.zeros((BATCH, 3))))
    scalars = {
        "accuracy_real": np.mean(logit(d.numbers, both[:BATCH]) > 0),
        "accuracy_fake": np.mean(logit(d.numbers, both[BATCH:]) < 0),
    }

    def real_or_not(n):
        return of_real_or_not(n, both, targets)

    def which_class(n):
        return np.mean(-(one_hot * np.log(softmax(class_logits(n, both)))).sum(-1))

    scalars["loss_d"], scalars["loss_d_class"] = real_or_not(d.numbers), which_class(d.numbers)
    d.update(lambda n: real_or_not(n) + which_class(n))

    def seen(n):
        return image(n, new, new_wanted, True) * kept_new * 1.25

    scalars["fool_rate"] = np.mean(logit(d.numbers, seen(g.numbers)) > 0)
    scalars["accuracy_class"] = np.mean(class_logits(d.numbers, seen(g.numbers)).argmax(-1) == new_wanted)

    def loss_g(n):
        return of_real_or_not(d.numbers, seen(n), 1), np.mean(of_classes(d.numbers, seen(n), new_wanted))

    scalars["loss_g"], scalars["loss_g_class"] = loss_g(g.numbers)
    g.update(lambda n: sum(loss_g(n)))
    return scalars


DOCUMENTS = {
    "mlp": (mlp_as_published, {}),
    "keras_mlp": (keras_mlp_as_published, {}),
    "slim_mlp": (slim_mlp_as_published, {}),
    "slim_mlp, saturating": (saturating_as_published, {"loss": "saturating"}),
    "dcgan": (dcgan_as_published, {}),
    "acgan": (acgan_as_published, {"classes": 3, "dropout": True}),
}


@pytest.mark.parametrize("document", DOCUMENTS)
def test_the_step_does_what_the_document_does(document):
    procedure, changes = DOCUMENTS[document]
    name = document.split(",")[0]
    step, settings = make_step(name, **changes)
    counter_d, counter_g = [0], [0]
    if recipes.load(name).updates.shared_counters:
        counter_g = counter_d
    g, d = Player(START["g"], settings, counter_g), Player(START["d"], settings, counter_d)
    for noise, indices in draws(step):
        expected = procedure(g, d, IMAGES[indices].astype(np.float64), LABELS[indices], noise)
        assert_scalars(step, noise, indices, expected)
    for player, cell, start in ((g, step.generator, START["g"]), (d, step.discriminator, START["d"])):
        assert assert_weights(cell, player, start) > 0.05, "nothing moved that could be seen"


@pytest.mark.parametrize("update, k", [("sum", 1), ("separate", 2)])
def test_classes_are_learnt_from_real_images_in_every_kind_of_update(update, k):
    """One by one, D learns classes from its update on real images alone, and half of that loss is reported."""
    step, settings = make_step("acgan", classes=3, discriminator_update=update, discriminator_steps=k)
    g, d = Player(START["g"], settings, [0]), Player(START["d"], settings, [0])
    for noise, indices in draws(step, 2):
        for turn in range(k):
            latent, wanted = map(flat, noise.discriminator[turn].inputs)
            targets = flat(noise.discriminator[turn].targets)
            shown = indices[turn * BATCH : (turn + 1) * BATCH]
            real, labels = IMAGES[shown].astype(np.float64), LABELS[shown]
            fake = image(g.numbers, latent, wanted, False)

            def on_real(n):
                return of_real_or_not(n, real, targets[:BATCH]), np.mean(of_classes(n, real, labels))

            def on_fake(n):
                return of_real_or_not(n, fake, targets[BATCH:])

            real_or_not, of_class = on_real(d.numbers)
            if update == "sum":
                real_or_not += on_fake(d.numbers)
                d.update(lambda n: sum(on_real(n)) + on_fake(n))
            else:
                d.update(lambda n: sum(on_real(n)))
                real_or_not, of_class = (real_or_not + d.update(on_fake)) / 2, of_class / 2
        latent, wanted = flat(noise.generator.inputs[0]), noise.generator.inputs[1]

        def of_g(n):
            drawn = image(n, latent, wanted, True)
            return of_real_or_not(d.numbers, drawn, 1), np.mean(of_classes(d.numbers, drawn, wanted))

        expected = {"loss_d": real_or_not, "loss_d_class": of_class, "loss_g_class": of_g(g.numbers)[1]}
        g.update(lambda n: sum(of_g(n)))
        found = dict(zip(step.scalars, step(on_device((indices,)), on_device(noise)).asnumpy()))
        assert {name: found[name] for name in expected} == pytest.approx(expected, rel=2e-4)
    assert_weights(step.discriminator, d, START["d"])
    assert_weights(step.generator, g, START["g"])


@pytest.mark.parametrize("update", ["sum", "mean"])
def test_classes_weigh_the_same_beside_every_loss(update):
    found = {}
    for loss in ("non_saturating", "hinge", "relativistic", "relativistic_average"):
        changes = {"loss": loss, "discriminator_update": update, "half_batches": False}
        step, _ = make_step("acgan", classes=3, **changes, target_real=(1.0, 1.0), target_fake=(0.0, 0.0))
        noise, indices = next(iter(draws(step)))
        scalars = dict(zip(step.scalars, step(on_device((indices,)), on_device(noise)).asnumpy()))
        found[loss] = float(scalars["loss_d_class"])
    assert list(found.values()) == pytest.approx([found["non_saturating"]] * 4, rel=1e-5)


QUADRATIC = {"p": 0.5, "q": -0.4}


class Quadratic(StandIn, DiscriminatorBase):
    """D: p·x² + q·x, whose slope, 2p·x + q, is another at each image."""

    def __init__(self):
        super().__init__("discriminator", QUADRATIC)

    def construct(self, images):
        x = images.reshape((-1, 1))
        return self.p * x * x + self.q * x


def quadratic(d, x):
    return d["p"] * x**2 + d["q"] * x


def minus_log_sigmoid(x):
    return np.mean(-np.log(sigmoid(x)))


PAPERS = {  # D's loss of the logits of real and of generated images; G's, of the same
    "non_saturating": (lambda r, f: minus_log_sigmoid(r) + minus_log_sigmoid(-f), lambda r, f: minus_log_sigmoid(f)),
    "saturating": (lambda r, f: minus_log_sigmoid(r) + minus_log_sigmoid(-f), lambda r, f: -minus_log_sigmoid(-f)),
    "least_squares": (  # Mao et al. 2017, a = 0, b = c = 1
        lambda r, f: 0.5 * np.mean((r - 1) ** 2) + 0.5 * np.mean(f**2),
        lambda r, f: 0.5 * np.mean((f - 1) ** 2),
    ),
    "hinge": (  # Lim and Ye 2017
        lambda r, f: np.mean(np.maximum(0, 1 - r)) + np.mean(np.maximum(0, 1 + f)),
        lambda r, f: -np.mean(f),
    ),
    "wasserstein": (  # Gulrajani et al. 2017, but for the penalty
        lambda r, f: np.mean(f) - np.mean(r),
        lambda r, f: -np.mean(f),
    ),
    "relativistic": (  # Jolicoeur-Martineau 2018, RSGAN
        lambda r, f: minus_log_sigmoid(r - f),
        lambda r, f: minus_log_sigmoid(f - r),
    ),
    "relativistic_average": (  # the same, RaSGAN
        lambda r, f: minus_log_sigmoid(r - np.mean(f)) + np.mean(-np.log(1 - sigmoid(f - np.mean(r)))),
        lambda r, f: minus_log_sigmoid(f - np.mean(r)) + np.mean(-np.log(1 - sigmoid(r - np.mean(f)))),
    ),
}
MIDDLES = {"non_saturating": 0.0, "saturating": 0.0, "least_squares": 0.5, "hinge": 0.0}


@pytest.mark.parametrize(
    "loss, penalty, k, changes",
    [
        ("non_saturating", 2.0, 1, {"half_batches": True}),
        ("saturating", 0.0, 1, {"generator_latents": "new"}),
        ("least_squares", 0.0, 1, {}),
        ("least_squares", 0.0, 1, {"discriminator_update": "separate", "generator_latents": "new"}),
        ("hinge", 0.0, 2, {}),
        ("hinge", 0.0, 1, {"discriminator_update": "separate", "half_batches": True}),
        ("wasserstein", 10.0, 3, {"generator_latents": "new"}),
        ("wasserstein", 10.0, 1, {"discriminator_update": "mean", "fakes": "inference"}),
        ("saturating", 0.0, 2, {"half_batches": True}),
        ("non_saturating", 0.0, 2, {"discriminator_update": "separate", "fakes": "inference"}),
        ("saturating", 0.0, 1, {"discriminator_update": "separate", "half_batches": True}),
        ("non_saturating", 0.0, 1, {"discriminator_update": "mean", "half_batches": True, "fakes": "inference"}),
        ("non_saturating", 0.0, 3, {"discriminator_update": "mean", "half_batches": True, "generator_latents": "new"}),
        ("relativistic", 0.0, 1, {}),
        ("relativistic", 3.0, 2, {"generator_latents": "new"}),
        ("relativistic_average", 0.0, 1, {}),
        ("relativistic_average", 1.5, 1, {"discriminator_update": "mean", "generator_latents": "new"}),
    ],
)
def test_every_loss_is_that_of_its_paper(loss, penalty, k, changes):
    """D's loss + penalty · mean((|slope| − 1)²) between real and generated images; then G's against the new D.

    The mean of D's losses is half of all that.
    """
    of_d, of_g = PAPERS[loss]
    step, settings = make_step(
        "mlp", discriminator=Quadratic(), loss=loss, gradient_penalty=penalty, discriminator_steps=k, **changes
    )
    g, d = Player(START["g"], settings, [0]), Player(QUADRATIC, settings, [0])
    count = BATCH // 2 if changes.get("half_batches") else BATCH
    assert step.images_per_step == k * count
    separate = changes.get("discriminator_update") == "separate"
    scale = 0.5 if changes.get("discriminator_update", "sum") != "sum" and loss != "relativistic" else 1.0
    moved = []
    for noise, indices in draws(step):
        expected = {}
        for turn, of_turn in enumerate(noise.discriminator):
            real = IMAGES[indices[turn * count : (turn + 1) * count]].astype(np.float64)
            drawn = image(g.numbers, flat(of_turn.inputs[0]), 0, changes.get("fakes") != "inference")
            fake = drawn[:count]
            before = dict(d.numbers)
            logits = quadratic(before, real), quadratic(before, fake)
            if loss in MIDDLES:
                expected["accuracy_real"] = np.mean(logits[0] > MIDDLES[loss])
                expected["accuracy_fake"] = np.mean(logits[1] < MIDDLES[loss])
            else:
                expected["accuracy_pairs"] = np.mean(logits[0] > logits[1])
            expected["loss_d"] = scale * of_d(*logits)
            if separate:  # of a loss that is a sum, one part after the other
                certain = np.full(1, 40.0)  # where hinge and cross-entropy are 0, and have no slope
                constant = (1.0, 0.0) if loss == "least_squares" else (certain, -certain)
                d.update(lambda n: of_d(quadratic(n, real), constant[1]))
                updated = quadratic(d.numbers, fake)
                expected["accuracy_fake"] = np.mean(updated < MIDDLES[loss])
                rest = d.update(lambda n: of_d(constant[0], quadratic(n, fake)))
                expected["loss_d"] = 0.5 * (of_d(logits[0], constant[1]) + rest)
            else:
                if penalty:
                    between = flat(of_turn.epsilon[0])
                    at = between * real + (1 - between) * fake

                def price(n):
                    return np.mean((np.abs(2 * n["p"] * at + n["q"]) - 1) ** 2) if penalty else 0.0

                if penalty:
                    expected["penalty"] = price(before)
                d.update(lambda n: scale * (of_d(quadratic(n, real), quadratic(n, fake)) + penalty * price(n)))
        z = flat((noise.generator if changes.get("generator_latents") == "new" else noise.discriminator[-1]).inputs[0])

        def loss_g(n):
            return of_g(quadratic(d.numbers, real), quadratic(d.numbers, image(n, z, 0, True)))

        if loss in MIDDLES:
            expected["fool_rate"] = np.mean(quadratic(d.numbers, image(g.numbers, z, 0, True)) > MIDDLES[loss])
        expected["loss_g"] = g.update(loss_g)
        assert_scalars(step, noise, indices, expected, rel=3e-4)
        trained = (step.generator, g, START["g"]), (step.discriminator, d, QUADRATIC)
        moved.append([assert_weights(*each, atol=3e-4) for each in trained])
    assert np.max(moved, 0).min() > 0.05, "nothing moved that could be seen"


class ThreePixels(DiscriminatorBase):
    """D: Σ w·x², and beside it class logits, if it has any, that no penalty is to look at."""

    WEIGHTS = np.float32([0.7, -0.4, 1.1])

    def __init__(self, class_logits):
        super().__init__()
        self.class_logits = class_logits
        self.w = Parameter(Tensor(self.WEIGHTS), name="discriminator.w")

    def construct(self, images):
        x = images.reshape((-1, 3))
        logits = (self.w * x * x).sum(1, keepdims=True)
        return (logits, 100.0 * x) if self.class_logits else logits


@pytest.mark.parametrize("class_logits", [0, 3])
def test_penalties_and_their_gradients_are_those_of_the_slopes_of_all_pixels(class_logits):
    discriminator = ThreePixels(class_logits)
    penalty = GradientPenalty(discriminator)
    stream = np.random.default_rng(4)
    real, fake = stream.standard_normal((2, 5, 1, 1, 3)).astype(np.float32)
    share = stream.random((5, 1, 1, 1), dtype=np.float32)

    def slopes(w, x):
        return 2 * w * x.reshape(-1, 3)

    def one_centred(w):
        return np.mean((np.linalg.norm(slopes(w, share * real + (1 - share) * fake), axis=1) - 1) ** 2)

    def zero_centred(w):
        return sum(np.mean((slopes(w, x) ** 2).sum(1)) for x in (real, fake))

    class OfBoth(nn.Cell):
        def __init__(self):
            super().__init__(auto_prefix=False)
            self.penalty = penalty

        def construct(self, real, fake, share):
            return self.penalty.zero_centred(ops.concat((real, fake)), (), 2).sum()

    for cell, formula in ((penalty.one_centred, one_centred), (OfBoth(), zero_centred)):
        gradient = ms.value_and_grad(cell, None, ms.ParameterTuple([discriminator.w]))
        value, (found,) = gradient(Tensor(real), Tensor(fake), Tensor(share))
        w = ThreePixels.WEIGHTS.astype(np.float64)
        assert float(value) == pytest.approx(formula(w), rel=1e-5)
        expected = [(formula(w + step) - formula(w - step)) / 2e-6 for step in 1e-6 * np.eye(3)]
        np.testing.assert_allclose(found.asnumpy(), expected, rtol=1e-4, atol=1e-5)


def test_a_penalty_where_d_is_flat_has_a_gradient():
    """The norm's slope is infinite at 0, and NaN would be the end of a run."""
    discriminator = ThreePixels(0)
    penalty = GradientPenalty(discriminator)
    nothing = Tensor(np.zeros((4, 1, 1, 3), np.float32))
    gradient = ms.value_and_grad(penalty.one_centred, None, ms.ParameterTuple([discriminator.w]))
    value, (found,) = gradient(nothing, nothing, Tensor(np.full((4, 1, 1, 1), 0.5, np.float32)))
    assert float(value) == pytest.approx(1.0, abs=1e-5) and np.isfinite(found.asnumpy()).all()


@pytest.mark.parametrize("update", ["sum", "mean"])
@pytest.mark.parametrize("loss", PAPERS)
def test_losses_at_equilibrium_are_those_of_images_that_are_alike(loss, update):
    """D says of all what it says best of them: the threshold, or any number where it has none."""
    updates = GANUpdates(loss=loss, discriminator_update=update, gradient_penalty=10.0)
    best = np.full(8, 0.3 if updates.threshold is None else updates.threshold)
    scale = 0.5 if update == "mean" and loss != "relativistic" else 1.0
    expected = {"loss_d": scale * PAPERS[loss][0](best, best), "loss_g": PAPERS[loss][1](best, best)}
    if loss in ("hinge", "wasserstein"):
        del expected["loss_g"]  # any number
    assert {name: value for name, (value, _) in updates.equilibrium.items()} == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("update", ["sum", "mean"])
@pytest.mark.parametrize("loss", ["non_saturating", "saturating"])
def test_cross_entropies_at_equilibrium_with_smoothed_targets(loss, update):
    """D says that which has the least loss: 0.45, where targets of 0.9 and of 0 are as frequent."""
    updates = GANUpdates(loss=loss, discriminator_update=update, target_real=(0.8, 1.0))
    d = np.linspace(0.001, 0.999, 99_801)
    losses = -sum(target * np.log(d) + (1 - target) * np.log(1 - d) for target in (0.9, 0.0))
    best = d[losses.argmin()]
    assert sigmoid(updates.threshold) == pytest.approx(best, abs=1e-4) and best == pytest.approx(0.45, abs=1e-4)
    of_g = -np.log(best) if loss == "non_saturating" else np.log(1 - best)
    assert updates.equilibrium["loss_d"][0] == pytest.approx(losses.min() / (1 + (update == "mean")), abs=1e-6)
    assert updates.equilibrium["loss_g"][0] == pytest.approx(of_g, abs=3e-4)
    assert updates.equilibrium["loss_g"][1] == f"{of_g:.3g}"


def test_least_squares_at_equilibrium_with_smoothed_targets():
    """D says the middle, 0.45; targets between 0.6 and 1 are 0.35 from it in the mean, and vary."""
    updates = GANUpdates(loss="least_squares", target_real=(0.6, 1.0), target_fake=(0.0, 0.2))
    targets = np.linspace(0.6, 1.0, 100_001), np.linspace(0.0, 0.2, 100_001)
    assert updates.threshold == pytest.approx(0.45)
    loss_d = sum(0.5 * np.mean((0.45 - each) ** 2) for each in targets)
    assert updates.equilibrium["loss_d"][0] == pytest.approx(loss_d, abs=1e-6)
    assert updates.equilibrium["loss_g"][0] == pytest.approx(0.5 * (0.45 - 0.8) ** 2)


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"loss": "wasserstein"}, "gradient_penalty must be above 0"),
        ({"loss": "hinge", "target_real": (0.8, 1.0)}, "the loss hinge has no targets"),
        ({"loss": "relativistic", "half_batches": True}, "half_batches=False"),
        ({"loss": "relativistic_average", "discriminator_update": "separate"}, "discriminator_update=sum"),
        ({"gradient_penalty": 1.0, "discriminator_update": "separate"}, "discriminator_update=sum"),
        ({"target_real": (0.0, 0.0), "target_fake": (1.0, 1.0)}, "must be greater in the mean"),
        ({"target_real": (0.5, 0.5), "target_fake": (0.5, 0.5)}, "must be greater in the mean"),
    ],
)
def test_settings_that_do_not_go_together_are_refused(changes, message):
    with pytest.raises(UserError, match=message):
        GANUpdates(**changes)


class Normed(Quadratic):
    def __init__(self, norm=nn.BatchNorm2d):
        super().__init__()
        self.norm = norm(1)


@pytest.mark.parametrize(
    "given, changes, message",
    [
        ({"pooling": "max"}, {"gradient_penalty": 1.0}, "discriminator.pooling=none"),
        ({"dropout_shapes": ((1, 1, 1),)}, {"gradient_penalty": 1.0}, "discriminator.dropout_rate=0"),
        ({"dropout_shapes": ((1, 1, 1),)}, {"loss": "relativistic"}, "discriminator.dropout_rate=0"),
        (None, {"gradient_penalty": 1.0}, "without BatchNorm"),
    ],
)
def test_a_discriminator_that_a_loss_cannot_be_computed_with_is_refused(given, changes, message):
    discriminator = Normed() if given is None else Quadratic()
    for name, value in (given or {}).items():
        setattr(discriminator, name, value)
    with pytest.raises(UserError, match=message):
        make_step("mlp", discriminator=discriminator, **changes)


@pytest.mark.parametrize("norm", [nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d])
def test_a_penalty_is_refused_with_batch_norm_of_any_kind(norm):
    with pytest.raises(UserError, match="without BatchNorm"):
        make_step("mlp", discriminator=Normed(norm), gradient_penalty=1.0)


@pytest.mark.parametrize(
    "means, remark",
    [
        ({"accuracy_real": 0.6, "accuracy_fake": 1.0, "fool_rate": 0.4, "accuracy_class": 1.0}, None),
        ({"accuracy_real": 1.0, "accuracy_fake": 1.0, "fool_rate": 0.0, "accuracy_class": 0.1}, "D .* overpowers G"),
        ({"accuracy_real": 0.5, "accuracy_fake": 0.5, "fool_rate": 1.0}, "G overpowers D"),
        ({"accuracy_real": 0.6, "accuracy_reconstructed": 0.7, "accuracy_sampled": 1.0, "fool_rate": 0.4}, None),
        ({"accuracy_pairs": 1.0}, "D .* overpowers G"),
        ({"accuracy_pairs": 0.8}, None),
        ({"loss": 1.0}, None),
    ],
)
def test_one_player_overpowering_the_other_is_remarked(means, remark):
    found = TrainingStep.remark(None, means)
    assert re.search(remark, found) if remark else found is None


def test_a_critic_that_ranks_every_pair_is_what_its_generator_wants():
    critic = make_step("mlp", discriminator=Quadratic(), loss="wasserstein", gradient_penalty=10.0)[0]
    assert critic.remark({"loss_d": -3.0, "accuracy_pairs": 1.0}) is None
    assert "does not keep up" in critic.remark({"loss_d": 0.5, "accuracy_pairs": 0.3})


def test_pretraining_moves_d_alone():
    step, settings = make_step("mlp", pretraining_steps=2)
    cell, count = step.pretraining(), step.pretraining_steps
    assert count == 2
    d = Player(START["d"], settings, [0])
    for number in range(count):
        noise = step.draw_noise(random_stream(3, "preparation", number))
        indices = np.arange(BATCH, dtype=np.int32) + number
        real = IMAGES[indices].astype(np.float64)
        fake = image(START["g"], flat(noise.discriminator[0].inputs[0]), 0, True)
        d.update(lambda n: cross_entropy(sigmoid(logit(n, real)), 1) + cross_entropy(sigmoid(logit(n, fake)), 0))
        cell(on_device((indices,)), on_device(noise))
    assert_weights(step.generator, Player(START["g"], settings, [0]), START["g"], atol=1e-7)
    assert_weights(step.discriminator, d, START["d"])
    assert make_step("mlp")[0].pretraining_steps == 0


def test_smoothed_targets_and_masks_are_drawn_as_said():
    step, _ = make_step("acgan", classes=3, dropout=True)
    drawn = [step.draw_noise(random_stream(1, "step", number)) for number in range(300)]
    turns = [noise.discriminator[0] for noise in drawn]
    targets = np.array([turn.targets for turn in turns])[..., 0]
    real, fake = targets[:, :BATCH], targets[:, BATCH:]
    assert 0.8 <= real.min() < 0.81 and 0.99 < real.max() <= 1.0 and abs(real.mean() - 0.9) < 0.01
    assert 0.0 <= fake.min() < 0.01 and 0.19 < fake.max() <= 0.2 and abs(fake.mean() - 0.1) < 0.01
    kept = np.array([turn.masks[0] for turn in turns])
    assert kept.dtype == bool and kept.shape[1:] == (2 * BATCH, 1, 1, 1) and abs(kept.mean() - 0.8) < 0.03
    wanted = np.array([turn.inputs[1] for turn in turns])
    assert set(wanted.ravel()) == {0, 1, 2} and wanted.dtype == np.int32


@pytest.mark.parametrize(
    "real, fake, logit_of",
    [
        ((1.0, 1.0), (0.0, 0.0), 0.5),
        ((0.8, 1.0), (0.0, 0.2), 0.5),
        ((0.9, 0.9), (0.0, 0.0), 0.45),
        ((1.0, 1.0), (0.1, 0.3), 0.6),
    ],
)
def test_accuracies_go_by_what_d_says_at_equilibrium(real, fake, logit_of):
    """With one-sided smoothing D says .45 of images that may be either, and would be right about none of the real."""
    threshold = GANUpdates(target_real=real, target_fake=fake).threshold
    assert threshold == pytest.approx(np.log(logit_of / (1 - logit_of)), abs=1e-12)
    step, _ = make_step("mlp", target_real=real, target_fake=fake)
    assert step.adversary.threshold == threshold
