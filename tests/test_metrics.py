"""Each metric against an existing library's value, against known answers, and for how it moves with sample size.

The recorded values were computed by other code on the very arrays of helpers/metric_arrays.py, as
benchmarks/other_libraries.py does again: scipy 1.17.1 (`linalg.sqrtm` in the formula as Heusel et al. publish it),
torch-fidelity 0.4.0 (`fid_statistics_to_metric`), prdc 0.2 (`compute_prdc`), scikit-learn 1.9.1
(`KernelDensity` with rtol=0 and leaf_size=1000, as with smaller leaves its sums leave some samples out;
`KNeighborsClassifier(1)`; `NearestNeighbors`), all with NumPy 1.26.4.
"""

from __future__ import annotations

import numpy as np
import pytest
from helpers.metric_arrays import GENERATED, REAL, draw_pixels, features

from ms_gan.evaluation import metrics
from ms_gan.evaluation.metrics import frechet_distance, moments, precision_recall_density_coverage


@pytest.fixture(scope="module")
def pixels():
    return draw_pixels()


def fd(first, second):
    return frechet_distance(moments(first), moments(second))


@pytest.mark.parametrize("recorded", [1.7176847253729646, 1.7176847253730045], ids=["scipy", "torch-fidelity"])
def test_the_frechet_distance_is_theirs(recorded):
    assert fd(REAL, GENERATED) == pytest.approx(recorded, rel=1e-9)


@pytest.mark.parametrize(
    "neighbours, precision, recall, density, coverage",
    [
        (5, 0.9758333333333333, 0.8913333333333333, 1.2088333333333334, 0.9466666666666667),
        (3, 0.9375, 0.812, 1.1936111111111112, 0.8293333333333334),
    ],
)
def test_precision_recall_density_and_coverage_are_prdcs(neighbours, precision, recall, density, coverage):
    scores = precision_recall_density_coverage(REAL, GENERATED, neighbours)
    assert scores == pytest.approx(
        {"precision": precision, "recall": recall, "density": density, "coverage": coverage}, abs=1e-12
    )


def test_the_parzen_window_is_scikit_learns(pixels):
    samples, validation, test = pixels[:3]
    scores = metrics.parzen_log_likelihood(samples, validation, test)
    assert scores["sigma"] == pytest.approx(0.2782559402207124)
    assert scores["log_likelihood"] == pytest.approx(-12.520079577967003, abs=1e-4)
    assert scores["error"] == pytest.approx(0.2026599570723997, abs=1e-5)


def test_the_nearest_neighbours_are_scikit_learns(pixels):
    samples, _, test, labels, test_labels = pixels
    distances, indices = metrics.nearest(test, samples)
    assert indices[:5].tolist() == [148, 223, 137, 106, 195] and indices.sum() == 31690
    scores = metrics.memorisation(distances)
    assert scores["median"] == pytest.approx(1.7637838221036382, rel=1e-5)
    assert scores["percentile_1"] == pytest.approx(1.4753857650354758, rel=1e-5)
    assert metrics.one_nearest_neighbour_error(samples, labels, test, test_labels) == pytest.approx(0.7533333333333333)


def test_blocks_change_nothing(pixels, monkeypatch):
    samples, validation, test, *_ = pixels

    def found():
        return (
            precision_recall_density_coverage(REAL, GENERATED),
            metrics.nearest(test, samples),
            metrics.parzen_log_likelihood(samples, validation, test),
        )

    whole = found()
    monkeypatch.setattr(metrics, "BLOCK", 7)
    parts = found()
    assert parts[0] == whole[0] and parts[2] == pytest.approx(whole[2], abs=1e-4)
    np.testing.assert_array_equal(parts[1][1], whole[1][1])
    np.testing.assert_allclose(parts[1][0], whole[1][0], atol=1e-5)


def test_bytes_are_the_same_images(pixels):
    images = [np.rint(part * 255).astype(np.uint8) for part in pixels[:3]]
    as_floats = [np.float32(part) / 255 for part in images]
    np.testing.assert_array_equal(metrics.nearest(images[2], images[0]), metrics.nearest(as_floats[2], as_floats[0]))
    assert metrics.parzen_log_likelihood(*images) == metrics.parzen_log_likelihood(*as_floats)


def test_equal_features_have_no_distance_and_a_shift_has_its_square():
    assert fd(REAL, REAL) == pytest.approx(0, abs=1e-9)
    assert fd(REAL, REAL + 3) == pytest.approx(9 * REAL.shape[1])
    assert fd(REAL, GENERATED) == pytest.approx(fd(GENERATED, REAL))
    dead, of_dead = (np.pad(features, ((0, 0), (0, 3))) for features in (REAL, GENERATED))  # three that never change
    assert fd(dead, dead) == pytest.approx(0, abs=1e-9) and fd(dead, of_dead) == pytest.approx(fd(REAL, GENERATED))


