"""How good generated images are: pure functions of arrays, each with its formula, its source and its bias.

"Features" are a judge's: float32 or float64, (N, dimensions). "Images" are uint8, or float32 in [0, 1], (N, …), and are
compared pixel by pixel in [0, 1]. Nothing here draws, trains or reads a file. Distances are computed in blocks, by
float32 matrix products, so memory does not grow with the square of N.

Most of these numbers depend on the number of images; those of features and classes also on the judge. So a score's name
says what it was computed from: fd_10k_test.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from ms_gan.data.storage import let_go

BLOCK = 1000  # rows whose distances are taken at once
GROUP = 16  # columns whose least number is found at once
NEIGHBOURS = 5
NOTHING = 1e-5  # of the features' variance: distances below are rounding, of features in float32
NO_RATIO = "all real images are alike (the Fréchet distance between them is 0), so the ratio is undefined"
LUMINANCE = np.array((0.299, 0.587, 0.114), np.float32)  # of red, green and blue
SIGMAS = tuple(np.logspace(-1, 0, 10))


def of_count(count: int) -> str:
    """Return a count as it is written in a score's name: 10k for 10,000, 1500 for 1,500."""
    return f"{count // 1000}k" if count and count % 1000 == 0 else str(count)


class Moments(NamedTuple):
    """What a Fréchet distance needs of features: mean, float64 (D,), and unbiased covariance, float64 (D, D)."""

    mean: np.ndarray
    covariance: np.ndarray


def moments(features: np.ndarray) -> Moments:
    """Return the moments of features, (N, dimensions), N at least 2; the covariance is the unbiased one, over N − 1."""
    if len(features) < 2:
        raise ValueError(f"a covariance needs at least 2 images, not {len(features)}")
    features = features.astype(np.float64)
    mean = features.mean(0)
    centred = features - mean
    return Moments(mean, centred.T @ centred / (len(features) - 1))


def frechet_distance(first: Moments, second: Moments) -> float:
    """Return |m₁ − m₂|² + Tr(C₁ + C₂ − 2 (C₁C₂)^½) (Heusel et al. 2017, equation 6; Dowson and Landau 1982).

    Tr (C₁C₂)^½ = Σ √λ of the symmetric C₁^½ C₂ C₁^½, λ clipped at 0: no root of an unsymmetric matrix is needed.
    0 for equal moments. Biased upwards: two samples of N from one normal distribution with d dimensions and unit
    variances score about 2d/N + d(d + 1)/(2N), so only distances of equal N compare; hence the ratio to real
    against real.
    """
    values, vectors = np.linalg.eigh(first.covariance)
    root = (vectors * np.sqrt(np.clip(values, 0, None))) @ vectors.T
    inner = np.linalg.eigvalsh(root @ second.covariance @ root)
    difference = first.mean - second.mean
    distance = (
        difference @ difference
        + np.trace(first.covariance)
        + np.trace(second.covariance)
        - 2 * np.sqrt(np.clip(inner, 0, None)).sum()
    )
    return max(0.0, float(distance))  # rounding may give -1e-12


def distance_ratio(distance: float, of_real: float, reference: Moments) -> float | None:
    """Return a Fréchet distance divided by `of_real`, the distance of real images to the same `reference`.

    None, and NO_RATIO says why, if `of_real` could be rounding alone: below NOTHING times the variance plus the squared
    mean of the reference. This happens if the real images are copies of each other.
    """
    scale = float(np.trace(reference.covariance) + reference.mean @ reference.mean)
    return distance / of_real if of_real > NOTHING * scale else None


def precision_recall_density_coverage(
    real: np.ndarray, generated: np.ndarray, neighbours: int = NEIGHBOURS
) -> dict[str, float]:
    """Return how far generated features are among the real ones, and the real ones among the generated.

    With B(x) the ball about x that reaches to its k-th nearest neighbour in its own set, k = `neighbours`:
    precision, the share of generated in some B(real), and recall, the share of real in some B(generated)
    (Kynkäänniemi et al. 2019); density, how many B(real) hold a generated, over k, and coverage, the share of B(real)
    that hold any generated (Naeem et al. 2020, equations 4 and 6). Features: (N, dimensions) and (M, dimensions), both
    with more than k rows.

    For N = M samples of one distribution density is 1 in expectation and coverage about 1 − 2^−k, .969 for k = 5,
    whatever N; precision and recall, equal by symmetry, are near .95 and hardly depended on N in
    trials, but there is no formula. None of this holds for two distributions that differ.
    """
    if min(len(real), len(generated)) <= neighbours:
        raise ValueError(f"{neighbours} neighbours need more than {neighbours} images of each kind")
    centre = real.mean(0, dtype=np.float64)  # small numbers, so that float32 loses little
    real, generated = ((features - centre).astype(np.float32) for features in (real, generated))
    real_reach, generated_reach = (_reach(features, neighbours) for features in (real, generated))
    held_by = np.zeros(len(generated), np.int64)  # in how many B(real) each generated one lies
    recalled = np.zeros(len(real), bool)
    covered = np.zeros(len(real), bool)
    for rows, distances in _distances(real, generated):
        inside = distances < real_reach[rows, None]
        held_by += inside.sum(0)
        covered[rows] = inside.any(1)
        recalled[rows] = (distances < generated_reach).any(1)
    return {
        "precision": float((held_by > 0).mean()),
        "recall": float(recalled.mean()),
        "density": float(held_by.mean() / neighbours),
        "coverage": float(covered.mean()),
    }


