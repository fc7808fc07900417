"""Random changes of all images that D sees: what each does, that both kinds get them, and that runs stay exact."""

from __future__ import annotations

import dataclasses

import mindspore as ms
import numpy as np
import pytest
from helpers import procedures
from helpers.commands import here, kill_when, start, steps_saved, write_mnist
from helpers.networks import ACGAN, BATCH, CVAE_GAN, MLP, normal, options, step_of
from helpers.procedures import IMAGES, RATE, START, Player, assert_scalars, assert_weights, draws, flat, image, sigmoid
from helpers.refusals import refused
from helpers.resuming import ENDLESS, result, steps_to_resume_to
from mindspore import Tensor, nn

from ms_gan import recipes
from ms_gan.randomness import random_stream
from ms_gan.recipes.build import adam
from ms_gan.schema.recipe import Latent
from ms_gan.schema.updates import Augmentation, RpGANUpdates
from ms_gan.steps.augmentation import Augmenter
from ms_gan.steps.base import StepParts
from ms_gan.steps.graph import on_device
from ms_gan.steps.rpgan import RpGANStep

pytestmark = pytest.mark.usefixtures("device")
PAPER = {"brightness": 0.5, "saturation": 1.0, "contrast": 0.5, "translation": 0.125, "cutout": 0.5}
ALL = tuple(f"updates.augmentation.{name}={value}" for name, value in PAPER.items())
FAMILIES = {  # small ones
    "mlp": (*MLP, BATCH),
    "keras_mlp": (*MLP, BATCH),
    "acgan": (*ACGAN, BATCH, "discriminator.dropout_rate=0"),
    "rpgan": (*MLP, BATCH, "data.clusters=0"),
    "cvae_gan": (*CVAE_GAN, BATCH),
}


def augmented(images, changes, settings):
    """The paper's changes, one after the other, image by image, in double precision."""
    found = images.astype(np.float64)
    _, _, height, width = images.shape
    for number, x in enumerate(found):
        if len(changes.colour):
            weights, of_mean, added = (each[number].astype(np.float64).ravel() for each in changes.colour)
            contrast = 1 - of_mean
            x = x + added
            x = (x - x.mean(0)) * (weights[0] / contrast) + x.mean(0)
            x = (x - x.mean()) * contrast + x.mean()
        if len(changes.translation):
            moved = np.zeros_like(x)
            down, right = (
                int(place[number] * (2 * most + 1)) - most
                for place, most in zip(changes.translation, (rounded(n, settings.translation) for n in (height, width)))
            )
            for row in range(height):
                for column in range(width):
                    if 0 <= row - down < height and 0 <= column - right < width:
                        moved[:, row, column] = x[:, row - down, column - right]
            x = moved
        if len(changes.cutout):
            sides = [rounded(n, settings.cutout) for n in (height, width)]
            tops = [
                int(place[number] * (n + 1 - side % 2)) - side // 2
                for place, n, side in zip(changes.cutout[:2], (height, width), sides)
            ]
            first, last = np.maximum(tops, 0), np.add(tops, sides)
            x = x.copy()
            if changes.cutout[2][number]:
                x[:, first[0] : last[0], first[1] : last[1]] = 0
        found[number] = x
    return found


def rounded(size, part):
    return max(1, int(np.floor(size * part + 0.5)))


class Weighed(nn.Cell):
    """The sum of all changed pixels, each with a weight; its gradient is what a change hands back."""

    def __init__(self, augmenter, weights):
        super().__init__()
        self.augmenter, self.weights = augmenter, Tensor(weights)

    def construct(self, images, changes):
        return (self.augmenter(images, changes) * self.weights).sum()


class Gradient(nn.Cell):
    def __init__(self, weighed):
        super().__init__()
        self.gradient = ms.grad(weighed, 0)

    def construct(self, images, changes):
        return self.gradient(images, changes)


