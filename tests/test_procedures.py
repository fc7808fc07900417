"""Each document's update, worked out apart: networks of a few numbers, gradients by differences, in double precision.

Nothing here uses MindSpore's gradients or the project's losses: what the documents say is written out
with NumPy, and three updates of the step have to give the same numbers.
"""

from __future__ import annotations

import mindspore as ms
import numpy as np
import pytest
from mindspore import Parameter, Tensor, nn, ops

from ms_gan import recipes
from ms_gan.errors import UserError
from ms_gan.recipes.build import adam
from ms_gan.runtime import random_stream
from ms_gan.steps.acgan import ACGANStep
from ms_gan.steps.gan import GANStep
from ms_gan.training.loop import on_device

pytestmark = pytest.mark.usefixtures("device")

BATCH, RATE, STEPS = 6, 0.1, 3
IMAGES = np.float32([0.3, -0.8, 1.2, 0.5, -0.1, 0.9, 2.0, -1.5, 0.7, 0.2, -0.4, 1.1])
LABELS = np.int32([0, 1, 2] * 4)
SHIFT_IN_INFERENCE = 0.25  # stands for BatchNorm: G draws something else in inference mode
START = {"g": {"w": 0.7, "u": -0.2, "v": 0.15}, "d": {"a": 0.4, "c": 0.1, "b": 0.3}}


def image(g, latent, label, training):
    """G: w·z + u, + v·label, + a shift in inference mode."""
    return g["w"] * latent + g["u"] + g["v"] * label + (0.0 if training else SHIFT_IN_INFERENCE)


def logit(d, x):
    """D: a·x + c."""
    return d["a"] * x + d["c"]


def class_logits(d, x):
    """D's other head, three classes: 0, b·x, −b·x."""
    return np.stack((0 * x, d["b"] * x, -d["b"] * x), -1)


class Generator(nn.Cell):
    def __init__(self):
        super().__init__()
        for name, value in START["g"].items():
            setattr(self, name, Parameter(Tensor(value, ms.float32), name=f"generator.{name}"))

    def construct(self, latent, label=None):
        x = self.w * latent + self.u
        if label is not None:
            x = x + self.v * label.astype(ms.float32).reshape((-1, 1))
        if not self.training:
            x = x + SHIFT_IN_INFERENCE
        return x.reshape((-1, 1, 1, 1))


class Discriminator(nn.Cell):
    dropout_shapes, dropout_rate = (), 0.0

    def __init__(self, classes):
        super().__init__()
        self.has_classes = classes > 0
        for name, value in START["d"].items():
            setattr(self, name, Parameter(Tensor(value, ms.float32), name=f"discriminator.{name}"))

    def construct(self, images, kept=None):
        x = images.reshape((-1, 1))
        if kept is not None:
            x = x * kept.astype(ms.float32).reshape((-1, 1)) * 1.25
        logits = self.a * x + self.c
        if self.has_classes:
            return logits, ops.concat((0 * x, self.b * x, -self.b * x), 1)
        return logits


class Data(nn.Cell):
    def __init__(self):
        super().__init__()
        self.all = Tensor(IMAGES)
        self.all_labels = Tensor(LABELS)

    def construct(self, indices):
        return ops.gather(self.all, indices, 0).reshape((-1, 1, 1, 1))

    def labels(self, indices):
        return ops.gather(self.all_labels, indices, 0)


def make_step(recipe_name, classes=0, dropout=False, **changes):
    """The step of a recipe on those networks, with a learning rate that moves them visibly."""
    recipe = recipes.load(recipe_name)
    updates = {**recipe["updates"], **changes}
    generator, twin, discriminator = Generator(), Generator(), Discriminator(classes)
    for name in START["g"]:
        setattr(twin, name, getattr(generator, name))
    twin.set_train(False)
    if dropout:
        discriminator.dropout_shapes, discriminator.dropout_rate = ((1, 1, 1),), 0.2
    settings = {**recipe["optimizer_generator"], "learning_rate": RATE}
    if settings["decay_rate"] != 1:
        settings["decay_steps"] = 2  # so that three updates show it
    optimizers = [adam(network, name, **settings) for network, name in ((generator, "og"), (discriminator, "od"))]
    family = {"gan": GANStep, "acgan": ACGANStep}[recipe["family"]]
    step = family(
        Data(),
        generator,
        twin,
        discriminator,
        *optimizers,
        latent={"size": 1, "distribution": "normal"},
        classes=classes,
        batch_size=BATCH,
        **updates,
    )
    return step, settings