def class_accuracy(read: np.ndarray, wanted: np.ndarray, classes: int) -> float:
    """Return the share of images in which a judge reads the class that was asked for: the mean over the classes.

    `read`, `wanted`: int, (N,). Unbiased in N. The judge's own errors are part of it.
    """
    shares = [np.mean(read[wanted == number] == number) for number in range(classes) if np.any(wanted == number)]
    return float(np.mean(shares))


def class_shares(read: np.ndarray, classes: int) -> tuple[float, ...]:
    """Return the share of images that a judge reads as each class; `read`: int, (N,)."""
    return tuple(float(share) for share in np.bincount(read, minlength=classes) / len(read))


def tag_indicators(labels: np.ndarray, tags: int) -> np.ndarray:
    """Return which of so many tags each image has, bool (N, tags), of labels as ImageData has them: (N, max_tags)."""
    has = np.zeros((len(labels), tags + 1), bool)
    np.put_along_axis(has, labels.astype(np.int64), True, 1)
    return has[:, 1:]


def average_precision(scores: np.ndarray, has: np.ndarray) -> float:
    """Return how well scores, (N,), put the images that have a tag, `has`, bool (N,), before all others.

    Σ (Rₖ − Rₖ₋₁) Pₖ over the different scores, the highest first, where Rₖ is the share of the images with the tag that
    score at least the k-th, and Pₖ the share of images with the tag among those that do (Manning et al. 2008, section
    8.4, there without ties; equal scores come in together). 1 if all images with the tag are before the others; for
    random scores about the share of images with the tag, and more where these are few. NaN if no image has it, or all.
    """
    if has.all() or not has.any():
        return float("nan")
    order = np.argsort(-scores, kind="stable")
    last_of_equals = np.append(np.flatnonzero(np.diff(scores[order])), len(order) - 1)
    found = np.cumsum(has[order])[last_of_equals]
    return float(np.sum(np.diff(found, prepend=0) / found[-1] * found / (last_of_equals + 1)))


def average_precisions(scores: np.ndarray, has: np.ndarray) -> np.ndarray:
    """Return the average precision of each tag, float64 (tags,), NaN where no image has it; both (N, tags)."""
    return np.array([average_precision(of_tag, has_it) for of_tag, has_it in zip(scores.T, has.T)])


def single_tag_shares(read: np.ndarray, has: np.ndarray) -> np.ndarray:
    """Return, of the images that have one tag alone, the share in which it is read: float64 (tags,), NaN without any.

    `read`, `has`: bool (N, tags). Other tags that are read in them do not count.
    """
    alone = has & (has.sum(1) == 1)[:, None]
    with np.errstate(invalid="ignore"):
        return (read & alone).sum(0) / alone.sum(0)


def luminance(images: np.ndarray) -> np.ndarray:
    """Return the luminance of images, N×C×H×W: float32 in [0, 1], N×H×W.

    Three channels are RGB, whose luminance is .299 R + .587 G + .114 B (ITU-R BT.601); of others it is the mean.
    """
    pixels = np.float32(images) / 255 if images.dtype == np.uint8 else np.float32(images)
    return np.tensordot(pixels, LUMINANCE, (1, 0)) if images.shape[1] == 3 else pixels.mean(1)


