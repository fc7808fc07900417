"""What recipes may name: families, which say how an update goes, and networks. Importing it needs no MindSpore."""

from __future__ import annotations

import importlib
from dataclasses import dataclass, is_dataclass
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
    """

    name: str
    networks: tuple[str, ...]
    updates: type[Settings]
    step: Any
    label_requirement: str = "none"
    class_logits: bool = False
    label_conditioned: bool = False
    takes_clusters: bool = False


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


FAMILIES = {
    family.name: family
    for family in (
        Family("gan", ("generator", "discriminator"), updates.GANUpdates, "ms_gan.steps.gan_forms:gan_step"),
        Family(
            "acgan",
            ("generator", "discriminator"),
            updates.ACGANUpdates,
            "ms_gan.steps.gan_forms:gan_step",
            label_requirement="class",
            class_logits=True,
        ),
        Family(
            "cvae", ("encoder", "generator"), updates.CVAEUpdates, "ms_gan.steps.cvae:CVAEStep", label_requirement="any"
        ),
        Family(
            "cvae_gan",
            ("encoder", "generator", "discriminator"),
            updates.CVAEGANUpdates,
            "ms_gan.steps.cvae_gan:CVAEGANStep",
            label_requirement="any",
        ),
        Family(
            "rpgan",
            ("generator", "discriminator"),
            updates.RpGANUpdates,
            "ms_gan.steps.rpgan:RpGANStep",
            label_requirement="any",
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
        Network("conv_encoder", "encoder", networks.ConvEncoder, "ms_gan.nets.autoencoder:ConvEncoder"),
    )
}
OWN = {*FAMILIES, *NETWORKS}
ADDED: list[Family | Network] = []  # all that was registered since, in this order
LABEL_REQUIREMENTS = ("none", "class", "any")


class UnknownFamily(UserError):
    """A recipe's family, or one of its networks, is not registered."""


def register(entry: Family | Network) -> None:
    """Let recipes name a family or a network of your own, from the file that holds such a recipe.

    The last one of a name counts, so that a file can be changed and loaded again. Raises UserError for a name of the
    project's own, and for what is no such entry.
    """
    if isinstance(entry, Family):
        _require_settings(entry.name, entry.updates)
        _require_family(entry)
        FAMILIES[entry.name] = entry
    elif isinstance(entry, Network):
        _require_settings(entry.name, entry.settings)
        _require_network(entry)
        NETWORKS[entry.role, entry.name] = entry
    else:
        raise UserError(f"a Family or a Network can be registered, not {shown(entry)}")
    ADDED.append(entry)


def _require_settings(name: Any, kind: Any) -> None:
    if not isinstance(name, str) or not name.isidentifier():
        raise UserError(f"{shown(name)} is no name for a family or a network", "use letters, digits and `_`")
    frozen = isinstance(kind, type) and issubclass(kind, Settings) and is_dataclass(kind)
    if not frozen or not kind.__dataclass_params__.frozen:
        raise UserError(f"{name}: its settings must be a frozen dataclass of Settings, not {shown(kind)}")


def _require_family(entry: Family) -> None:
    if entry.name in OWN:
        raise UserError(f"{entry.name} is a family of ms_gan's own", "choose another name")
    taken = {*SECTIONS, "updates", "name", "summary", "family"}
    for name in entry.networks:
        if not name.isidentifier() or name in taken or name.startswith("optimizer_"):
            raise UserError(f"{entry.name}: {shown(name)} is no name for a network of a family", "choose another name")
    if "generator" not in entry.networks:
        raise UserError(f"{entry.name}: one of its networks must be called generator, the one that draws")
    if entry.label_requirement not in LABEL_REQUIREMENTS:
        raise UserError(
            f"{entry.name}: label_requirement must be one of {', '.join(LABEL_REQUIREMENTS)}, "
            f"not {shown(entry.label_requirement)}"
        )


def _require_network(entry: Network) -> None:
    if (entry.role, entry.name) in OWN:
        raise UserError(f"{entry.name} is a network of ms_gan's own", "choose another name")
    if "network" in rules(entry.settings):
        raise UserError(f"{entry.name}: none of its settings can be called network", "choose another name")
    for (role, name), other in NETWORKS.items():
        if role == entry.role and name != entry.name and other.settings is entry.settings:
            raise UserError(
                f"{entry.name}: its settings {entry.settings.__name__} are those of the network {name}",
                "make a dataclass of its own for it",
            )


def family(name: Any) -> Family:
    """Return a family by its name. Raises UnknownFamily."""
    if not isinstance(name, str) or name not in FAMILIES:
        raise UnknownFamily(
            f"family {shown(name)} is not registered",
            "load the recipe's file, which registers it, or use one of ",
            ", ".join(sorted(FAMILIES)),
        )
    return FAMILIES[name]


def network(role: str, name: Any) -> Network:
    """Return a network by its role and its name. Raises UnknownFamily."""
    if not isinstance(name, str) or (role, name) not in NETWORKS:
        known = ", ".join(sorted(each for of, each in NETWORKS if of == role)) or "none"
        raise UnknownFamily(
            f"{role}.network {shown(name)} is not registered",
            f"load the recipe's file, which registers it, or use one of {known}",
        )
    return NETWORKS[role, name]


def network_of(role: str, settings: Settings) -> Network:
    """Return the network that settings are for. Raises UnknownFamily."""
    for (of, _), found in NETWORKS.items():
        if of == role and found.settings is type(settings):
            return found
    raise UnknownFamily(
        f"no network for a {role} with the settings {type(settings).__name__} is registered",
        "register one in the recipe's file",
    )


def resolved(where: Any) -> Any:
    """Return the class that stands at "module:Class"; a class as it is."""
    if not isinstance(where, str):
        return where
    module, _, name = where.partition(":")
    return getattr(importlib.import_module(module), name)
