"""Each document's update, worked out apart: networks of a few numbers, gradients by differences, in double precision.

Nothing here uses MindSpore's gradients or the project's losses: what the documents say is written out
with NumPy, and three updates of the step have to give the same numbers.
"""

from __future__ import annotations

import mindspore as ms
import numpy as np
import pytest
from helpers.procedures import (
    BATCH,
    IMAGES,
    LABELS,
    START,
    STEPS,
    Player,
    accuracies,
    class_logits,
    cross_entropy,
    flat,
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
from ms_gan.steps.base import on_device
from ms_gan.steps.gradient_penalty import GradientPenalty

pytestmark = pytest.mark.usefixtures("device")


def latents_of(noise):
    """The latents of D's only update, and of G's."""
    return flat(noise.discriminator[0].inputs[0]), flat(noise.generator.inputs[0])


def of_real_or_not(d, x, targets):
    """D's cross-entropy of real or not, the mean over the images."""
    return cross_entropy(sigmoid(logit(d, x)), targets)


def of_classes(d, x, labels):
    """The categorical cross-entropy of each image, from its softmax."""
    exponentials = np.exp(class_logits(d, x))
    softmax = exponentials / exponentials.sum(-1, keepdims=True)
    return -np.log(softmax[np.arange(len(x)), labels])


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
    scalars["loss_d"] = 0.5 * (loss_real + loss_fake)
    scalars["fool_rate"] = np.mean(logit(d.numbers, image(g.numbers, new, 0, True)) > 0)
    scalars["loss_g"] = g.update(lambda n: cross_entropy(sigmoid(logit(d.numbers, image(n, new, 0, True))), 1))
    return scalars


def slim_mlp_as_published(g, d, real, labels, noise, loss_g=lambda fooled: -np.mean(np.log(fooled))):
    """Article: D on −mean(log D(x) + log(1 − D(G(z)))), G on −mean(log D(G(z'))), one Adam counting both."""
    z, new = latents_of(noise)
    fake = image(g.numbers, z, 0, True)
    scalars = accuracies(d.numbers, real, fake)
    scalars["loss_d"] = d.update(
        lambda n: -np.mean(np.log(sigmoid(logit(n, real))) + np.log(1 - sigmoid(logit(n, fake))))
    )
    scalars["fool_rate"] = np.mean(logit(d.numbers, image(g.numbers, new, 0, True)) > 0)
    scalars["loss_g"] = g.update(lambda n: loss_g(sigmoid(logit(d.numbers, image(n, new, 0, True)))))
    return scalars


def saturating_as_published(*players_and_noise):
    """The paper's G: mean(log(1 − D(G(z'))))."""
    return slim_mlp_as_published(*players_and_noise, loss_g=lambda fooled: np.mean(np.log(1 - fooled)))


def dcgan_as_published(g, d, real, labels, noise):
    """Pizzas: D on one batch of real (1) and predicted (0) images, the mean over all; G on new noise."""
    z, new = latents_of(noise)
    fake = image(g.numbers, z, 0, False)
    scalars = accuracies(d.numbers, real, fake)
    both, targets = np.concatenate((real, fake)), np.repeat((1.0, 0.0), BATCH)
    scalars["loss_d"] = d.update(lambda n: cross_entropy(sigmoid(logit(n, both)), targets))
    scalars["fool_rate"] = np.mean(logit(d.numbers, image(g.numbers, new, 0, True)) > 0)
    scalars["loss_g"] = g.update(lambda n: cross_entropy(sigmoid(logit(d.numbers, image(n, new, 0, True))), 1))
    return scalars


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
        return cross_entropy(sigmoid(logit(n, both)), targets)

    def which_class(n):
        exponentials = np.exp(class_logits(n, both))
        softmax = exponentials / exponentials.sum(-1, keepdims=True)
        return np.mean(-(one_hot * np.log(softmax)).sum(-1))

    scalars["loss_d"], scalars["loss_d_class"] = real_or_not(d.numbers), which_class(d.numbers)
    d.update(lambda n: real_or_not(n) + which_class(n))

    def seen(n):
        return image(n, new, new_wanted, True) * kept_new * 1.25

    scalars["fool_rate"] = np.mean(logit(d.numbers, seen(g.numbers)) > 0)
    scalars["accuracy_class"] = np.mean(class_logits(d.numbers, seen(g.numbers)).argmax(-1) == new_wanted)
    scalars["loss_g"] = cross_entropy(sigmoid(logit(d.numbers, seen(g.numbers))), 1)
    scalars["loss_g_class"] = np.mean(of_classes(d.numbers, seen(g.numbers), new_wanted))
    g.update(
        lambda n: (
            cross_entropy(sigmoid(logit(d.numbers, seen(n))), 1) + np.mean(of_classes(d.numbers, seen(n), new_wanted))
        )
    )
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
    for number in range(STEPS):
        noise = step.draw_noise(random_stream(3, "step", number))
        indices = np.random.default_rng(number).integers(0, len(IMAGES), step.images_per_step).astype(np.int32)
        expected = procedure(g, d, IMAGES[indices].astype(np.float64), LABELS[indices], noise)
        found = dict(zip(step.scalars, step(on_device((indices,)), on_device(noise)).asnumpy()))
        assert found.keys() == expected.keys()
        for key in found:
            assert found[key] == pytest.approx(expected[key], rel=2e-4, abs=2e-5), (number, key)
    for player, cell in ((g, step.generator), (d, step.discriminator)):
        for parameter in cell.get_parameters():
            key = parameter.name.split(".")[1]
            assert float(parameter) == pytest.approx(player.numbers[key], abs=2e-4), key
    for player, start in ((g, START["g"]), (d, START["d"])):
        assert max(abs(player.numbers[key] - start[key]) for key in start) > 0.05, "nothing moved that could be seen"


COMBINATIONS = [  # of update settings that no document has: discriminator_update, k, half_batches, latents, fakes, loss
    ("sum", 2, True, "shared", "training", "saturating"),
    ("separate", 2, False, "shared", "inference", "non_saturating"),
    ("mean", 1, True, "shared", "inference", "non_saturating"),
    ("separate", 1, True, "shared", "training", "saturating"),
    ("mean", 3, True, "new", "training", "non_saturating"),
]


@pytest.mark.parametrize("update, k, half, latents, fakes, loss", COMBINATIONS)
def test_every_setting_of_the_updates_works_with_the_others(update, k, half, latents, fakes, loss):
    step, settings = make_step(
        "mlp",
        discriminator_update=update,
        discriminator_steps=k,
        half_batches=half,
        generator_latents=latents,
        fakes=fakes,
        loss=loss,
        target_real=(0.7, 0.9),
        target_fake=(0.1, 0.2),
    )
    count = BATCH // 2 if half else BATCH
    assert step.images_per_step == k * count
    g, d = Player(START["g"], settings, [0]), Player(START["d"], settings, [0])
    for number in range(2):
        noise = step.draw_noise(random_stream(3, "step", number))
        indices = np.random.default_rng(number).integers(0, len(IMAGES), k * count).astype(np.int32)
        for turn in range(k):
            targets = flat(noise.discriminator[turn].targets)
            real = IMAGES[indices[turn * count : (turn + 1) * count]].astype(np.float64)
            fake = image(g.numbers, flat(noise.discriminator[turn].inputs[0]), 0, fakes == "training")[:count]
            if update == "separate":
                loss_d = 0.5 * (
                    d.update(lambda n: cross_entropy(sigmoid(logit(n, real)), targets[:count]))
                    + d.update(lambda n: cross_entropy(sigmoid(logit(n, fake)), targets[count:]))
                )
            else:
                both, scale = np.concatenate((real, fake)), 2 if update == "sum" else 1
                loss_d = d.update(lambda n: scale * cross_entropy(sigmoid(logit(n, both)), targets))
        z = flat((noise.generator if latents == "new" else noise.discriminator[-1]).inputs[0])
        assert len(z) == BATCH
        if loss == "saturating":
            loss_g = g.update(lambda n: np.mean(np.log(1 - sigmoid(logit(d.numbers, image(n, z, 0, True))))))
        else:
            loss_g = g.update(lambda n: -np.mean(np.log(sigmoid(logit(d.numbers, image(n, z, 0, True))))))
        found = dict(zip(step.scalars, step(on_device((indices,)), on_device(noise)).asnumpy()))
        assert found["loss_d"] == pytest.approx(loss_d, rel=2e-4)
        assert found["loss_g"] == pytest.approx(loss_g, rel=2e-4)
    assert float(step.discriminator.a) == pytest.approx(d.numbers["a"], abs=2e-4)
    assert float(step.generator.w) == pytest.approx(g.numbers["w"], abs=2e-4)


@pytest.mark.parametrize("update, k", [("sum", 1), ("separate", 2)])
def test_classes_are_learnt_from_real_images_in_every_kind_of_update(update, k):
    """One by one, D learns classes from its update on real images alone, and half of that loss is reported."""
    step, settings = make_step("acgan", classes=3, discriminator_update=update, discriminator_steps=k)
    g, d = Player(START["g"], settings, [0]), Player(START["d"], settings, [0])
    for number in range(2):
        noise = step.draw_noise(random_stream(3, "step", number))
        indices = np.random.default_rng(number).integers(0, len(IMAGES), k * BATCH).astype(np.int32)
        for turn in range(k):
            latent, wanted = map(flat, noise.discriminator[turn].inputs)
            targets = flat(noise.discriminator[turn].targets)
            shown = indices[turn * BATCH : (turn + 1) * BATCH]
            real, labels = IMAGES[shown].astype(np.float64), LABELS[shown]
            fake = image(g.numbers, latent, wanted, False)
            of_class = np.mean(of_classes(d.numbers, real, labels))
            if update == "sum":
                real_or_not = of_real_or_not(d.numbers, real, targets[:BATCH]) + of_real_or_not(
                    d.numbers, fake, targets[BATCH:]
                )
                d.update(
                    lambda n: (
                        of_real_or_not(n, real, targets[:BATCH])
                        + of_real_or_not(n, fake, targets[BATCH:])
                        + np.mean(of_classes(n, real, labels))
                    )
                )
            else:
                real_or_not = 0.5 * of_real_or_not(d.numbers, real, targets[:BATCH])
                d.update(lambda n: of_real_or_not(n, real, targets[:BATCH]) + np.mean(of_classes(n, real, labels)))
                real_or_not += 0.5 * d.update(lambda n: of_real_or_not(n, fake, targets[BATCH:]))
                of_class /= 2
        latent, wanted = flat(noise.generator.inputs[0]), noise.generator.inputs[1]
        loss_g_class = np.mean(of_classes(d.numbers, image(g.numbers, latent, wanted, True), wanted))
        g.update(
            lambda n: (
                of_real_or_not(d.numbers, image(n, latent, wanted, True), 1)
                + np.mean(of_classes(d.numbers, image(n, latent, wanted, True), wanted))
            )
        )
        found = step(on_device((indices,)), on_device(noise)).asnumpy()
        found = dict(zip(step.scalars, found))
        for name, expected in (("loss_d", real_or_not), ("loss_d_class", of_class), ("loss_g_class", loss_g_class)):
            assert found[name] == pytest.approx(expected, rel=2e-4), (number, name)
    for key, value in d.numbers.items():
        assert float(getattr(step.discriminator, key)) == pytest.approx(value, abs=2e-4), key
    assert float(step.generator.v) == pytest.approx(g.numbers["v"], abs=2e-4)


QUADRATIC = {"p": 0.5, "q": -0.4}


class Quadratic(DiscriminatorBase):
    """D: p·x² + q·x, whose slope, 2p·x + q, is another at each image."""

    def __init__(self):
        super().__init__()
        for name, value in QUADRATIC.items():
            setattr(self, name, Parameter(Tensor(value, ms.float32), name=f"discriminator.{name}"))

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
        ("relativistic", 0.0, 1, {}),
        ("relativistic", 3.0, 2, {"generator_latents": "new"}),
        ("relativistic_average", 0.0, 1, {}),
        ("relativistic_average", 1.5, 1, {"discriminator_update": "mean", "generator_latents": "new"}),
    ],
)
def test_every_loss_is_that_of_its_paper(loss, penalty, k, changes):
    """D's loss + penalty · mean((|slope| − 1)²) between real and generated images; then G's against the new D."""
    of_d, of_g = PAPERS[loss]
    step, settings = make_step(
        "mlp", discriminator=Quadratic(), loss=loss, gradient_penalty=penalty, discriminator_steps=k, **changes
    )
    g, d = Player(START["g"], settings, [0]), Player(QUADRATIC, settings, [0])
    count = step.images_per_step // k
    separate = changes.get("discriminator_update") == "separate"
    scale = 0.5 if changes.get("discriminator_update", "sum") != "sum" and loss != "relativistic" else 1.0
    moved = {"g": 0.0, "d": 0.0}
    for number in range(STEPS):
        noise = step.draw_noise(random_stream(3, "step", number))
        indices = np.random.default_rng(number).integers(0, len(IMAGES), k * count).astype(np.int32)
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
                nothing = np.full(1, 9.0)  # where its hinge has no slope, and no other loss is asked
                constant = {"least_squares": (1.0, 0.0), "hinge": (nothing, -nothing)}[loss]
                d.update(lambda n: of_d(quadratic(n, real), constant[1]))
                updated = quadratic(d.numbers, fake)
                expected["accuracy_fake"] = np.mean(updated < MIDDLES[loss])
                rest = d.update(lambda n: of_d(constant[0], quadratic(n, fake)))
                expected["loss_d"] = 0.5 * (of_d(logits[0], constant[1]) + rest)
            else:
                if penalty:
                    between = flat(of_turn.between[0])
                    at = between * real + (1 - between) * fake

                def price(n):
                    return np.mean((np.abs(2 * n["p"] * at + n["q"]) - 1) ** 2) if penalty else 0.0

                if penalty:
                    expected["penalty"] = price(before)
                d.update(lambda n: scale * of_d(quadratic(n, real), quadratic(n, fake)) + penalty * price(n))
        z = flat((noise.generator if changes.get("generator_latents") == "new" else noise.discriminator[-1]).inputs[0])

        def loss_g(n):
            return of_g(quadratic(d.numbers, real), quadratic(d.numbers, image(n, z, 0, True)))

        if loss in MIDDLES:
            expected["fool_rate"] = np.mean(quadratic(d.numbers, image(g.numbers, z, 0, True)) > MIDDLES[loss])
        expected["loss_g"] = g.update(loss_g)
        found = dict(zip(step.scalars, step(on_device((indices,)), on_device(noise)).asnumpy()))
        assert found.keys() == expected.keys()
        for key in found:
            assert found[key] == pytest.approx(expected[key], rel=3e-4, abs=3e-5), (number, key)
        for name, player, cell, start in (
            ("g", g, step.generator, START["g"]),
            ("d", d, step.discriminator, QUADRATIC),
        ):
            for key, value in player.numbers.items():
                assert float(getattr(cell, key)) == pytest.approx(value, abs=3e-4), key
                moved[name] = max(moved[name], abs(value - start[key]))
    assert min(moved.values()) > 0.05, "nothing moved that could be seen"


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
    ],
)
def test_settings_that_do_not_go_together_are_refused(changes, message):
    with pytest.raises(UserError, match=message):
        GANUpdates(**changes)