def sharpness(images: np.ndarray) -> float:
    """Return the mean over images, N×C×H×W, of the variance of the Laplacian of an image's luminance.

    A measure of focus (Pech-Pacheco et al. 2000): blur lowers it, noise raises it. The Laplacian is the sum of a
    pixel's four neighbours minus four times itself, borders repeated. Pixels in [0, 1]. Unbiased in N.
    """
    variances = []
    for start in range(0, len(images), BLOCK):
        grey = np.pad(luminance(images[start : start + BLOCK]), ((0, 0), (1, 1), (1, 1)), "edge")
        neighbours = grey[:, :-2, 1:-1] + grey[:, 2:, 1:-1] + grey[:, 1:-1, :-2] + grey[:, 1:-1, 2:]
        variances.append((neighbours - 4 * grey[:, 1:-1, 1:-1]).var((1, 2), dtype=np.float64))
    return float(np.concatenate(variances).mean())


def mode_coverage(read: np.ndarray, modes: int) -> dict[str, float]:
    """Return how many modes are found, and how evenly; `read`: int, (N,), the mode of each sample, from 0.

    `modes`: those with at least one sample. `kl`: KL(share of samples in each mode ‖ uniform) in nats, Σ p log(p·modes)
    (Metz et al. 2017; Lin et al. 2018). Biased upwards by about (modes − 1)/2N: for 1,000 modes and 26,000 samples a
    perfect sampler scores .019.
    """
    shares = np.bincount(read, minlength=modes) / len(read)
    found = shares[shares > 0]
    return {"modes": float(len(found)), "kl": float((found * np.log(found * modes)).sum())}


