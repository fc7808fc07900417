"""Score autoencoders on images that they were not trained on: reconstruction, sharpness, bounds of the likelihood.

    python benchmarks/score_autoencoder.py [--data-path DIR] [--images N] [--samples K] RUN_OR_CHECKPOINT…

squared_error: Σ (x − x̂)² of an image in [0, 1], mean over images, x̂ decoded from the mean of q(z | x). sharpness: the
variance of the Laplacian (Pech-Pacheco et al. 2000) of the images' luminance, as a ratio to that of the real images, of
reconstructions and of samples from the prior with the real images' labels. KL in nats, by its formula, and by Monte
Carlo with its standard error. bound_K: the importance-weighted bound of log p(x) with K samples, in nats; bound_1 is
the ELBO. For Bernoulli pixels it is one of probabilities, and meant for pixels of 0 and 1; with squared errors pixels
are normal, of variance kl_weight / 2, and it is one of densities: only runs of the same loss compare. With
--forget-label also the bound of p(x) = mean over all classes of p(x | class): what the same model says of an image
whose class nobody tells.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import cv2
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

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
    parser.add_argument("places", nargs="+", metavar="RUN_OR_CHECKPOINT")
    options = parser.parse_args()
    if options.samples < 2:
        parser.error("--samples: takes 2 or more, since their spread is the standard error")

    from ms_gan import runtime
    from ms_gan.errors import UserError

    runtime.set_up("CPU")
    from ms_gan.cli.trained import load_trained
    from ms_gan.evaluation.bounds import importance_bound, log_weights
    from ms_gan.evaluation.sampling import seeded_inputs
    from ms_gan.evaluation.sheets import some_of

    for place in options.places:
        trained = load_trained(place)
        if trained.encoder is None:
            raise UserError(f"{place}: {trained.recipe['name']} is no autoencoder; name one that is")
        if options.forget_label and (
            trained.labels is None or trained.labels.places or "reconstruction" not in trained.recipe["updates"]
        ):
            raise UserError(f"{place}: --forget-label sums the bound over classes: it takes a CVAE that has them")
        test = trained.fitting(trained.load("test", options.data_path, False, rotate_and_mirror=False))
        images, labels = some_of(test, options.images, SEED, trained.labels is not None)
        reconstructed = trained.draw((trained.encode((images, *labels)), *labels))
        sampled = trained.draw(seeded_inputs(trained.recipe["latent"], len(images), SEED, *labels))
        real = sharpness(images)
        print(f"{place}: {trained.recipe['name']}, step {trained.step:,}, {len(images):,} test images")
        print(
            f"  squared_error {((images - reconstructed) ** 2).sum((1, 2, 3)).mean():.2f}, sharpness: reconstructed "
            f"{sharpness(reconstructed) / real:.3f}, sampled {sharpness(sampled) / real:.3f} of real ({real:.4f})"
        )
        updates = trained.recipe["updates"]
        variance = updates["kl_weight"] / 2 if updates.get("reconstruction") == "squared" else None
        weights, prior_to_posterior, kl = log_weights(
            trained.encoder.encoder,
            trained.generator.generator,
            images,
            labels,
            trained.recipe["latent"]["size"],
            options.samples,
            SEED,
            variance,
        )
        by_chance = -prior_to_posterior.mean(1)
        print(
            f"  KL {kl[0].mean():.3f}, by Monte Carlo {by_chance.mean():.3f} "
            f"+- {by_chance.std(ddof=1) / len(by_chance) ** 0.5:.3f}"
        )
        if "reconstruction" in updates:
            bounds = {k: importance_bound(weights, k) for k in (1, 4, 16, 64) if options.samples % k == 0}
            print("  " + ", ".join(f"bound_{k} {bound:.2f}" for k, bound in bounds.items()))
        if options.forget_label:
            of_all = [
                log_weights(
                    trained.encoder.encoder,
                    trained.generator.generator,
                    images,
                    [np.full(len(images), label, np.int32)],
                    trained.recipe["latent"]["size"],
                    options.samples,
                    SEED,
                    variance,
                )[0]
                for label in range(len(trained.labels.names))
            ]
            of_all = np.concatenate(of_all)
            print(f"  label forgotten: bound_{options.samples} {importance_bound(of_all, len(of_all)):.2f}")


if __name__ == "__main__":
    from ms_gan.errors import UserError

    try:
        main()
    except UserError as error:
        sys.exit(f"error: {error}")