@pytest.mark.parametrize("seed", range(8))
def test_no_distance_is_below_0(seed):
    """Copies in other numbers: rounding alone is left, of either sign."""
    stream = np.random.default_rng(seed)
    pictures = np.float32(10 * stream.standard_normal((3, 84)))
    distance = fd(np.repeat(pictures, 50, 0), np.repeat(pictures[::-1], 50, 0))
    assert distance >= 0 and distance == pytest.approx(0, abs=1e-2)


@pytest.mark.parametrize("kind", ["one picture", "two pictures", "black pictures"])
def test_there_is_no_ratio_to_a_distance_that_is_rounding_alone(kind):
    stream = np.random.default_rng(1)
    pictures = np.float32(stream.standard_normal((2 if kind == "two pictures" else 1, 84))) * (kind[:5] != "black")
    copies = moments(np.repeat(pictures, 200, 0))
    of_real = frechet_distance(copies, moments(np.repeat(pictures, 100, 0)))
    assert metrics.distance_ratio(3.0, of_real, copies) is None


def test_the_ratio_of_images_that_differ_is_the_quotient():
    reference = moments(REAL)
    of_real = frechet_distance(moments(GENERATED), reference)
    assert metrics.distance_ratio(3 * of_real, of_real, reference) == pytest.approx(3)


@pytest.mark.parametrize("count", [500, 1000, 2000])
def test_the_bias_of_the_frechet_distance_halves_as_the_sample_doubles(count):
    size = 16
    stream = np.random.default_rng(count)
    distances = [fd(*stream.standard_normal((2, count, size))) for _ in range(40)]
    assert np.mean(distances) == pytest.approx(2 * size / count + size * (size + 1) / (2 * count), rel=0.05)


@pytest.mark.parametrize("count, repetitions", [(150, 24), (1200, 6)])
def test_real_against_real_does_not_depend_on_the_sample_size(count, repetitions):
    scores = [
        precision_recall_density_coverage(features(100 + number, count), features(500 + number, count))
        for number in range(repetitions)
    ]
    means = {name: np.mean([score[name] for score in scores]) for name in scores[0]}
    assert means["density"] == pytest.approx(1, abs=0.05)
    assert means["coverage"] == pytest.approx(1 - 2**-5, abs=0.01)
    assert means["precision"] == pytest.approx(0.945, abs=0.02) and means["recall"] == pytest.approx(0.945, abs=0.02)


def test_a_hundred_images_repeated_are_precise_and_recall_nothing():
    repeated = np.tile(features(2, 120), (10, 1))
    scores = precision_recall_density_coverage(REAL, repeated)
    assert scores["precision"] > 0.9 and scores["recall"] == 0 and scores["coverage"] < 0.5


def test_a_missing_mode_costs_recall_and_not_precision():
    far = REAL + 30 * (np.arange(len(REAL)) % 3 == 0)[:, None]
    scores = precision_recall_density_coverage(far, features(2, 1500))
    assert scores["precision"] > 0.9 and scores["recall"] < 0.67 and scores["coverage"] < 0.67


def test_too_few_images_are_refused():
    with pytest.raises(ValueError, match="more than 5"):
        precision_recall_density_coverage(REAL[:5], GENERATED)
    with pytest.raises(ValueError, match="at least 2"):
        moments(REAL[:1])


def test_copies_are_found():
    stream = np.random.default_rng(1)
    training = stream.integers(0, 256, (3000, 1, 28, 28), dtype=np.uint8)
    distances, indices = metrics.nearest(training[[2900, 5]], training)
    assert indices.tolist() == [2900, 5] and distances.max() < 0.02
    copies = metrics.memorisation(np.concatenate((distances, [4, 5])))
    assert copies["share_below_1"] == 0.5 and copies["percentile_1"] < 0.02
    assert metrics.memorisation(np.array([0.99, 1.0, 1.5, 3]))["share_below_1"] == 0.25


def test_the_parzen_window_of_a_known_density_rises_towards_it_from_below():
    """Unit normals in two dimensions: the mean of the true log-density is −log 2π − 1."""
    stream = np.random.default_rng(1)
    validation, test = stream.standard_normal((2, 1000, 1, 2))
    lots = stream.standard_normal((4000, 1, 2))
    scores = [metrics.parzen_log_likelihood(lots[:count], validation, test) for count in (100, 600, 4000)]
    truth = float(np.mean(-np.log(2 * np.pi) - 0.5 * np.square(test).sum((1, 2))))
    assert scores[0]["log_likelihood"] < scores[1]["log_likelihood"] < scores[2]["log_likelihood"] < truth
    assert scores[2]["log_likelihood"] == pytest.approx(truth, abs=0.03)
    assert scores[0]["sigma"] > scores[2]["sigma"]