def nearest(queries: np.ndarray, references: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return each query image's Euclidean distance to its nearest reference, float32 (N,), and its index, int64 (N,).

    Pixels are compared in [0, 1], images of any equal shape. Between equally near ones, float32 rounding decides.
    """
    least = np.full(len(queries), np.inf, np.float32)
    index = np.zeros(len(queries), np.int64)
    for start, rows, distances in _distances_of_images(queries, references):
        best = distances.argmin(1)
        value = distances[np.arange(len(best)), best]
        nearer = value < least[rows]
        least[rows] = np.where(nearer, value, least[rows])
        index[rows] = np.where(nearer, start + best, index[rows])
    return np.sqrt(least), index


def memorisation(distances: np.ndarray) -> dict[str, float]:
    """Summarise distances of generated images to their nearest training image, (N,): copies are near 0.

    The median, the 1st percentile, and the share below 1, which for 28×28 looks like a copy. The distances fall with
    the number of training images; compare them with those of unseen real images.
    """
    return {
        "median": float(np.median(distances)),
        "percentile_1": float(np.percentile(distances, 1)),
        "share_below_1": float((distances < 1).mean()),
    }


def parzen_log_likelihood(
    samples: np.ndarray, validation: np.ndarray, test: np.ndarray, sigmas: Sequence[float] = SIGMAS
) -> dict[str, float]:
    """Return the mean log-density, in nats, of test images under Gaussians of one width about the samples.

    log p(x) = log (1/M) Σⱼ N(x; sampleⱼ, σ² I) (Goodfellow et al. 2014, section 5; Breuleux et al. 2009), pixels in
    [0, 1], with the one of `sigmas` that gives the validation images the highest value. Also this `sigma`, and
    `error`, the standard error over the test images.

    Rises with the number of samples, and rewards blur: others may score more than real images (Theis et al. 2016).
    """
    by_sigma = _mean_log_densities(samples, validation, sigmas).mean(1)
    sigma = float(sigmas[int(by_sigma.argmax())])
    of_each = _mean_log_densities(samples, test, [sigma])[0]
    error = of_each.std(ddof=1) / np.sqrt(len(of_each)) if len(of_each) > 1 else 0.0
    return {"log_likelihood": float(of_each.mean()), "error": float(error), "sigma": sigma}


def one_nearest_neighbour_error(
    samples: np.ndarray, labels: np.ndarray, test: np.ndarray, test_labels: np.ndarray
) -> float:
    """Return the share of test images whose nearest sample, by pixels, has another class (Radford et al. 2016).

    Images of any equal shape; labels int, (M,) and (N,). Falls as there are more samples.
    """
    return float(np.mean(labels[nearest(test, samples)[1]] != test_labels))


def equilibrium(real_logits: np.ndarray, generated_logits: np.ndarray, threshold: float = 0.0) -> dict[str, float]:
    """Return how well a discriminator separates images it was not trained on, from its logits, (N,) or (N, 1).

    `accuracy_real`, `accuracy_generated`: the share of each kind that it classifies correctly; real is above the
    `threshold`. `accuracy_pairs`: the share of all pairs in which the real image has the higher logit; equal ones count
    half. `logit_spread_*`: the standard deviation of each kind's logits; `logit_gap`: the mean of the real ones' minus
    that of the others'. A D that has died has accuracies of .5 and .5, or 1 and 0, as at equilibrium, but a spread of
    0. Unbiased in N.
    """
    real, generated = (logits.astype(np.float64).ravel() for logits in (real_logits, generated_logits))
    ascending = np.sort(generated)
    below = (np.searchsorted(ascending, real, "left") + np.searchsorted(ascending, real, "right")) / 2
    return {
        "accuracy_real": float((real > threshold).mean()),
        "accuracy_generated": float((generated < threshold).mean()),
        "accuracy_pairs": float(below.mean() / len(generated)),
        "logit_spread_real": float(real.std()),
        "logit_spread_generated": float(generated.std()),
        "logit_gap": float(real.mean() - generated.mean()),
    }


def _pixels(images: np.ndarray, centre: np.ndarray) -> np.ndarray:
    """Return images as vectors in [0, 1] from the centre, float32, (N, numbers)."""
    flat = images.reshape(len(images), -1)
    return (np.float32(flat) / 255 if flat.dtype == np.uint8 else np.float32(flat)) - centre


def _distances_of_images(first: np.ndarray, second: np.ndarray) -> Iterator[tuple[int, slice, np.ndarray]]:
    """Yield, for blocks of both, where that of `second` starts, the rows of `first`, and squared distances, float32."""
    block = 10 * BLOCK
    centre = _pixels(second[:block], np.zeros(1, np.float32)).mean(0)  # about it, float32 loses less
    for start in range(0, len(second), block):
        some = _pixels(second[start : start + block], centre)
        let_go(second)
        for rows, distances in _distances(first, some, centre):
            yield start, rows, distances


def _distances(first: np.ndarray, second: np.ndarray, centre=None) -> Iterator[tuple[slice, np.ndarray]]:
    """Yield, for blocks of `first`, which rows they are and their squared distances to `second`, float32.

    With a centre `first` are images, which `_pixels` brings to where `second` is; else both are float32 vectors.
    """
    second_squares = np.einsum("nd,nd->n", second, second)
    for start in range(0, len(first), BLOCK):
        rows = slice(start, min(start + BLOCK, len(first)))
        some = first[rows] if centre is None else _pixels(first[rows], centre)
        distances = some @ second.T
        distances *= -2
        distances += np.einsum("nd,nd->n", some, some)[:, None]
        distances += second_squares
        np.maximum(distances, 0, out=distances)
        yield rows, distances


def _reach(features: np.ndarray, neighbours: int) -> np.ndarray:
    """Return each row's squared distance to its k-th nearest other row."""
    found = [_smallest(distances, neighbours) for _, distances in _distances(features, features)]
    return np.concatenate(found)  # the row itself is the nearest, the one with the number 0


def _smallest(numbers: np.ndarray, place: int) -> np.ndarray:
    """Return in each row the number with `place` smaller ones, `np.partition(numbers, place)[:, place]`, but sooner.

    It lies in one of the `place` + 1 groups of columns with the smallest least numbers, or in the columns left over.
    """
    groups = numbers.shape[1] // GROUP
    if groups <= place + 1:
        return np.partition(numbers, place, axis=1)[:, place]
    grouped = numbers[:, : groups * GROUP].reshape(len(numbers), GROUP, groups)
    chosen = np.argpartition(grouped.min(1), place, axis=1)[:, : place + 1]
    candidates = np.take_along_axis(grouped, chosen[:, None], axis=2).reshape(len(numbers), -1)
    candidates = np.concatenate((candidates, numbers[:, groups * GROUP :]), axis=1)
    return np.partition(candidates, place, axis=1)[:, place]


def _mean_log_densities(samples: np.ndarray, images: np.ndarray, sigmas: Sequence[float]) -> np.ndarray:
    """Return log (1/M) Σⱼ N(x; sampleⱼ, σ² I) of each image for each sigma, float64, (sigmas, N)."""
    densities = np.full((len(sigmas), len(images)), -np.inf)
    for _, rows, distances in _distances_of_images(images, samples):
        least = distances.min(1)
        distances -= least[:, None]
        for number, sigma in enumerate(sigmas):
            sums = np.exp(distances * np.float32(-0.5 / sigma**2)).sum(1, dtype=np.float64)
            log_sums = np.log(sums) - 0.5 * least.astype(np.float64) / sigma**2
            densities[number, rows] = np.logaddexp(densities[number, rows], log_sums)
    dimensions = int(np.prod(images.shape[1:]))
    constants = 0.5 * dimensions * np.log(2 * np.pi * np.square(sigmas)) + np.log(len(samples))
    return densities - constants[:, None]
