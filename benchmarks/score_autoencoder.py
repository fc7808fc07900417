"""Score autoencoders on images that they were not trained on: reconstruction, sharpness, bounds of the likelihood.

    python benchmarks/score_autoencoder.py [--data-path DIR] [--images N] [--samples K] RUN_OR_CHECKPOINT…

squared_error: Σ (x − x̂)² of an image in [0, 1], mean over images, x̂ decoded from the mean of q(z | x). sharpness: the
variance of the Laplacian (Pech-Pacheco et al. 2000) of the images' luminance, as a ratio to that of the real images, of
reconstructions and of samples from the prior with the real images' labels. KL in nats, by its formula, and by Monte
Carlo with its standard error. bound_K: the importance-weighted bound of log p(x) with K samples, in nats; bound_1 is
the ELBO. For Bernoulli pixels it is one of probabilities, and meant for pixels of 0 and 1; with squared errors pixels
are normal, of variance kl_weight / 2, and it is one of densities: only runs of the same loss compare. With
--forget-label also the bound of p(x) = mean over all classes of p(x | class): that of an image of unknown class.
"""

from __future__ import annotations

import argparse

import clone
import cv2
import numpy as np
from bounds import ImportanceWeight, importance_bound, log_weights

import ms_gan

SEED = 1


def sharpness(images: np.ndarray) -> float:
    """Return the mean over images, float32 in [0, 1], N×C×H×W, of the variance of their luminance's Laplacian."""
    weights = np.float32([1.0]) if images.shape[1] == 1 else np.float32([0.299, 0.587, 0.114])
    grey = np.einsum("c,nchw->nhw", weights, images)
    return float(np.mean([cv2.Laplacian(image, cv2.CV_32F).var() for image in grey]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-path")
    parser.add_argument("--images", type=int, default=1500)
    parser.add_argument("--samples", type=int, default=64)
    parser.add_argument("--forget-label", action="store_true")
    parser.add_argument("runs", nargs="+", metavar="RUN_OR_CHECKPOINT")
    options = parser.parse_args()
    if options.samples < 2:
        parser.error("--samples: takes 2 or more, since their spread is the standard error")
    for run in options.runs:
        score(run, options)


def score(run: str, options: argparse.Namespace) -> None:
    """Print the scores of one run or checkpoint."""
    from ms_gan.evaluation.sheets import some_of  # the images and latents of `ms_gan eval`, which the API does not give
    from ms_gan.sampling import seeded_inputs

    model = ms_gan.load(run)
    loss, names = getattr(model.recipe.updates, "reconstruction", None), model.label_names
    if model.encoder is None:
        raise ms_gan.UserError(f"{run}: {model.name} is no autoencoder", "name one that is")
    if options.forget_label and (names is None or names.max_tags or loss is None):
        raise ms_gan.UserError(f"{run}: --forget-label sums the bound over classes", "name a CVAE that has them")
    test = model.fitting(model.load("test", options.data_path, False, rotate_and_mirror=False))
    images, labels = some_of(test, options.images, SEED, model.conditional)
    reconstructed = model.draw((model.encode((images, *labels)), *labels))
    sampled = model.draw(seeded_inputs(model.latent, len(images), SEED, *labels))
    real = sharpness(images)
    print(f"{run}: {model.name}, step {model.step:,}, {len(images):,} test images")
    print(
        f"  squared_error {((images - reconstructed) ** 2).sum((1, 2, 3)).mean():.2f}, sharpness: reconstructed "
        f"{sharpness(reconstructed) / real:.3f}, sampled {sharpness(sampled) / real:.3f} of real ({real:.4f})"
    )
    variance = model.recipe.updates.kl_weight / 2 if loss == "squared" else None
    weight = ImportanceWeight(model.encoder.network, model.generator.generator, variance)
    weights, prior_to_posterior, kl = log_weights(weight, images, labels, model.latent.size, options.samples, SEED)
    by_chance = -prior_to_posterior.mean(1)
    error = by_chance.std(ddof=1) / len(by_chance) ** 0.5
    print(f"  KL {kl[0].mean():.3f}, by Monte Carlo {by_chance.mean():.3f} +- {error:.3f}")
    if loss is not None:
        bounds = {k: importance_bound(weights, k) for k in (1, 4, 16, 64) if options.samples % k == 0}
        print("  " + ", ".join(f"bound_{k} {bound:.2f}" for k, bound in bounds.items()))
    if options.forget_label:
        each = [[np.full(len(images), label, np.int32)] for label in range(len(names.names))]
        of_all = [log_weights(weight, images, one, model.latent.size, options.samples, SEED)[0] for one in each]
        bound = importance_bound(np.concatenate(of_all), len(each) * options.samples)
        print(f"  without the label: bound_{options.samples} {bound:.2f}")


if __name__ == "__main__":
    clone.run(main)