def test_the_nearest_neighbours_class_errs_less_with_more_samples():
    stream = np.random.default_rng(1)
    labels, test_labels = stream.integers(0, 3, 4000), stream.integers(0, 3, 500)
    samples = stream.normal(labels[:, None], 0.7, (4000, 4))
    test = stream.normal(test_labels[:, None], 0.7, (500, 4))
    errors = [
        metrics.one_nearest_neighbour_error(samples[:count], labels[:count], test, test_labels)
        for count in (6, 30, 4000)
    ]
    assert errors[0] > errors[1] > errors[2]


def test_class_accuracy_weighs_every_class_the_same():
    wanted = np.array([0] * 8 + [1] * 2)
    read = np.array([0] * 8 + [1, 0])
    assert metrics.class_accuracy(read, wanted, 3) == pytest.approx(0.75)
    assert metrics.class_shares(read, 3) == pytest.approx((0.9, 0.1, 0.0))


def test_class_accuracy_is_unbiased_in_the_sample_size():
    stream = np.random.default_rng(1)
    for count in (100, 2000):
        scores = []
        for _ in range(100):
            wanted = np.arange(count) % 10
            read = np.where(stream.random(count) < 0.8, wanted, (wanted + 1) % 10)
            scores.append(metrics.class_accuracy(read, wanted, 10))
        assert np.mean(scores) == pytest.approx(0.8, abs=4 * (0.16 / count / 100) ** 0.5)


def test_a_dead_discriminator_is_told_from_one_at_equilibrium():
    stream = np.random.default_rng(1)
    alive = metrics.equilibrium(*stream.normal(0, 1.5, (2, 1000, 1)))
    dead = metrics.equilibrium(np.full((1000, 1), 0.01), np.full((1000, 1), 0.01))
    assert alive["accuracy_real"] == pytest.approx(0.5, abs=0.05)
    assert alive["logit_spread_real"] == pytest.approx(1.5, rel=0.1) and alive["logit_gap"] == pytest.approx(0, abs=0.2)
    assert (dead["accuracy_real"], dead["accuracy_generated"], dead["logit_spread_real"]) == (1, 0, 0)
    assert alive["accuracy_pairs"] == pytest.approx(0.5, abs=0.05) and dead["accuracy_pairs"] == 0.5
    assert metrics.equilibrium(np.array([2, 3, 5]), np.array([1, 3]))["accuracy_pairs"] == pytest.approx(4.5 / 6)
    pair = np.array([-0.5, 0.2, 1.0, 2.0]), np.array([-2.0, -1.0, -0.5, 0.2])
    by_threshold = metrics.equilibrium(*pair, threshold=-0.7)
    assert (by_threshold["accuracy_real"], by_threshold["accuracy_generated"]) == (1.0, 0.5)
    assert metrics.equilibrium(*pair)["accuracy_real"] == 0.75
    at_it = metrics.equilibrium(np.array([0.5, 1]), np.array([0.5, 0]), threshold=0.5)
    assert (at_it["accuracy_real"], at_it["accuracy_generated"]) == (0.5, 0.5), "the threshold itself is neither"


def test_counts_in_names():
    assert [metrics.of_count(count) for count in (10_000, 50_000, 1500, 600, 0)] == ["10k", "50k", "1500", "600", "0"]


def test_modes_are_counted_and_their_evenness_is_a_divergence():
    assert metrics.mode_coverage(np.arange(1000), 1000) == {"modes": 1000, "kl": pytest.approx(0, abs=1e-12)}
    assert metrics.mode_coverage(np.zeros(50, int), 1000) == {"modes": 1, "kl": pytest.approx(np.log(1000))}
    half = metrics.mode_coverage(np.arange(26_000) % 500, 1000)
    assert half == {"modes": 500, "kl": pytest.approx(np.log(2))}
    perfect = [
        metrics.mode_coverage(np.random.default_rng(seed).integers(0, 1000, 26_000), 1000)["kl"] for seed in range(20)
    ]
    assert np.mean(perfect) == pytest.approx(999 / 52_000, rel=0.03)


def by_definition(scores, has):
    """Average precision, threshold by threshold."""
    area, recall = 0.0, 0.0
    for threshold in sorted(set(scores), reverse=True):
        taken = scores >= threshold
        found = (taken & has).sum()
        area += (found / has.sum() - recall) * found / taken.sum()
        recall = found / has.sum()
    return area


