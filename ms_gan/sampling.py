"""From latents to images. An image has the same bits, whatever else is drawn with it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Callable, NamedTuple, Protocol

import numpy as np

from ms_gan.errors import Setting, UserError, shown
from ms_gan.labels import LabelNames
from ms_gan.latents import draw_latents
from ms_gan.randomness import random_stream
from ms_gan.schema.fields import Rule
from ms_gan.schema.recipe import Latent

CHUNK = 16  # always one shape: so an image has the same bits, however many are drawn with it
LARGE = 128  # rows at once, for models that give a row the same bits among LARGE rows as among CHUNK
DRAWN_AT_ONCE = 1024  # images, by draw_bytes
COUNTS, SEEDS = Rule("whole", least=1, most=2**31 - 1), Rule("whole", least=0, most=2**32 - 1)

# latents, float32 (N, size), and for a conditional generator labels, int32, (N,) or (N, max_tags)
Inputs = tuple[np.ndarray, ...]
SAMPLE = "sample"  # the purpose of the random numbers of latents
Draw = Callable[[Inputs], np.ndarray]  # to images, float32 in [0, 1], N×C×H×W


def seeded_inputs(latent: Latent, count: int, seed: int, labels: np.ndarray | None = None) -> Inputs:
    """Return `count` latents drawn from the seed, the same ones in every picture, followed by the labels, if any.

    Raises ValueError unless there are `count` labels.
    """
    latents = draw_latents(latent.distribution, count, latent.size, random_stream(seed, SAMPLE))
    if labels is None:
        return (latents,)
    if len(labels) != count:
        raise ValueError(f"{len(labels)} labels for {count} latents")
    return latents, np.asarray(labels, np.int32)


def seeded_chunks(
    latent: Latent, count: int, seed: int, labels: np.ndarray | None = None, rows: int = LARGE
) -> Iterator[Inputs]:
    """Yield what `seeded_inputs` returns, `rows` at a time, to save memory; labels are repeated, in turn."""
    stream = random_stream(seed, SAMPLE)
    counts = (min(rows, count - start) for start in range(0, count, rows))
    yield from with_labels((draw_latents(latent.distribution, here, latent.size, stream) for here in counts), labels)


def with_labels(chunks: Iterable[np.ndarray], labels: np.ndarray | None) -> Iterator[Inputs]:
    """Yield a generator's inputs for latents that come some at a time; labels, if any, are repeated, in turn."""
    start = 0
    for latents in chunks:
        if labels is None:
            yield (latents,)
        else:
            yield latents, in_turn(np.asarray(labels, np.int32), len(latents), start)
        start += len(latents)


def in_turn(labels: np.ndarray, count: int, start: int = 0) -> np.ndarray:
    """Return `count` labels, (count,) or (count, max_tags): the given ones over and over, from number `start` on."""
    return labels[np.arange(start, start + count) % len(labels)]


def truncated(latents: np.ndarray, share: float, clusters: int | None = None) -> np.ndarray:
    """Return latents, float32 (N, size), scaled by `share`, in (0, 1]: images become more typical, and more alike.

    It is StyleGAN's truncation (Karras et al. 2019), applied to z, whose mean is 0. BigGAN's is another: it draws the
    numbers beyond a threshold anew. With `clusters` the first number, which chooses a cluster, stays as it is.
    """
    if share == 1:
        return latents
    nearer = latents * np.float32(share)
    if clusters:
        nearer[:, 0] = latents[:, 0]
    return nearer


def require_finite(images: np.ndarray, what: str, things: str = "images") -> None:
    """Raise UserError if images, or other `things`, hold a NaN or an infinity. `what` made them: "the generator"."""
    if not np.isfinite(images).all():
        raise UserError(
            f"{what} gives {things} with numbers that are not finite: its weights are so large that sums "
            f"overflow, as after training that diverged",
            "use an earlier checkpoint",
        )


def draw_images(generator: Callable, inputs: Inputs) -> np.ndarray:
    """Run a generator, a Cell, on its inputs; return its images, float32, N×C×H×W."""
    return in_chunks(on_arrays(generator), inputs)[0]


def draw_bytes(draw: Draw, latent: Latent, count: int, seed: int, labels: np.ndarray | None = None) -> np.ndarray:
    """Return the images of `seeded_chunks`, rounded to uint8, N×C×H×W. Raises UserError for numbers not finite."""
    chunks = seeded_chunks(latent, count, seed, labels, DRAWN_AT_ONCE)  # float32 takes four times the memory
    return np.concatenate([as_bytes(draw(inputs)) for inputs in chunks])