@pytest.mark.parametrize("shape", [(12, 1, 8, 8), (12, 3, 9, 6), (12, 3, 7, 7)])
@pytest.mark.parametrize("probability", [1, 0.5])
@pytest.mark.parametrize("names", [*((name,) for name in PAPER), tuple(PAPER)])
def test_each_change_and_its_gradient_is_the_papers(names, probability, shape):
    settings = Augmentation(**{name: PAPER[name] for name in names}, probability=probability)
    augmenter, stream = Augmenter(settings, shape[:1]), np.random.default_rng(5)
    (changes,) = augmenter.with_changes((), stream).changes
    images, weights = stream.uniform(0, 1, shape).astype(np.float32), normal(*shape)
    expected = augmented(images, changes, settings)
    found = augmenter(Tensor(images), on_device(changes)).asnumpy()
    np.testing.assert_allclose(found, expected, rtol=0, atol=2e-6)
    if names[0] in ("translation", "cutout"):
        assert np.array_equal(found, expected.astype(np.float32)), "pixels are moved and cut out exactly"
    assert np.allclose(found, images, rtol=0, atol=1e-6) == (names == ("saturation",) and shape[1] == 1)

    slopes = Gradient(Weighed(augmenter, weights))(Tensor(images), on_device(changes)).asnumpy()
    for place in np.ndindex(2, *shape[1:]):  # each pixel of two images
        up, down = images.astype(np.float64), images.astype(np.float64)
        up[place], down[place] = up[place] + 1e-3, down[place] - 1e-3
        values = [(augmented(each[:2], first_two(changes), settings) * weights[:2]).sum() for each in (up, down)]
        assert slopes[place] == pytest.approx((values[0] - values[1]) / 2e-3, abs=2e-5)


def first_two(changes):
    return type(changes)(*(tuple(each[:2] for each in part) for part in changes))


def test_changes_are_uniform_within_what_the_settings_say_and_independent():
    settings, count = Augmentation(**PAPER), 20000
    drawn = Augmenter(settings, (count,)).draw(count, np.random.default_rng(0))
    weights, of_mean, added = (each.reshape((count, -1)) for each in drawn.colour)
    contrast = 1 - of_mean
    numbers = {
        "brightness": (added, -0.5, 0.5),
        "saturation": (weights[:, :1] / contrast, 0, 2),
        "contrast": (contrast, 0.5, 1.5),
        **{f"place {number}": (each, 0, 1) for number, each in enumerate((*drawn.translation, *drawn.cutout[:2]))},
    }
    assert (drawn.cutout[2] == 1).all()
    for name, (found, low, high) in numbers.items():
        assert found.min() >= low - 1e-6 and found.max() <= high + 1e-6, name
        quarters = np.histogram(found, 4, (low, high))[0] / count
        np.testing.assert_allclose(quarters, 0.25, atol=0.02, err_msg=name)  # 6 standard deviations
    correlations = np.corrcoef([found.ravel() for found, _, _ in numbers.values()])
    assert np.abs(correlations - np.eye(len(numbers))).max() < 0.05


def test_with_a_probability_each_change_happens_to_that_part_of_the_images_and_the_others_stay_as_they_are():
    settings, count = Augmentation(**PAPER, probability=0.7), 20000
    augmenter = Augmenter(settings, (count,))
    drawn = augmenter.draw(count, np.random.default_rng(0))
    weights, of_mean, added = (each.reshape((count, -1)) for each in drawn.colour)
    down, right = drawn.translation
    happened = [
        added[:, 0] != 0,
        weights[:, 1] != 0,
        of_mean[:, 0] != 0,
        (down != 0.5) | (right != 0.5),
        drawn.cutout[2] == 1,
    ]
    np.testing.assert_allclose(np.mean(happened, 1), 0.7, atol=0.02)  # 6 standard deviations
    assert np.abs(np.corrcoef(happened) - np.eye(5)).max() < 0.05
    images = normal(count, 3, 8, 8)
    same = (augmenter(Tensor(images), on_device(drawn)).asnumpy() == images).all((1, 2, 3))
    untouched = ~np.any(happened, 0)
    assert untouched.sum() > 10 and same[untouched].all(), "about 0.3 to the fifth power of all"
    assert same.mean() < 0.02


def test_a_probability_of_1_draws_what_was_drawn_before_there_was_one():
    settings, shape = Augmentation(**PAPER), (3, 5, 1)
    drawn = Augmenter(settings, (5,)).draw(5, np.random.default_rng(2))
    stream = np.random.default_rng(2)
    colours, moves, cuts = (stream.random(each, dtype=np.float32) for each in (shape, (2, 5), (2, 5)))
    brightness, saturation, contrast = 2 * colours - 1
    saturation, contrast = 1 + settings.saturation * saturation, 1 + settings.contrast * contrast
    expected = np.hstack((contrast * saturation, contrast * (1 - saturation))), 1 - contrast, 0.5 * brightness
    for ours, theirs in zip(drawn.colour, expected):
        assert np.array_equal(ours, theirs)
    for ours, theirs in zip((*drawn.translation, *drawn.cutout[:2]), (*moves, *cuts)):
        assert np.array_equal(ours, theirs)