class Player:
    """Some numbers, and Adam as Keras, TensorFlow and MindSpore write it; `counter` counts its updates."""

    def __init__(self, numbers, settings, counter):
        self.numbers, self.settings, self.counter = dict(numbers), settings, counter
        self.moments = {name: [0.0, 0.0] for name in numbers}

    def update(self, loss):
        """Move against the gradient of `loss`, a function of the numbers; return the loss before."""
        before = loss(self.numbers)
        gradients = {}
        for name in self.numbers:
            up, down = dict(self.numbers), dict(self.numbers)
            up[name], down[name] = up[name] + 1e-6, down[name] - 1e-6
            gradients[name] = (loss(up) - loss(down)) / 2e-6
        beta1, beta2 = self.settings["beta1"], self.settings["beta2"]
        rate = RATE * self.settings["decay_rate"] ** (self.counter[0] / self.settings["decay_steps"])
        self.counter[0] += 1
        corrected = rate * np.sqrt(1 - beta2 ** self.counter[0]) / (1 - beta1 ** self.counter[0])
        for name, gradient in gradients.items():
            moments = self.moments[name]
            moments[0] = beta1 * moments[0] + (1 - beta1) * gradient
            moments[1] = beta2 * moments[1] + (1 - beta2) * gradient**2
            self.numbers[name] -= corrected * moments[0] / (np.sqrt(moments[1]) + self.settings["epsilon"])
        return before


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def cross_entropy(probability, target):
    return np.mean(-target * np.log(probability) - (1 - target) * np.log(1 - probability))


def of_real_or_not(d, x, targets):
    """D's cross-entropy of real or not, the mean over the images."""
    return cross_entropy(sigmoid(logit(d, x)), targets)


def of_classes(d, x, labels):
    """The categorical cross-entropy of each image, from its softmax."""
    exponentials = np.exp(class_logits(d, x))
    softmax = exponentials / exponentials.sum(-1, keepdims=True)
    return -np.log(softmax[np.arange(len(x)), labels])


def flat(array):
    return np.asarray(array, np.float64).reshape(len(array))


# The documents' procedures: from the players, the real images and the noise to the scalars, by name.


def mlp_as_published(g, d, real, labels, noise):
    """Tutorial: D on BCE(real, 1) + BCE(fake, 0), then G on BCE(D(G(z)), 1) with the same z; both in training mode."""
    z = flat(noise[0])
    fake = image(g.numbers, z, 0, True)
    scalars = accuracies(d.numbers, real, fake)
    scalars["loss_d"] = d.update(
        lambda n: cross_entropy(sigmoid(logit(n, real)), 1) + cross_entropy(sigmoid(logit(n, fake)), 0)
    )
    scalars["fool_rate"] = np.mean(logit(d.numbers, image(g.numbers, z, 0, True)) > 0)
    scalars["loss_g"] = g.update(lambda n: cross_entropy(sigmoid(logit(d.numbers, image(n, z, 0, True))), 1))
    return scalars


def keras_mlp_as_published(g, d, real, labels, noise):
    """Lecture: train_on_batch(half real, 1), train_on_batch(half predicted, 0), the mean logged; G on a new batch."""
    z, new = flat(noise[0]), flat(noise[2])
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
    z, new = flat(noise[0]), flat(noise[2])
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
    z, new = flat(noise[0]), flat(noise[2])
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
    z, wanted, targets, kept, new, new_wanted, kept_new = (flat(array) for array in noise)
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


def accuracies(d, real, fake):
    return {"accuracy_real": np.mean(logit(d, real) > 0), "accuracy_fake": np.mean(logit(d, fake) < 0)}


DOCUMENTS = {
    "mlp": (mlp_as_published, {}),
    "keras_mlp": (keras_mlp_as_published, {}),
    "slim_mlp": (slim_mlp_as_published, {}),
    "slim_mlp, saturating": (saturating_as_published, {"generator_loss": "saturating"}),
    "dcgan": (dcgan_as_published, {}),
    "acgan": (acgan_as_published, {"classes": 3, "dropout": True}),
}


@pytest.mark.parametrize("document", DOCUMENTS)
def test_the_step_does_what_the_document_does(document):
    procedure, changes = DOCUMENTS[document]
    name = document.split(",")[0]
    step, settings = make_step(name, **changes)
    counter_d, counter_g = [0], [0]
    if recipes.load(name)["updates"]["shared_counters"]:
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
        generator_loss=loss,
        target_real=[0.7, 0.9],
        target_fake=[0.1, 0.2],
    )
    count = BATCH // 2 if half else BATCH
    assert step.images_per_step == k * count
    g, d = Player(START["g"], settings, [0]), Player(START["d"], settings, [0])
    for number in range(2):
        noise = step.draw_noise(random_stream(3, "step", number))
        indices = np.random.default_rng(number).integers(0, len(IMAGES), k * count).astype(np.int32)
        for turn in range(k):
            targets = flat(noise[2 * turn + 1])
            real = IMAGES[indices[turn * count : (turn + 1) * count]].astype(np.float64)
            fake = image(g.numbers, flat(noise[2 * turn]), 0, fakes == "training")[:count]
            if update == "separate":
                loss_d = 0.5 * (
                    d.update(lambda n: cross_entropy(sigmoid(logit(n, real)), targets[:count]))
                    + d.update(lambda n: cross_entropy(sigmoid(logit(n, fake)), targets[count:]))
                )
            else:
                both, scale = np.concatenate((real, fake)), 2 if update == "sum" else 1
                loss_d = d.update(lambda n: scale * cross_entropy(sigmoid(logit(n, both)), targets))
        z = flat(noise[2 * k if latents == "new" else 2 * (k - 1)])
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
        noise = [flat(array) for array in step.draw_noise(random_stream(3, "step", number))]
        indices = np.random.default_rng(number).integers(0, len(IMAGES), k * BATCH).astype(np.int32)
        for turn in range(k):
            latent, wanted, targets = noise[3 * turn : 3 * turn + 3]
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
        latent, wanted = noise[3 * k], noise[3 * k + 1].astype(int)
        loss_g_class = np.mean(of_classes(d.numbers, image(g.numbers, latent, wanted, True), wanted))
        g.update(
            lambda n: (
                of_real_or_not(d.numbers, image(n, latent, wanted, True), 1)
                + np.mean(of_classes(d.numbers, image(n, latent, wanted, True), wanted))
            )
        )
        found = step(on_device((indices,)), on_device(step.draw_noise(random_stream(3, "step", number)))).asnumpy()
        found = dict(zip(step.scalars, found))
        for name, expected in (("loss_d", real_or_not), ("loss_d_class", of_class), ("loss_g_class", loss_g_class)):
            assert found[name] == pytest.approx(expected, rel=2e-4), (number, name)
    for key, value in d.numbers.items():
        assert float(getattr(step.discriminator, key)) == pytest.approx(value, abs=2e-4), key
    assert float(step.generator.v) == pytest.approx(g.numbers["v"], abs=2e-4)