def as_bytes(images: np.ndarray) -> np.ndarray:
    """Return images, float32 in [0, 1], as uint8. Raises UserError for numbers that are not finite."""
    require_finite(images, "the generator")
    return np.rint(images * 255).astype(np.uint8)


def require_one_each(labels: int, count: int) -> None:
    """Raise UserError for more labels that were named than images: some would be left out."""
    if labels > count:
        raise UserError(f"{labels} labels were named, and {count} images asked for", "name at most one for each image")


class Sampler(Protocol):
    """What draws images for a person: a trained model, or an exported bundle."""

    @property
    def name(self) -> str:
        """What it is called in errors."""

    @property
    def latent(self) -> Latent:
        """What its latents are."""

    @property
    def label_names(self) -> LabelNames | None:
        """The names of a conditional generator's labels; None for a generator without labels."""

    def draw(self, inputs: Inputs) -> np.ndarray:
        """Return the images of the generator's inputs, float32 in [0, 1], N×C×H×W."""

    def sample(self, count: int, seed: int = 1, labels: str | int | Sequence[object] | None = None) -> np.ndarray:
        """Return `count` images, uint8, N×H×W if grey, else N×C×H×W. They do not depend on what else is drawn.

        Args:
            count: how many images, from 1.
            seed: of the latents, from 0 to 2³² − 1.
            labels: the names of what to draw, in turn; by default each class or tag in turn. A text names one class, or
                tags joined by commas; a whole number names one class by its name. Only for a conditional model.

        Raises:
            UserError: for a label that the model does not have, and for a count or a seed out of range.
        """
        for name, value, rule in (("count", count, COUNTS), ("seed", seed, SEEDS)):
            fault = rule.fault(value)
            if fault:
                raise UserError(f"{name} must be {fault}, not {shown(value)}")
        if isinstance(labels, (str, int, np.integer)):  # classes without names are called by their numbers
            labels = [labels]
        asked = list(() if labels is None else labels)
        numbers = None
        if self.label_names is not None:
            numbers = self.label_names.chosen([str(label) for label in asked])
            require_one_each(len(asked), count)
        elif asked:
            raise UserError(f"{self.name} takes no labels", "leave out ", Setting("labels"))
        images = draw_bytes(self.draw, self.latent, count, seed, numbers)
        return images[:, 0] if images.shape[1] == 1 else images


def on_arrays(network: Callable) -> Callable[..., tuple[np.ndarray, ...]]:
    """Return a network, a Cell, as a function from arrays to a tuple of arrays."""
    import mindspore as ms  # a server of ONNX goes without

    def run(*arrays: np.ndarray) -> tuple[np.ndarray, ...]:
        outputs = network(*map(ms.Tensor, arrays))
        return tuple(output.asnumpy() for output in (outputs if isinstance(outputs, tuple) else (outputs,)))

    return run


def in_chunks(
    run: Callable[..., tuple[np.ndarray, ...]], inputs: Inputs, rows: int = CHUNK, least: int | None = None
) -> tuple[np.ndarray, ...]:
    """Run a function of arrays on its inputs, `rows` at a time, and return its outputs for all rows.

    The last inputs are padded with zeros to `least` rows, by default to `rows`, so that the function always sees arrays
    of one shape.
    """
    chunks = []
    for start in range(0, len(inputs[0]), rows):
        chunk = [array[start : start + rows] for array in inputs]
        missing = max(0, (least or rows) - len(chunk[0]))
        padded = [np.pad(array, [(0, missing)] + [(0, 0)] * (array.ndim - 1)) if missing else array for array in chunk]
        chunks.append([output[: len(chunk[0])] for output in run(*padded)])
    return tuple(parts[0] if len(parts) == 1 else np.concatenate(parts) for parts in zip(*chunks))


class Rows(NamedTuple):
    """How many rows a model may compute at once, so that each has the bits that it has among CHUNK rows."""

    most: int = CHUNK
    least: int = CHUNK


def rows_at_once(run: Callable[..., tuple[np.ndarray, ...]], inputs: Inputs) -> Rows:
    """Find out with LARGE rows of example inputs how many rows a model may compute at once.

    Matrix kernels may add up in another order for few rows than for many: MindSpore's do below 16, onnxruntime's did
    not at any number from 1 to 256.
    """
    expected = in_chunks(run, inputs)

    def equal(count: int) -> bool:
        found = run(*(array[:count] for array in inputs))
        return all(np.array_equal(some, all_[:count]) for some, all_ in zip(found, expected))

    most = LARGE if all(map(equal, (CHUNK + 1, 37, LARGE))) else CHUNK
    return Rows(most, 1 if all(map(equal, range(1, CHUNK))) else CHUNK)
