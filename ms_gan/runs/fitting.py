"""Where the data of a run meet its recipe and its weights: clusters that stand for classes."""

from __future__ import annotations

from pathlib import Path

from ms_gan.data.description import ImageData
from ms_gan.errors import UserError
from ms_gan.recipes import Recipe
from ms_gan.recipes.build import knows_clusters, match_cluster_shares
from ms_gan.steps.base import TrainingStep
from ms_gan.steps.ema import begin_ema


def announce(recipe: Recipe, images: ImageData) -> None:
    """Say what takes some seconds before the first step."""
    if recipe.clusters:
        print(f"finding {recipe.clusters} clusters of {len(images.images):,} images", flush=True)


def described(recipe: Recipe) -> str:
    """Return what a recipe does with its images, as the end of a sentence about them."""
    turned = ", turned and mirrored at random" if recipe.data.rotate_and_mirror else ""
    return turned + (f", in {recipe.clusters} clusters of similar images" if recipe.clusters else "")


def adopt_weights(step: TrainingStep, recipe: Recipe) -> str | None:
    """Let a step begin with the weights that were loaded into its networks; return what the user should know."""
    new = recipe.clusters and not knows_clusters(step.generator, step.data.all_labels, recipe)
    match_cluster_shares(step, recipe)
    for name, average in step.ema.items():
        begin_ema(getattr(step, name), average)
    return "note: these images make other clusters than those that the networks of the warm start know" if new else None


def require_fit(step: TrainingStep, recipe: Recipe, run: Path) -> None:
    """Raise UserError if the images of a resumed run fall into other clusters than when it began."""
    if recipe.clusters and not knows_clusters(step.generator, step.data.all_labels, recipe):
        raise UserError(
            f"{run}: its images fall into other clusters than when it began",
            "go on with the versions of numpy and ms_gan that its provenance.json names",
        )