@pytest.mark.parametrize("levels", [3, 20, 10**6], ids=["many equal", "some equal", "all different"])
def test_average_precision_is_that_of_its_definition(levels):
    stream = np.random.default_rng(levels)
    for count in (2, 7, 200):
        scores, has = stream.integers(0, levels, count).astype(np.float32), stream.random(count) < 0.3
        has[stream.permutation(count)[:2]] = True, False
        assert metrics.average_precision(scores, has) == pytest.approx(by_definition(scores, has), abs=1e-12)


def test_average_precision_of_known_orders():
    has = np.array([False, False, True, True])
    assert metrics.average_precision(np.array([0.1, 0.4, 0.35, 0.8]), has) == pytest.approx(5 / 6)  # scikit-learn's too
    assert metrics.average_precision(np.arange(4.0), has) == 1
    assert metrics.average_precision(-np.arange(4.0), has) == pytest.approx((1 / 3 + 2 / 4) / 2)
    assert metrics.average_precision(np.zeros(4), has) == 0.5, (
        "equal scores come in together, in whatever order they are"
    )
    for all_or_none in (np.zeros(4, bool), np.ones(4, bool)):
        assert np.isnan(metrics.average_precision(np.zeros(4), all_or_none))
    both = metrics.average_precisions(np.stack([np.arange(4.0), np.zeros(4)], 1), np.stack([has, has], 1))
    assert both.tolist() == [1, 0.5]


def test_random_scores_have_the_average_precision_of_chance():
    stream = np.random.default_rng(1)
    found = [metrics.average_precision(stream.random(2000), stream.random(2000) < 0.2) for _ in range(30)]
    assert np.mean(found) == pytest.approx(0.2, abs=0.01)


def test_tags_are_told_from_their_numbers():
    labels = np.array([[1, 3, 0], [0, 0, 0], [2, 0, 0]], np.int32)
    has = metrics.tag_indicators(labels, 4)
    assert has.tolist() == [[True, False, True, False], [False] * 4, [False, True, False, False]]


def test_single_tags_are_read_where_they_are_alone():
    has = metrics.tag_indicators(np.array([[1, 0], [1, 0], [1, 2], [2, 0], [0, 0]]), 3)
    read = np.array([[1, 1, 0], [0, 0, 0], [0, 0, 0], [0, 1, 0], [1, 1, 1]], bool)
    shares = metrics.single_tag_shares(read, has)
    assert shares[:2].tolist() == [0.5, 1.0] and np.isnan(shares[2])


def test_sharpness_is_the_variance_of_the_laplacian():
    stream = np.random.default_rng(1)
    grey = stream.integers(0, 256, (2, 1, 9, 7), dtype=np.uint8)
    expected = []
    for image in grey[:, 0] / 255:
        laplacian = np.zeros((9, 7))
        for y in range(9):
            for x in range(7):
                for down, right in ((-1, 0), (1, 0), (0, -1), (0, 1)):
                    laplacian[y, x] += image[min(max(y + down, 0), 8), min(max(x + right, 0), 6)] - image[y, x]
        expected.append(np.mean((laplacian - laplacian.mean()) ** 2))
    assert metrics.sharpness(grey) == pytest.approx(np.mean(expected), rel=1e-5)
    assert metrics.sharpness(np.float32(grey) / 255) == pytest.approx(np.mean(expected), rel=1e-5)
    assert metrics.sharpness(np.repeat(grey, 3, 1)) == pytest.approx(np.mean(expected), rel=1e-5)
    green = np.concatenate([0 * grey, grey, 0 * grey], 1)
    assert metrics.sharpness(green) == pytest.approx(0.587**2 * np.mean(expected), rel=1e-5)
    assert metrics.sharpness(np.full((3, 1, 5, 5), 200, np.uint8)) == 0


def test_sharpness_falls_with_blur_and_does_not_move_with_the_number_of_images(monkeypatch):
    images = np.random.default_rng(1).integers(0, 256, (50, 1, 12, 12), dtype=np.uint8)
    blurred = (np.float32(images) + np.roll(images, 1, 3) + np.roll(images, 1, 2)) / 3 / 255
    whole = metrics.sharpness(images)
    assert metrics.sharpness(blurred) < 0.5 * whole
    assert metrics.sharpness(np.tile(images, (3, 1, 1, 1))) == pytest.approx(whole)
    monkeypatch.setattr(metrics, "BLOCK", 7)
    assert metrics.sharpness(images) == pytest.approx(whole, rel=1e-6)