@pytest.mark.parametrize("probability", [1, 0.5])
def test_changes_are_float32(probability):
    drawn = Augmenter(Augmentation(**PAPER, probability=probability), (5,)).draw(5, np.random.default_rng(2))
    assert {each.dtype for each in all_arrays(drawn)} == {np.dtype("float32")}


def all_arrays(changes):
    return [each for part in changes for each in part]


@pytest.mark.parametrize(
    "name, counts, changed",
    [
        ("mlp", (16, 8, 0), ()),
        ("mlp", (16, 8, 8), ("updates.loss=relativistic",)),
        ("mlp", (16, 16, 8, 0), ("updates.discriminator_steps=2",)),
        ("keras_mlp", (8, 8, 0), ()),
        ("rpgan", (16, 8, 8), ()),
        ("cvae_gan", (24, 16), ()),
    ],
)
def test_each_image_that_d_sees_has_changes_of_its_own(name, counts, changed):
    """Those without augmentation stay, in the same order: the changes are drawn after them."""
    step, plain = (step_of(name, *FAMILIES[name], *changed, *more) for more in (ALL, ()))
    noise = step.draw_noise(random_stream(1, "step"))
    for ours, theirs in zip(flattened(noise.plain), flattened(plain.draw_noise(random_stream(1, "step")))):
        assert np.array_equal(ours, theirs)
    assert tuple(len(changes) and len(changes.colour[0]) for changes in noise.changes) == counts
    seen = [changes for changes in noise.changes if changes]
    for arrays in list(zip(*map(all_arrays, seen)))[:-1]:  # the last one says of each image that it has a hole
        rows = np.concatenate([each.reshape((len(each), -1)) for each in arrays])
        assert len(np.unique(rows, axis=0)) == len(rows) == sum(counts)


def flattened(noise):
    return [each for part in noise for each in flattened(part)] if isinstance(noise, tuple) else [noise]


def test_without_settings_nothing_is_drawn_and_nothing_changed():
    augmenter, plain = Augmenter(Augmentation(), (4,)), (np.zeros(3),)
    assert augmenter.with_changes(plain, None) is plain
    assert augmenter.parted(plain) == (plain, ((),))
    images = Tensor(normal(4, 1, 8, 8))
    assert augmenter(images, ()) is images and augmenter.together((images,), ())[0] is images


def test_the_same_noise_gives_the_same_bytes_and_other_changes_do_not():
    def trained(changes_from):
        step, found = step_of("rpgan", *FAMILIES["rpgan"], *ALL), []
        for number in range(3):
            noise = step.draw_noise(random_stream(1, "step", number))
            other = step.draw_noise(random_stream(changes_from, "step", number))
            noise = noise._replace(changes=other.changes)
            found.append(step(on_device((np.arange(8, dtype=np.int32),)), on_device(noise)).asnumpy().tobytes())
        return found + [parameter.asnumpy().tobytes() for parameter in step.get_parameters()]

    first, again, other = trained(1), trained(1), trained(2)
    assert first == again != other


# Whole updates of D and G, worked out in double precision on images of one pixel, which only brightness changes.


def brighter(changes):
    return np.float64(changes.colour[2].ravel())


BRIGHT = Augmentation(brightness=0.7)


CURVED = {"p": 0.5, "q": -0.4}


class Curved(procedures.StandIn, procedures.DiscriminatorBase):
    """D: p·x² + q·x, whose slope depends on the image."""

    def __init__(self):
        super().__init__("discriminator", CURVED)

    def construct(self, images):
        x = images.reshape((-1, 1))
        return self.p * x * x + self.q * x


def score(n, x):
    return n["p"] * x**2 + n["q"] * x


def pairing(real, fake):
    """The loss of the player who wants the first of each pair of logits to be the higher one."""
    return np.mean(-np.log(sigmoid(real - fake)))


def test_the_update_of_a_gan_sees_changed_images_alone():
    """The relativistic loss shows D real images in G's update, too."""
    changed = {"loss": "relativistic", "augmentation": BRIGHT}
    step, settings = procedures.make_step("mlp", discriminator=Curved(), **changed)
    g, d = Player(START["g"], settings, [0]), Player(CURVED, settings, [0])
    for noise, indices in draws(step):
        real, z = IMAGES[indices].astype(np.float64), flat(noise.plain.discriminator[0].inputs[0])
        of_d, of_g, of_real = map(brighter, noise.changes)
        shown = real + of_d[: len(real)], image(g.numbers, z, 0, True) + of_d[len(real) :]

        def loss_g(n):
            return pairing(score(d.numbers, image(n, z, 0, True) + of_g), score(d.numbers, real + of_real))

        expected = {"accuracy_pairs": np.mean(score(d.numbers, shown[0]) > score(d.numbers, shown[1]))}
        expected["loss_d"] = d.update(lambda n: pairing(score(n, shown[0]), score(n, shown[1])))
        expected["loss_g"] = g.update(loss_g)
        assert_scalars(step, noise, indices, expected)
    assert max(assert_weights(step.generator, g, START["g"]), assert_weights(step.discriminator, d, CURVED)) > 0.05


