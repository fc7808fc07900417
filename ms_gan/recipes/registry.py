"""What recipes may name: families, which say how an update goes, and networks. Importing it needs no MindSpore."""

from __future__ import annotations

import pkgutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ms_gan.errors import UserError, shown
from ms_gan.schema import networks, updates
from ms_gan.schema.fields import Settings, rules
from ms_gan.schema.recipe import SECTIONS


@dataclass(frozen=True)
class Family:
    """How an update goes, and what it asks of a recipe.

    Args:
        name: as recipes call it.
        networks: the names of those that it trains; one is "generator", which draws.
        updates: the dataclass of its settings.
        step: the Cell, built as `step(parts, updates)`: a subclass of `ms_gan.steps.base.TrainingStep`, or where one
            stands, as "module:Class".
        label_requirement: "none"; "class", where each image must have one; "any": a class, tags, or nothing.
        class_logits: D also names the class of an image, where images have classes.
        label_conditioned: D sees an image together with its label, where there are labels.
        takes_clusters: clusters of images may stand for classes.
        discriminator_logits: D gives a logit for each image. If not, as for an autoencoder, there are no scores of D.
    """

    name: str
    networks: tuple[str, ...]
    updates: type[Settings]
    step: Any
    label_requirement: str = "none"
    class_logits: bool = False
    label_conditioned: bool = False
    takes_clusters: bool = False
    discriminator_logits: bool = True


@dataclass(frozen=True)
class Network:
    """A network that a recipe may choose.

    Args:
        name: as recipes call it.
        role: "generator", "discriminator", "encoder", or what a family of yours calls it.
        settings: the dataclass of its settings.
        cell: the Cell, built as `cell(settings, inputs)` with a `NetworkInputs`, or where it stands, as "module:Class".
    """

    name: str
    role: str
    settings: type[Settings]
    cell: Any


PLAYERS = ("generator", "discriminator")
FAMILIES = {
    family.name: family
    for family in (
        Family("gan", PLAYERS, updates.GANUpdates, "ms_gan.steps.gan_forms:gan_step"),
        Family("acgan", PLAYERS, updates.ACGANUpdates, "ms_gan.steps.gan_forms:gan_step", "class", class_logits=True),
        Family("cvae", ("encoder", "generator"), updates.CVAEUpdates, "ms_gan.steps.cvae:CVAEStep", "any"),
        Family("cvae_gan", ("encoder", *PLAYERS), updates.CVAEGANUpdates, "ms_gan.steps.cvae_gan:CVAEGANStep", "any"),
        Family(
            "rpgan",
            PLAYERS,
            updates.RpGANUpdates,
            "ms_gan.steps.rpgan:RpGANStep",
            "any",
            class_logits=True,
            label_conditioned=True,
            takes_clusters=True,
        ),
    )
}
NETWORKS = {
    (network.role, network.name): network
    for network in (
        Network("mlp_generator", "generator", networks.MLPGenerator, "ms_gan.nets.mlp:MLPGenerator"),
        Network("conv_generator", "generator", networks.ConvGenerator, "ms_gan.nets.conv:ConvGenerator"),
        Network("conv_decoder", "generator", networks.ConvDecoder, "ms_gan.nets.autoencoder:ConvDecoder"),
        Network("mlp_discriminator", "discriminator", networks.MLPDiscriminator, "ms_gan.nets.mlp:MLPDiscriminator"),
        Network(
            "conv_discriminator", "discriminator", networks.ConvDiscriminator, "ms_gan.nets.conv:ConvDiscriminator"
        ),
        Network(
            "residual_generator", "generator", networks.ResidualGenerator, "ms_gan.nets.residual:ResidualGenerator"
        ),
        Network(
            "residual_discriminator",
            "discriminator",
            networks.ResidualDiscriminator,
            "ms_gan.nets.residual:ResidualDiscriminator",
        ),
        Network("conv_encoder", "encoder", networks.ConvEncoder, "ms_gan.nets.autoencoder:ConvEncoder"),
    )
}
OWN = {*FAMILIES, *NETWORKS}
ADDED: list[Family | Network] = []  # all that was registered since, in this order