class Normed(Quadratic):
    def __init__(self):
        super().__init__()
        self.norm = nn.BatchNorm2d(1)


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


def test_remarks_are_of_what_each_loss_reports():
    overpowering = make_step("mlp", discriminator=Quadratic(), loss="relativistic")[0]
    assert "overpowers G" in overpowering.remark({"accuracy_pairs": 1.0})
    assert overpowering.remark({"accuracy_pairs": 0.8}) is None
    critic = make_step("mlp", discriminator=Quadratic(), loss="wasserstein", gradient_penalty=10.0)[0]
    assert critic.remark({"loss_d": -3.0, "accuracy_pairs": 1.0}) is None, "a strong critic is what it wants"
    assert "does not keep up" in critic.remark({"loss_d": 0.5, "accuracy_pairs": 0.3})


def test_pretraining_moves_d_alone():
    step, settings = make_step("mlp", pretraining_steps=2)
    cell, count = step.preparation()
    assert count == 2
    d = Player(START["d"], settings, [0])
    for number in range(count):
        noise = step.draw_noise(random_stream(3, "preparation", number))
        indices = np.arange(BATCH, dtype=np.int32) + number
        real = IMAGES[indices].astype(np.float64)
        fake = image(START["g"], flat(noise.discriminator[0].inputs[0]), 0, True)
        d.update(lambda n: cross_entropy(sigmoid(logit(n, real)), 1) + cross_entropy(sigmoid(logit(n, fake)), 0))
        cell(on_device((indices,)), on_device(noise))
    for key, value in START["g"].items():
        assert float(getattr(step.generator, key)) == np.float32(value)
    assert float(step.discriminator.a) == pytest.approx(d.numbers["a"], abs=2e-4)
    assert make_step("mlp")[0].preparation()[1] == 0


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


@pytest.mark.parametrize("real, fake", [((0.0, 0.0), (1.0, 1.0)), ((0.5, 0.5), (0.5, 0.5)), ((0.2, 0.4), (0.1, 0.6))])
def test_targets_that_are_turned_round_are_refused(real, fake):
    with pytest.raises(UserError, match="must be greater in the mean"):
        GANUpdates(target_real=real, target_fake=fake)


def test_one_player_overpowering_the_other_is_remarked():
    step, _ = make_step("mlp")
    fair = {"accuracy_real": 0.6, "accuracy_fake": 0.7, "fool_rate": 0.4}
    assert step.remark(fair) is None
    assert "overpowers G" in step.remark({"accuracy_real": 1.0, "accuracy_fake": 1.0, "fool_rate": 0.0})
    assert "G overpowers D" in step.remark({**fair, "fool_rate": 1.0})
