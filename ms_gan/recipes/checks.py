"""What the parts of a recipe must be, so that it can be built. Importing this needs no MindSpore."""

from __future__ import annotations

import dataclasses

from ms_gan.errors import Setting, UserError
from ms_gan.latents import INDEPENDENT
from ms_gan.recipes import registry
from ms_gan.schema.recipe import Recipe


def fault(recipe: Recipe, problem: str, *mend: str | Setting) -> UserError:
    """Return the error for a recipe that cannot be built."""
    return UserError(f"recipe {recipe.name}: {problem}", *mend)


def check(recipe: Recipe) -> None:
    """Raise UserError where a recipe's parts are not those of its family, or that is not registered."""
    family = registry.family(recipe.family)
    if type(recipe.updates) is not family.updates:
        wanted = f"updates must be {family.updates.__name__} for the family {family.name}"
        raise fault(recipe, f"{wanted}, not {type(recipe.updates).__name__}")
    for part, given in (("networks", recipe.networks), ("optimizers", recipe.optimizers)):
        if given.keys() != set(family.networks):
            wanted = f"{part} must be those of the family {family.name}, {', '.join(family.networks)}"
            raise fault(recipe, f"{wanted}, not {', '.join(map(str, given)) or 'none'}")
    for role, settings in recipe.networks.items():
        registry.network_of(role, settings)


def check_together(recipe: Recipe) -> None:
    """Raise UserError for settings of several sections that do not go together."""
    family, data, latent, clusters = registry.family(recipe.family), recipe.data, recipe.latent, recipe.clusters
    labels, of_family = family.label_requirement, f"for the family {family.name}"
    if labels == "none" and data.classes:
        takers = [name for name, other in registry.FAMILIES.items() if other.label_requirement != "none"]
        wanted = f"data.classes must be 0 {of_family}, not {data.classes}"
        raise fault(recipe, wanted, f"families that take labels are {', '.join(takers)}")
    if labels == "class" and not data.classes:
        raise fault(recipe, f"data.classes must be at least 2 {of_family}, not 0")
    if labels == "class" and data.max_tags:
        raise fault(recipe, f"data.max_tags must be 0 {of_family}, which takes one class an image")
    if clusters and not family.takes_clusters:
        takers = [name for name, other in registry.FAMILIES.items() if other.takes_clusters]
        raise fault(recipe, f"data.clusters must be 0 {of_family}", f"clusters are for {', '.join(takers)}")
    if clusters and latent.distribution not in INDEPENDENT:
        why = f"latent.distribution={latent.distribution}, of whose numbers none is independent of the others"
        raise fault(recipe, f"data.clusters must be 0 with {why}")
    if clusters and latent.size < 2:
        problem = "data.clusters must be 0 with a latent of one number, which would only choose the cluster"
        raise fault(recipe, problem, "give more ", Setting("latent.size"))
    if recipe.updates.normal_latents and latent.distribution != "normal":
        problem = f"the latents of a variational autoencoder are normal, not {latent.distribution}"
        raise fault(recipe, problem, "use ", Setting("latent.distribution", "normal"))
    if recipe.updates.shared_counters:
        ours, theirs = (dataclasses.asdict(recipe.optimizers[player]) for player in registry.PLAYERS)
        for key, value in ours.items():
            if value != theirs[key]:
                problem = (
                    f"with updates.shared_counters both players have one Adam, but optimizer_generator.{key} is "
                    f"{value} and optimizer_discriminator.{key} is {theirs[key]}"
                )
                raise fault(recipe, problem, "set them equal, or use ", Setting("updates.shared_counters", "False"))