def test_pretraining_moves_d_alone():
    step, settings = make_step("mlp", pretraining_steps=2)
    cell, count = step.preparation()
    assert count == 2
    d = Player(START["d"], settings, [0])
    for number in range(count):
        noise = step.draw_noise(random_stream(3, "preparation", number))
        indices = np.arange(BATCH, dtype=np.int32) + number
        real = IMAGES[indices].astype(np.float64)
        fake = image(START["g"], flat(noise[0]), 0, True)
        d.update(lambda n: cross_entropy(sigmoid(logit(n, real)), 1) + cross_entropy(sigmoid(logit(n, fake)), 0))
        cell(on_device((indices,)), on_device(noise))
    for key, value in START["g"].items():
        assert float(getattr(step.generator, key)) == np.float32(value)
    assert float(step.discriminator.a) == pytest.approx(d.numbers["a"], abs=2e-4)
    assert make_step("mlp")[0].preparation()[1] == 0


def test_smoothed_targets_and_masks_are_drawn_as_said():
    step, _ = make_step("acgan", classes=3, dropout=True)
    drawn = [step.draw_noise(random_stream(1, "step", number)) for number in range(300)]
    targets = np.array([noise[2] for noise in drawn])[..., 0]
    real, fake = targets[:, :BATCH], targets[:, BATCH:]
    assert 0.8 <= real.min() < 0.81 and 0.99 < real.max() <= 1.0 and abs(real.mean() - 0.9) < 0.01
    assert 0.0 <= fake.min() < 0.01 and 0.19 < fake.max() <= 0.2 and abs(fake.mean() - 0.1) < 0.01
    kept = np.array([noise[3] for noise in drawn])
    assert kept.dtype == bool and kept.shape[1:] == (2 * BATCH, 1, 1, 1) and abs(kept.mean() - 0.8) < 0.03
    wanted = np.array([noise[1] for noise in drawn])
    assert set(wanted.ravel()) == {0, 1, 2} and wanted.dtype == np.int32


@pytest.mark.parametrize(
    "real, fake, logit_of",
    [
        ([1.0, 1.0], [0.0, 0.0], 0.5),
        ([0.8, 1.0], [0.0, 0.2], 0.5),
        ([0.9, 0.9], [0.0, 0.0], 0.45),
        ([1.0, 1.0], [0.1, 0.3], 0.6),
    ],
)
def test_accuracies_go_by_what_d_says_at_equilibrium(real, fake, logit_of):
    """With one-sided smoothing D says .45 of images that may be either, and would be right about none of the real."""
    threshold = GANStep.threshold({"target_real": real, "target_fake": fake})
    assert threshold == pytest.approx(np.log(logit_of / (1 - logit_of)), abs=1e-12)
    step, _ = make_step("mlp", target_real=real, target_fake=fake)
    assert step.real_from == threshold


@pytest.mark.parametrize("real, fake", [([0.0, 0.0], [1.0, 1.0]), ([0.5, 0.5], [0.5, 0.5]), ([0.2, 0.4], [0.1, 0.6])])
def test_targets_that_are_turned_round_are_refused(real, fake):
    with pytest.raises(UserError, match="must be greater in the mean"):
        make_step("mlp", target_real=real, target_fake=fake)


def test_one_player_overpowering_the_other_is_remarked():
    step, _ = make_step("mlp")
    fair = {"accuracy_real": 0.6, "accuracy_fake": 0.7, "fool_rate": 0.4}
    assert step.remark(fair) is None
    assert "overpowers G" in step.remark({"accuracy_real": 1.0, "accuracy_fake": 1.0, "fool_rate": 0.0})
    assert "G overpowers D" in step.remark({**fair, "fool_rate": 1.0})
