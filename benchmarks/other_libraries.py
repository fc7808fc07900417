"""Print what other libraries say of the arrays in tests/test_metrics.py: the values that are recorded there.

    python -m venv other && other/bin/pip install numpy==1.26.4 scipy==1.17.1 scikit-learn==1.9.1 prdc==0.2 \\
        torch-fidelity==0.4.0
    other/bin/python benchmarks/other_libraries.py

In an environment of its own, so that ms_gan needs none of them. A library that is missing is left out, by name.
"""

import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))


def by_scipy(real: np.ndarray, generated: np.ndarray, pixels: tuple) -> None:
    from scipy.linalg import sqrtm

    (mean, covariance), (other_mean, other) = ((some.mean(0), np.cov(some, rowvar=False)) for some in (real, generated))
    root = sqrtm(covariance @ other)
    print("scipy: Fréchet distance", ((mean - other_mean) ** 2).sum() + np.trace(covariance + other - 2 * root.real))


def by_torch_fidelity(real: np.ndarray, generated: np.ndarray, pixels: tuple) -> None:
    from torch_fidelity.metric_fid import KEY_METRIC_FID, fid_statistics_to_metric

    statistics = [{"mu": some.mean(0), "sigma": np.cov(some, rowvar=False)} for some in (real, generated)]
    print("torch-fidelity: Fréchet distance", fid_statistics_to_metric(*statistics, verbose=False)[KEY_METRIC_FID])


def by_prdc(real: np.ndarray, generated: np.ndarray, pixels: tuple) -> None:
    from prdc import compute_prdc

    for neighbours in (5, 3):
        print(f"prdc, {neighbours} neighbours:", compute_prdc(real, generated, neighbours))


def by_scikit_learn(real: np.ndarray, generated: np.ndarray, pixels: tuple) -> None:
    from sklearn.neighbors import KernelDensity, KNeighborsClassifier, NearestNeighbors

    samples, validation, test = (np.float64(images.reshape(len(images), -1)) for images in pixels[:3])
    labels, test_labels = pixels[3:]

    def density(sigma: float, images: np.ndarray) -> np.ndarray:
        return KernelDensity(bandwidth=sigma, rtol=0, leaf_size=1000).fit(samples).score_samples(images)

    sigma = max(np.logspace(-1, 0, 10), key=lambda sigma: density(sigma, validation).mean())
    of_test = density(sigma, test)
    print(
        "scikit-learn: Parzen sigma",
        sigma,
        "log-likelihood",
        of_test.mean(),
        "error",
        of_test.std(ddof=1) / len(of_test) ** 0.5,
    )
    distances, indices = NearestNeighbors(n_neighbors=1).fit(samples).kneighbors(test)
    print(
        "scikit-learn: nearest",
        indices[:5, 0],
        "sum",
        indices.sum(),
        "median",
        np.median(distances),
        "1st percentile",
        np.percentile(distances, 1),
    )
    read = KNeighborsClassifier(1).fit(samples, labels).predict(test)
    print("scikit-learn: 1-NN error", np.mean(read != test_labels))


def main() -> None:
    from helpers.metric_arrays import GENERATED, REAL, draw_pixels

    for ask in (by_scipy, by_torch_fidelity, by_prdc, by_scikit_learn):
        try:
            ask(REAL, GENERATED, draw_pixels())
        except ImportError as error:
            print(f"{ask.__name__}: left out: {error}", file=sys.stderr)


if __name__ == "__main__":
    main()