def test_the_update_of_rpgan_sees_changed_images_alone_and_penalises_slopes_at_them():
    settings = dataclasses.replace(recipes.load("rpgan").optimizers["generator"], learning_rate=RATE)
    networks = {"generator": procedures.Generator(), "discriminator": Curved()}
    optimizers = {name: adam(network, f"o_{name}", settings) for name, network in networks.items()}
    parts = StepParts(procedures.Data(), networks, optimizers, Latent(size=1), 0, procedures.BATCH)
    step = RpGANStep(parts, RpGANUpdates(gamma=1.5, penalised=2, augmentation=BRIGHT))
    g, d = Player(START["g"], settings, [0]), Player(CURVED, settings, [0])

    for noise, indices in draws(step):
        real, z = IMAGES[indices].astype(np.float64), flat(noise.plain.latents)
        of_d, of_real, of_g = map(brighter, noise.changes)
        shown = real + of_d[: len(real)], image(g.numbers, z, 0, True) + of_d[len(real) :]

        def loss_d(n):
            return pairing(score(n, shown[0]), score(n, shown[1])), *(
                np.mean((2 * n["p"] * x[:2] + n["q"]) ** 2) for x in shown
            )

        def loss_g(n):
            return pairing(score(d.numbers, image(n, z, 0, True) + of_g), score(d.numbers, real + of_real))

        expected = dict(zip(("loss_d", "penalty_real", "penalty_fake"), loss_d(d.numbers)))
        expected["accuracy_pairs"] = np.mean(score(d.numbers, shown[0]) > score(d.numbers, shown[1]))
        d.update(lambda n: loss_d(n)[0] + 0.75 * sum(loss_d(n)[1:]))
        expected["loss_g"] = g.update(loss_g)
        assert_scalars(step, noise, indices, expected, rel=3e-4)
    assert max(assert_weights(step.generator, g, START["g"]), assert_weights(step.discriminator, d, CURVED)) > 0.05


@pytest.mark.parametrize("name", ["mlp", "rpgan", "keras_mlp"])
def test_g_draws_as_often_as_without_changes(name):
    """BatchNorm's moving statistics tell: they would advance further."""
    found = []
    for more in (ALL, ()):
        step = step_of(name, *FAMILIES[name], *more)
        noise, batch = step.draw_noise(random_stream(1, "step")), np.arange(step.images_per_step, dtype=np.int32)
        step(on_device(step.data.inputs(batch)), on_device(noise))
        parameters = step.generator.get_parameters()
        found.append(np.concatenate([each.asnumpy() for each in parameters if "moving" in each.name]))
    np.testing.assert_allclose(*found, rtol=0, atol=1e-6)


FROZEN = tuple(f"optimizer_{name}.learning_rate=0" for name in ("encoder", "generator", "discriminator"))


def test_d_of_cvae_gan_sees_changed_images_and_reconstructions_are_compared_as_they_are():
    step = step_of("cvae_gan", *FAMILIES["cvae_gan"], *FROZEN, *ALL)
    plain = step_of("cvae_gan", *FAMILIES["cvae_gan"], *FROZEN)
    noise, batch = step.draw_noise(random_stream(1, "step")), step.data.inputs(np.arange(8, dtype=np.int32))
    found, without = (
        dict(zip(one.scalars, one(on_device(batch), on_device(of)).asnumpy()))
        for one, of in ((step, noise), (plain, noise.plain))
    )
    for name in ("loss_reconstruction", "loss_kl"):
        assert found[name] == without[name]
    for name in ("loss_d", "loss_g", "penalty_real"):
        assert abs(found[name] - without[name]) > 1e-6, name

    real, label = step.data(*map(Tensor, batch)), step.labels_of(tuple(map(Tensor, batch)))
    encoded = step.autoencoder.encode(real, label, Tensor(noise.plain.epsilon))[0]
    drawn = [step.generator(latent, *label) for latent in (encoded, Tensor(noise.plain.latents))]
    images = np.concatenate([each.asnumpy() for each in (real, *drawn)])
    settings = Augmentation(**PAPER)
    of_d = step.discriminator(Tensor(np.float32(augmented(images, noise.changes[0], settings)))).asnumpy()
    of_g = step.discriminator(Tensor(np.float32(augmented(images[8:], noise.changes[1], settings)))).asnumpy()
    expected = np.log1p(np.exp(-of_d[:8])).mean() + sum(np.log1p(np.exp(of_d[n : n + 8])).mean() for n in (8, 16))
    assert found["loss_d"] == pytest.approx(expected, abs=1e-5)
    assert found["loss_g"] == pytest.approx(np.log1p(np.exp(-of_g)).mean(), abs=1e-5)


