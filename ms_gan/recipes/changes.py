"""Recipes with settings changed: as somebody types them, and as the images ask for. Needs no MindSpore."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import TYPE_CHECKING

from ms_gan.errors import Setting, UserError, shown
from ms_gan.recipes import registry
from ms_gan.schema.fields import rules
from ms_gan.schema.recipe import SMALLEST_BATCH, Recipe, build_settings

if TYPE_CHECKING:
    from ms_gan.data.description import ImageData

IMAGES_IN_A_CLUSTER = 50  # at least, in the mean: of a few images D would know each by the cluster's number


def override(recipe: Recipe, assignments: Iterable[str]) -> Recipe:
    """Return the recipe with `key=value` settings applied, such as `generator.widths=[16, 32]`; the last one wins.

    `ROLE.network=NAME` puts another network in its place, which keeps the settings that it knows and whose values it
    allows. Clusters give way to classes. Raises UserError for a name that is no setting, with what was probably meant,
    for a value that cannot be, and for a decay that would take effect at once.
    """
    changes: dict[str, str] = {}
    for assignment in assignments:
        key, equals, changes[key] = assignment.partition("=")
        if not equals:
            raise UserError(f"a setting is changed by key=value, not {shown(assignment)}")
    for role in recipe.networks:
        if f"{role}.network" in changes:
            recipe = _with_network(recipe, role, changes)
    recipe = recipe.but({key: recipe.rule(key).read(text) for key, text in changes.items()})
    _require_decay_steps(recipe, changes)
    if "data.classes" in changes and recipe.data.classes and recipe.data.clusters:
        if "data.clusters" in changes:
            raise _classes_and_clusters()
        return recipe.but({"data.clusters": 0})
    return recipe


def _require_decay_steps(recipe: Recipe, changed: Iterable[str]) -> None:
    """Raise UserError where a decay is asked for without the steps in which it falls, so that it does so at once.

    Recorded settings are not refused: a gamma that falls at once has trained runs.
    """
    for key in changed:
        section, _, name = key.rpartition(".")
        if not name.endswith("decay_rate"):
            continue
        steps = f"{section}.{name[: -len('rate')]}steps"
        rate = recipe.settings()[key]
        if steps not in changed and recipe.settings().get(steps) == 1 and not 0.999 <= rate <= 1.001:
            raise UserError(
                f"recipe {recipe.name}: {key} {rate} would take effect at each update, or at once, as {steps} is 1",
                *("give more ", Setting(steps)),
            )


def _with_network(recipe: Recipe, role: str, changes: dict[str, str]) -> Recipe:
    """Put another network in its place, and take what is said of it out of `changes`."""
    kind = registry.network(role, changes.pop(f"{role}.network")).settings
    old, known = recipe.networks[role], rules(kind)
    ours = {name: rule for name, rule in rules(type(old)).items() if name in known}
    same = [name for name, rule in ours.items() if (rule.kind, rule.of) == (known[name].kind, known[name].of)]
    kept = {name: getattr(old, name) for name in same if known[name].fault(getattr(old, name)) is None}
    told = {name: known[name].read(changes.pop(f"{role}.{name}")) for name in known if f"{role}.{name}" in changes}
    settings = build_settings(kind, {**kept, **told}, f"recipe {recipe.name}: {role}.")
    return dataclasses.replace(recipe, networks={**recipe.networks, role: settings})


def fitted(recipe: Recipe, images: ImageData, said: Iterable[str]) -> Recipe:
    """Return the recipe as it is trained on these images: as many classes, and clusters, as they have.

    What the user `said`, by the settings' names, stays. Raises UserError for classes and clusters at once.
    """
    said, changes = set(said), {}
    if images.name == "folder" and recipe.data.classes and images.classes and "data.classes" not in said:
        changes["data.classes"] = len(images.classes)  # the vocabulary is what the folder holds
    if "data.clusters" not in said:
        changes["data.clusters"] = clusters_for(recipe, len(images.images) - recipe.scores.held_out)
    elif recipe.data.classes and recipe.data.clusters:
        raise _classes_and_clusters()
    return recipe.but(changes)


def _classes_and_clusters() -> UserError:
    mend = ("leave out ", Setting("data.classes"), " or ", Setting("data.clusters"))
    return UserError("images with classes are not put into clusters, too", *mend)


def clusters_for(recipe: Recipe, count: int) -> int:
    """Return how many clusters `count` images are put into: as many as the recipe says, or fewer, each of some size."""
    clusters = min(recipe.clusters, count // IMAGES_IN_A_CLUSTER)
    return clusters if clusters > 1 else 0


def share_of_batch(recipe: Recipe, devices: int) -> int:
    """Return how many images of a batch each of several devices takes.

    Raises UserError for a batch that cannot be shared.
    """
    fault = _unshared(recipe, devices)
    if fault is None:
        return recipe.schedule.batch_size // devices
    problem, setting, wanted = fault
    fitting = [str(count) for count in range(1, 257) if _unshared(recipe, count) is None]
    some = f" of {' or '.join([', '.join(fitting[:-1]), fitting[-1]])}" if len(fitting) > 1 else f" of {fitting[0]}"
    mend = ("give a ", Setting("device_num"), f"{some}, or another ", Setting(setting), f" that is {wanted}")
    raise UserError(f"recipe {recipe.name}: {problem} cannot be shared by {devices} devices", *mend)


def _unshared(recipe: Recipe, devices: int) -> tuple[str, str, str] | None:
    """Return what of a batch so many devices cannot share, the setting of it, and what that must be; None if all."""
    batch, updates = recipe.schedule.batch_size, recipe.updates
    if batch % devices or batch // devices < SMALLEST_BATCH:
        return f"a batch of {batch}", "batch_size", f"{devices} times at least {SMALLEST_BATCH}"
    if devices > 1 and batch // devices % 2 and getattr(updates, "half_batches", False):
        return f"half a batch of {batch}", "batch_size", f"{2 * devices} times a whole number"
    penalised = min(getattr(updates, "penalised", 0), batch) if getattr(updates, "gamma", 0) else 0
    if penalised % devices:
        return f"penalties at {penalised} images", "updates.penalised", f"{devices} times a whole number"
    return None