def register(entry: Family | Network) -> None:
    """Let recipes name a family or a network of your own, from the file that holds such a recipe.

    The last one of a name counts, so that a file can be changed and loaded again. Raises UserError for a name of the
    project's own, and for what is no such entry.
    """
    if not isinstance(entry, (Family, Network)):
        raise UserError(f"a Family or a Network can be registered, not {shown(entry)}")
    name, kind = entry.name, entry.updates if isinstance(entry, Family) else entry.settings
    if not isinstance(name, str) or not name.isidentifier():
        raise UserError(f"{shown(name)} is no name for a family or a network")
    frozen = getattr(getattr(kind, "__dataclass_params__", None), "frozen", False)
    if not (isinstance(kind, type) and issubclass(kind, Settings) and frozen):
        raise UserError(f"{name}: its settings must be a frozen dataclass of Settings, not {shown(kind)}")
    if isinstance(entry, Family):
        _check_family(entry)
        FAMILIES[name] = entry
    else:
        _check_network(entry)
        NETWORKS[entry.role, name] = entry
    ADDED.append(entry)


def _check_family(entry: Family) -> None:
    name, labels = entry.name, entry.label_requirement
    if name in OWN:
        raise UserError(f"{name} is a family of ms_gan's own", "choose another name")
    taken = {*SECTIONS, "updates", "name", "summary", "family"}
    odd = [each for each in entry.networks if not each.isidentifier() or each in taken or "optimizer_" in each]
    if odd:
        raise UserError(f"{name}: {', '.join(map(shown, odd))} is no name for a network of a family")
    if "generator" not in entry.networks:
        raise UserError(f"{name}: one of its networks must be called generator, which draws")
    if labels not in ("none", "class", "any"):
        raise UserError(f"{name}: label_requirement must be none, class or any, not {shown(labels)}")


def _check_network(entry: Network) -> None:
    name, key, kind = entry.name, (entry.role, entry.name), entry.settings
    if key in OWN:
        raise UserError(f"{name} is a network of ms_gan's own", "choose another name")
    if "network" in rules(kind):
        raise UserError(f"{name}: none of its settings can be called network")
    for of, each in NETWORKS.items():
        if of[0] == entry.role and of != key and each.settings is kind:
            problem = f"{name}: its settings {kind.__name__} are those of the network {each.name}"
            raise UserError(problem, "make a dataclass of its own for it")


def family(name: Any) -> Family:
    """Return a family by its name. Raises UserError."""
    return _registered(FAMILIES, name, f"family {shown(name)}", FAMILIES)


def network(role: str, name: Any) -> Network:
    """Return a network by its role and its name. Raises UserError."""
    return _registered(NETWORKS, (role, name), f"{role}.network {shown(name)}", networks_of(role))


def networks_of(role: str) -> list[str]:
    """Return the names of all networks for a role."""
    return [name for of, name in NETWORKS if of == role]


def _registered(table: Mapping[Any, Any], key: Any, called: str, known: Iterable[str]) -> Any:
    try:
        return table[key]
    except (KeyError, TypeError):  # a list, such as JSON may have there, is no key
        mend = f"load the recipe's file, which registers it, or use one of {', '.join(sorted(known)) or 'none'}"
        raise UserError(f"{called} is not registered", mend) from None


def network_of(role: str, settings: Settings) -> Network:
    """Return the network that settings are for. Raises UserError."""
    for (of, _), found in NETWORKS.items():
        if of == role and found.settings is type(settings):
            return found
    raise UserError(
        f"no network for a {role} with the settings {type(settings).__name__} is registered",
        "register one in the recipe's file",
    )


def resolved(where: Any) -> Any:
    """Return the class that stands at "module:Class"; a class as it is."""
    return pkgutil.resolve_name(where) if isinstance(where, str) else where