@pytest.mark.parametrize(
    "name", [name if name in ("mlp", "cvae_gan") else pytest.param(name, marks=pytest.mark.slow) for name in FAMILIES]
)
@pytest.mark.parametrize("player, still", [("discriminator", "generator"), ("generator", "discriminator")])
def test_each_player_learns_through_all_changes(player, still, name):
    """While the other one stands still, from the same images with the same changes again and again."""
    rates = (f"optimizer_{still}.learning_rate=0", f"optimizer_{player}.learning_rate=3e-3")
    alone = ("updates.reconstruction_weight=0",) if name == "cvae_gan" else ()  # what D says is all that G wants
    step = step_of(name, *FAMILIES[name], *ALL, *rates, *alone)
    batch = on_device(step.data.inputs(np.arange(step.images_per_step, dtype=np.int32)))
    noise = on_device(step.draw_noise(random_stream(1, "step")))
    losses = []
    for _ in range(20):
        found = dict(zip(step.scalars, step(batch, noise).asnumpy()))
        assert np.isfinite(list(found.values())).all()
        losses.append(sum(value for key, value in found.items() if key.startswith(f"loss_{player[0]}")))
    assert losses[-1] < losses[10] < losses[0], losses


@pytest.mark.parametrize("name", ["keras_mlp", "cvae_gan"])
def test_a_pretraining_takes_the_noise_of_a_step_with_changes(name):
    """That of an autoencoder does not look at the changes; that of D does."""
    found = []
    for more in (ALL, ()):
        step = step_of(name, *FAMILIES[name], "updates.pretraining_steps=1", *more)
        noise, batch = step.draw_noise(random_stream(1, "preparation")), np.arange(step.images_per_step, dtype=np.int32)
        found.append(step.pretraining()(on_device(step.data.inputs(batch)), on_device(noise)).asnumpy())
    assert np.isfinite(found).all() and np.array_equal(*found) == (name == "cvae_gan")


def test_a_killed_run_with_all_changes_resumes_to_the_same_bytes(tmp_path):
    data = write_mnist(tmp_path / "mnist", 56)
    some = "updates.augmentation.probability=0.5"
    settings = options((*MLP, "schedule.steps_per_epoch=10", "ema.decay=0.9", *ALL, some))
    command = ("train", "--recipe", "rpgan", "--dataset", "mnist", "--data-path", data, "--batch-size", 8, *settings)
    run_folder = tmp_path / "killed" / "rpgan" / "1"
    process = start(*command, "--steps", ENDLESS, "--output-dir", tmp_path / "killed")
    kill_when(lambda: steps_saved(run_folder) >= 20, process)
    steps = steps_to_resume_to(run_folder, 45)
    here("train", "--resume", run_folder, "--steps", steps)
    here(*command, "--steps", steps, "--output-dir", tmp_path / "undisturbed")
    assert result(run_folder, steps) == result(tmp_path / "undisturbed" / "rpgan" / "1", steps)


@pytest.mark.parametrize(
    "assignment, said",
    [
        ("brightness=-0.1", "updates.augmentation.brightness must be a number of at least 0, not -0.1"),
        ("saturation=1.5", "updates.augmentation.saturation must be a number of at least 0 and of at most 1, not 1.5"),
        ("contrast=much", "updates.augmentation.contrast must be a number of at least 0 and of at most 1, not 'much'"),
        ("translation=1", "updates.augmentation.translation must be a number of at least 0 and below 1, not 1.0"),
        ("cutout=16", "updates.augmentation.cutout must be a number of at least 0 and below 1, not 16.0"),
        ("probability=0", "updates.augmentation.probability must be a number above 0 and of at most 1, not 0.0"),
        ("colour=1", "has no setting 'updates.augmentation.colour'"),
    ],
)
@pytest.mark.parametrize("name", ["mlp", "acgan", "rpgan", "cvae_gan"])
def test_a_wrong_setting_is_refused_by_name(name, assignment, said):
    assert said in refused(recipes.override, recipes.load(name), [f"updates.augmentation.{assignment}"])
