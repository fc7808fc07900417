"""Published systems as data: one file each, every setting said, unknown ones refused.

Importing this room needs no MindSpore; `ms_gan.recipes.build` turns a recipe into Cells.
"""

from __future__ import annotations

import ast
import copy
import difflib
import importlib
import pkgutil
import re
from collections.abc import Iterable
from typing import Any, Dict, List, Optional, Set

from ms_gan.data import DATASETS
from ms_gan.errors import UserError, shown
from ms_gan.latents import DISTRIBUTIONS

Recipe = dict[str, Any]


class UnknownFamily(UserError):
    """A recipe's family, or one of its networks, has no entry in the tables where such are registered."""


FAMILIES = {  # how an update goes: one step Cell each; the networks that it trains
    "gan": ("generator", "discriminator"),
    "acgan": ("generator", "discriminator"),
    "cvae": ("encoder", "generator"),
    "cvae_gan": ("encoder", "generator", "discriminator"),
    "rpgan": ("generator", "discriminator"),
}
# The sections of every recipe, beside one for each network of its family and one for each one's optimizer; where None
# stands, as for those, the arguments of what is built say the rest.
SECTIONS = {
    "data": {
        "dataset",
        "fallback",
        "size",
        "channels",
        "classes",
        "places",
        "clusters",
        "pixel_range",
        "rotate_and_mirror",
    },
    "latent": {"size", "distribution"},
    "updates": None,
    "average": {"decay"},
    "scores": {"every_epochs", "images", "held_out"},
    "schedule": {"batch_size", "sampling", "steps_per_epoch", "epochs"},
    "sheet": {"rows", "columns", "above_real"},
}
# The arguments of the project's own steps, networks and optimizer. What stands below is said of them, and of SECTIONS,
# alone: a step or a network that is added checks its own.
STEP_ARGUMENTS = {
    **dict.fromkeys(
        ("gan", "acgan"),
        {
            "discriminator_steps",
            "discriminator_update",
            "half_batches",
            "fakes",
            "generator_latents",
            "generator_loss",
            "target_real",
            "target_fake",
            "shared_counters",
            "pretraining_steps",
        },
    ),
    "cvae": {"reconstruction", "kl_weight"},
    "cvae_gan": {
        "reconstruction_layer",
        "reconstruction_weight",
        "kl_weight",
        "gamma",
        "penalised",
        "pretraining_steps",
    },
    "rpgan": {"gamma", "penalised", "class_weight"},
}
NETWORK_ARGUMENTS = {
    "generator": {
        "mlp_generator": {"widths", "slope", "batch_norm", "output", "initializer"},
        "conv_generator": {
            "start_channels",
            "widths",
            "strides",
            "kernel_size",
            "slope",
            "batch_norm",
            "output",
            "first_initializer",
            "initializer",
        },
        "conv_decoder": {"dense_width", "start_channels", "widths", "kernel_size", "initializer"},
    },
    "discriminator": {
        "mlp_discriminator": {"widths", "slope", "initializer"},
        "conv_discriminator": {
            "widths",
            "strides",
            "kernel_size",
            "slope",
            "pooling",
            "dropout_rate",
            "dense_widths",
            "first_initializer",
            "initializer",
        },
    },
    "encoder": {"conv_encoder": {"label_place", "widths", "kernel_size", "dense_width", "initializer"}},
}
ADAM = {"learning_rate", "decay_rate", "decay_steps", "beta1", "beta2", "epsilon"}
BATCH_NORM = {"place", "first_layer", "momentum", "epsilon"}
CHOICES = {
    "distribution": tuple(DISTRIBUTIONS),
    "dataset": tuple(DATASETS),
    "fallback": tuple(DATASETS),
    "sampling": ("epochs", "continuous", "replacement"),
    "place": ("before", "after", "none"),
    "pooling": ("max", "average", "none"),
    "output": ("tanh", "sigmoid"),
    "initializer": ("mindspore", "glorot_uniform", "normal_0.02"),
    "first_initializer": ("mindspore", "glorot_uniform", "normal_0.02"),
    "discriminator_update": ("sum", "mean", "separate"),
    "fakes": ("training", "inference"),
    "generator_latents": ("shared", "new"),
    "generator_loss": ("non_saturating", "saturating"),
    "label_place": ("late", "early"),
    "reconstruction": ("bernoulli", "squared"),
}
AT_LEAST_ONE = {
    "epochs",
    "size",
    "channels",
    "decay_steps",
    "kernel_size",
    "start_channels",
    "discriminator_steps",
    "rows",
    "columns",
    "dense_width",
    "reconstruction_layer",
    "penalised",
}
AT_MOST = {"rows": 100, "columns": 100, "clusters": 1000}
AT_LEAST_ZERO = {"classes", "places", "clusters", "steps_per_epoch", "pretraining_steps", "every_epochs", "held_out"}
AT_LEAST_100 = {"images"}  # fewer say nothing
FROM_ZERO = {"kl_weight", "reconstruction_weight", "gamma", "class_weight", "learning_rate"}
ABOVE_ZERO = {"decay_rate"}
FROM_ZERO_TO_BELOW_ONE = {"beta1", "beta2", "momentum", "dropout_rate", "decay"}
LISTS_OF_SIZES = {"widths", "strides"}
RANGES_IN_0_1 = {"target_real", "target_fake"}
YES_OR_NO = {"half_batches", "shared_counters", "first_layer", "above_real", "rotate_and_mirror"}
WHOLE_NUMBERS = AT_LEAST_ONE | AT_LEAST_ZERO | AT_LEAST_100 | {"batch_size"}
NUMBERS = ABOVE_ZERO | FROM_ZERO | FROM_ZERO_TO_BELOW_ONE | {"epsilon", "slope"}

OPTIONS = {"schedule.epochs": "--epochs", "schedule.batch_size": "--batch-size", "data.dataset": "--dataset"}
# What else people call a setting, by the end of its key, or an option of `train`: small letters, nothing between them.
OTHER_NAMES = {
    "--steps": "steps nsteps numsteps maxsteps totalsteps trainsteps iterations iters niter niters numiterations "
    "maxiter maxiters",
    "--seed": "seed randomseed rngseed manualseed",
    "--data-path": "datapath datadir dataroot datafolder datasetpath datasetdir path root",
    "--output-dir": "outputdir outdir outputpath",
    "--device-target": "device devicetarget",
    "--device-id": "deviceid gpuid",
    "--device-num": "devicenum devices numdevices ndevices ngpu ngpus numgpus",
    "--recipe": "recipe",
    "--resume": "resume",
    "--warm-start": "warmstart",
    "--skip-unreadable": "skipunreadable",
    "schedule.epochs": "epoch nepochs numepochs nbepochs maxepochs trainepochs",
    "schedule.batch_size": "batch bs batchsz minibatch minibatchsize",
    "data.dataset": "datasetname",
    "data.size": "imagesize imgsize imsize inputsize resolution imageresolution",
    "data.channels": "nc nchannels numchannels imagechannels imgchannels inchannels",
    "data.classes": "nclass nclasses numclass numclasses class",
    "data.clusters": "ncluster nclusters numclusters",
    "latent.size": "latentdim latentdims latentdimension nlatent zdim zsize dimz nz z noisedim noisesize",
    "latent.distribution": "latentdist zdist",
    "learning_rate": "lr learnrate",
    "decay_rate": "lrdecay lrdecayrate learningratedecay",
    "decay_steps": "lrdecaysteps",
    "beta1": "b1 adambeta1 betas beta",
    "beta2": "b2 adambeta2 betas beta",
    "epsilon": "eps adameps adamepsilon",
    "average.decay": "ema emadecay emarate emabeta avgdecay average averaging weightaverage",
    "discriminator_steps": "k dsteps discsteps ncritic criticsteps criticiters diters dupdates discriminatoriters",
    "target_real": "labelsmoothing reallabel",
    "gamma": "gp gpweight gpgamma lambdagp gplambda lambda gradientpenalty gradientpenaltyweight r1 r1gamma r1weight",
    "kl_weight": "kl kldweight beta",
    "widths": "hiddendim hiddendims hiddensize hiddensizes",
    "slope": "negativeslope leak leakyslope leakyreluslope",
    "dropout_rate": "dropout droprate dropoutprob pdrop",
    "kernel_size": "kernel ksize filtersize",
    "batch_norm.momentum": "bnmomentum",
    "batch_norm.epsilon": "bneps bnepsilon",
    "pooling": "pool",
    "initializer": "init initialization",
    "columns": "cols ncols ncolumns",
    "rows": "nrows",
}
# What a word of a key says of the section: how the name of such a one begins, or ends.
PLAYERS = {
    "g": "generator",
    "gen": "generator",
    "netg": "generator",
    "generator": "generator",
    "decoder": "generator",
    "d": "discriminator",
    "disc": "discriminator",
    "netd": "discriminator",
    "critic": "discriminator",
    "discriminator": "discriminator",
    "e": "encoder",
    "enc": "encoder",
    "encoder": "encoder",
}
OPTIMIZER = {"opt", "optim", "optimizer", "optimiser", "adam"}

IMAGES_IN_A_CLUSTER = 50  # at least, in the mean: of a few images D would know each by the cluster's number
SMALLEST_BATCH = 4  # BatchNorm needs a variance, also in half a batch
LARGEST_FLOAT32, SMALLEST_FLOAT32 = 3.4028235e38, 1e-37


def names() -> list[str]:
    """Return the names of all recipes: the files of this folder, but for `build`."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__) if module.name != "build")


def load(name: str) -> Recipe:
    """Return a copy of the recipe called `name`. Raises UserError for an unknown name or a recipe that is not whole."""
    if name not in names():
        raise UserError(f"unknown recipe {name!r}{nearest(name, names())}; there are: {', '.join(names())}")
    try:
        recipe = copy.deepcopy(importlib.import_module(f"{__name__}.{name}").RECIPE)
    except Exception as error:  # whatever its author wrote
        where = f", line {error.lineno}" if isinstance(error, SyntaxError) else ""
        raise UserError(f"recipe {name}: its file cannot be read{where}: {error}") from error
    if not isinstance(recipe, dict):
        raise UserError(f"recipe {name}: RECIPE must be a dictionary, not {recipe!r}")
    if recipe.get("name") != name:
        raise UserError(f'recipe {name}: its "name" must be that of its file, {name!r}, not {recipe.get("name")!r}')
    check(recipe)
    return recipe


def flatten(settings: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return nested settings as one level, with dotted keys."""
    flat: dict[str, Any] = {}
    for key, value in settings.items():
        if isinstance(value, dict):
            flat.update(flatten(value, f"{prefix}{key}."))
        else:
            flat[prefix + key] = value
    return flat


def override(recipe: Recipe, assignments: Iterable[str]) -> Recipe:
    """Return the recipe with `key=value` settings applied, keys dotted as `flatten` writes them.

    A value has the type of the one it replaces (a whole number will do for a real
    one). Raises UserError for a key that the recipe does not have, or a wrong type.
    """
    recipe = copy.deepcopy(recipe)
    for assignment in assignments:
        key, equals, text = assignment.partition("=")
        if not equals:
            raise UserError(f"--set takes key=value, not {shown(assignment)}")
        settable = [key for key in flatten(recipe) if key not in ("name", "summary", "family")]
        if key not in settable:
            raise UserError(
                f"recipe {recipe['name']} has no setting {shown(key)}{_meant(key, settable)} "
                f"(`python -m ms_gan recipes {recipe['name']}` shows them all)"
            )
        *path, last = key.split(".")
        section = recipe
        for part in path:
            section = section[part]
        section[last] = _parse(key, text, section[last])
    check(recipe)
    return recipe


def check(recipe: Recipe) -> None:
    """Raise UserError where a recipe lacks a common setting, has an unknown one, or one out of range.

    What a family or a network takes that is not the project's own is left to that one. UnknownFamily is raised for a
    family or a network that is not registered.
    """
    name = recipe.get("name", "?")
    for key in ("summary", "family"):
        if not isinstance(recipe.get(key), str):
            raise UserError(f"recipe {name}: {key} is missing, or no text")
    _require_family(recipe)
    networks = FAMILIES[recipe["family"]]
    sections = {**SECTIONS, **dict.fromkeys(networks), **dict.fromkeys(f"optimizer_{network}" for network in networks)}
    for section in sorted(recipe.keys() - {"name", "summary", "family", *sections}):
        if any(section in (network, f"optimizer_{network}") for each in FAMILIES.values() for network in each):
            raise UserError(
                f"recipe {name}: section {section}, but the networks of the family {recipe['family']} are "
                f"{', '.join(networks)}"
            )
        raise UserError(f"recipe {name}: unknown section {section}{nearest(section, sections)}")
    for section, expected in sections.items():
        if section not in recipe:
            raise UserError(f"recipe {name}: section {section} is missing")
        if not isinstance(recipe[section], dict):
            raise UserError(f"recipe {name}: {section} must be a dictionary of settings, not {recipe[section]}")
        _require_keys(name, section, recipe[section], expected)
        if section in networks:
            _require_network(recipe, section)
        known = _known(recipe, section)
        for key, value in recipe[section].items():
            if isinstance(value, dict) and key in known - {"batch_norm"}:
                raise UserError(f"recipe {name}: {section}.{key} must be one value, not {value!r}")
        if "batch_norm" in known and "batch_norm" in recipe[section]:
            if not isinstance(recipe[section]["batch_norm"], dict):
                raise UserError(f"recipe {name}: {section}.batch_norm must be a dictionary of settings")
            _require_keys(name, f"{section}.batch_norm", recipe[section]["batch_norm"], BATCH_NORM)
    for key, value in known_settings(recipe).items():
        last = key.rsplit(".", 1)[-1]
        fault = _wrong_type(last, value) or _fault(last, value)
        if fault:
            raise UserError(f"recipe {name}: {key} must be {fault}, not {value!r}")
    data = recipe["data"]
    low, high = data["pixel_range"]
    if not low < high:
        raise UserError(f"recipe {name}: data.pixel_range must be [low, high] with low < high")
    if data["classes"] == 1 and not data["places"]:
        raise UserError(f"recipe {name}: data.classes must be 0 for none, or at least 2, not 1")
    if data["clusters"] == 1:
        raise UserError(f"recipe {name}: data.clusters must be 0 for none, or at least 2, not 1")
    if data["places"] and not data["classes"]:
        raise UserError(f"recipe {name}: data.places is how many of data.classes tags an image has, and there are none")
    for network in (recipe[network] for network in networks if {"widths", "strides"} <= _known(recipe, network)):
        convolutions = len(network.get("widths", ())) + ("start_channels" in network)
        if "strides" in network and len(network["strides"]) != convolutions:
            raise UserError(
                f"recipe {name}: {network['network']} needs {convolutions} strides for its widths, "
                f"not {network['strides']}"
            )


def known_settings(recipe: Recipe) -> dict[str, Any]:
    """Return the settings that are checked here, as `flatten` does: all but what an added step or network takes."""
    paths = {key: key.split(".") for key in flatten(recipe)}
    return {
        key: value
        for key, value in flatten(recipe).items()
        if len(paths[key]) > 1 and paths[key][1] in _known(recipe, paths[key][0])
    }


def nearest(name: str, known: Iterable[str]) -> str:
    """Return the end of an error about a wrong name: what was probably meant, or nothing."""
    near = difflib.get_close_matches(name, list(known), n=1)
    return f"; did you mean {near[0]}?" if near else ""


def clusters_of(recipe: Recipe) -> int:
    """Return into how many groups images are put, that stand for classes; 0 for none, as where there are classes."""
    return 0 if recipe["data"]["classes"] else recipe["data"]["clusters"]


def clusters_for(recipe: Recipe, count: int) -> int:
    """Return how many clusters `count` images are put into: as many as the recipe says, or fewer, each of some size."""
    clusters = min(clusters_of(recipe), count // IMAGES_IN_A_CLUSTER)
    return clusters if clusters > 1 else 0


def share_of_batch(recipe: Recipe, devices: int) -> int:
    """Return how many images of a batch each of several devices takes.

    Raises UserError for a batch that cannot be shared.
    """
    size, left = divmod(recipe["schedule"]["batch_size"], devices)
    if left or size < SMALLEST_BATCH:
        raise UserError(
            f"recipe {recipe['name']}: a batch of {recipe['schedule']['batch_size']} cannot be shared by "
            f"{devices} devices; give a --batch-size that is {devices} times at least {SMALLEST_BATCH}"
        )
    return size


def _known(recipe: Recipe, section: str) -> set[str]:
    """What is known here of a section's settings."""
    if section == "updates":
        return STEP_ARGUMENTS.get(recipe["family"], set())
    if section in FAMILIES[recipe["family"]]:
        return NETWORK_ARGUMENTS.get(section, {}).get(recipe[section]["network"], set())
    return SECTIONS.get(section, ADAM)


def _require_family(recipe: Recipe) -> None:
    family, missing = recipe["family"], []
    if family not in FAMILIES:
        missing.append("FAMILIES of ms_gan/recipes/__init__.py")
    if family not in STEP_ARGUMENTS:  # those that are added are registered where MindSpore is needed
        from ms_gan.recipes.build import STEPS

        if family not in STEPS:
            missing.append("STEPS of ms_gan/recipes/build.py")
    if missing:
        raise UnknownFamily(
            f"recipe {recipe.get('name', '?')}: family {shown(family)} is not registered here: "
            f"{' and '.join(missing)} {'have' if len(missing) > 1 else 'has'} no such entry; bring the "
            f"files that define it back, or use one of {', '.join(sorted(STEP_ARGUMENTS))}"
        )


def _require_network(recipe: Recipe, player: str) -> None:
    kind, name = recipe[player].get("network"), recipe.get("name", "?")
    if not isinstance(kind, str):
        raise UserError(f"recipe {name}: setting {player}.network is missing, or no text")
    if kind in NETWORK_ARGUMENTS.get(player, {}):
        return
    from ms_gan.recipes.build import NETWORKS

    there_are = NETWORKS.get(player, {})
    if kind not in there_are:
        instead = f", or use one of {', '.join(sorted(there_are))}" if there_are else ""
        raise UnknownFamily(
            f"recipe {name}: {player}.network {shown(kind)} is not registered here: NETWORKS of "
            f"ms_gan/recipes/build.py has no such entry; bring the file that defines it back"
            f"{instead}"
        )


def _meant(key: str, settable: list[str]) -> str:
    """The end of an error about a key that is no setting: what it is called here, or nothing where that is not sure."""
    section, _, last = key.rpartition(".")
    words = [word.lower() for word in re.findall("[A-Z]?[a-z0-9]+|[A-Z]+", key)]
    players = {PLAYERS[word] for word in words if word in PLAYERS}
    of_optimizer = not OPTIMIZER.isdisjoint(words)
    options = [name for name in OTHER_NAMES if name.startswith("--")]

    def fits(name: str) -> bool:
        if name.startswith("--"):
            return not players and not of_optimizer and section != "updates"
        of = {player for player in PLAYERS.values() if name.partition(".")[0].endswith(player)}
        return (not of_optimizer or name.startswith("optimizer_")) and (not players or not of or bool(players & of))

    def called(typed: str) -> list[str]:
        ends = [meant for meant, others in OTHER_NAMES.items() if typed in others.split()]
        found = [name for name in settable if typed in _ends(name)] or [
            name for end in ends for name in (*settable, *options) if f".{name}".endswith(f".{end}")
        ]
        return list(filter(fits, found))

    bare = "".join(word for word in words if word not in {*PLAYERS, *OPTIMIZER})
    found = called(_joined(key)) or called(_joined(last)) or called(bare) or called(_misspelt(_joined(last), settable))
    of_section = difflib.get_close_matches(section, [name.rpartition(".")[0] for name in found], 1, 0.8)
    found = [name for name in found if name.rpartition(".")[0] in of_section] or found
    use = sorted({OPTIONS.get(name, name) for name in found if name in (*OPTIONS, *options)})
    found = [name for name in found if name not in options]
    hint = f"; did you mean {' or '.join(filter(None, (', '.join(found[:-1]), found[-1])))}?" if found else ""
    return hint + (f"{'' if found else ';'} use {' or '.join(use)} for that" if use else "")


def _joined(key: str) -> str:
    return re.sub("[^a-z0-9]", "", key.lower())


def _ends(key: str) -> set[str]:
    """A setting's key as it may be typed, from each of its parts on."""
    parts = key.split(".")
    return {_joined("".join(parts[start:])) for start in range(len(parts))}


def _misspelt(typed: str, settable: list[str]) -> str:
    """The last part of a key that is typed with a letter or two wrong; nothing for what is right elsewhere."""
    elsewhere = {
        _joined(word)
        for known in (
            *STEP_ARGUMENTS.values(),
            *(arguments for of in NETWORK_ARGUMENTS.values() for arguments in of.values()),
            BATCH_NORM,
        )
        for word in known
    }
    near = difflib.get_close_matches(typed, {_joined(key.rpartition(".")[2]) for key in settable}, 1, 0.82)
    return "".join(
        word for word in near if typed not in elsewhere and typed[0] == word[0] and abs(len(typed) - len(word)) <= 1
    )


def _require_keys(name: str, section: str, settings: dict[str, Any], expected: set[str] | None) -> None:
    found = set(settings)
    for key in sorted(found - (expected or found)):
        raise UserError(f"recipe {name}: unknown setting {section}.{key}{nearest(key, expected)}")
    for key in sorted((expected or found) - found):
        raise UserError(f"recipe {name}: setting {section}.{key} is missing")


def _wrong_type(key: str, value: Any) -> str | None:
    """What a setting called `key` must be, when `value` is not of that type; else None."""
    if key in WHOLE_NUMBERS and type(value) is not int:
        return "a whole number"
    if key in NUMBERS and type(value) not in (int, float):
        return "a number"
    if key in YES_OR_NO and type(value) is not bool:
        return "True or False"
    if key in LISTS_OF_SIZES | {"dense_widths"} and not (
        isinstance(value, list) and all(type(size) is int for size in value)
    ):
        return "a list of whole numbers"
    if key in RANGES_IN_0_1 | {"pixel_range"} and not (
        isinstance(value, list) and len(value) == 2 and all(type(end) in (int, float) for end in value)
    ):
        return "a list of two numbers, [low, high]"
    return None


def _fault(key: str, value: Any) -> str | None:
    """What a setting called `key` must be, when `value` is not that; else None."""
    if key in CHOICES and value not in CHOICES[key]:
        return f"one of {', '.join(CHOICES[key])}"
    if key in AT_LEAST_ONE and not 1 <= value < 2**31:
        return "greater than 0, and below 2^31"
    if key in AT_MOST and value > AT_MOST[key]:
        return f"at most {AT_MOST[key]:,}"
    if key in AT_LEAST_ZERO and not 0 <= value < 2**31:
        return "at least 0, and below 2^31"
    if key in AT_LEAST_100 and not 100 <= value < 2**31:
        return "at least 100, and below 2^31"
    if key == "channels" and value not in (1, 3):
        return "1 (grey) or 3 (colour)"
    if key in FROM_ZERO and not 0 <= value < LARGEST_FLOAT32:
        return "at least 0 and fit into float32"
    if key in ABOVE_ZERO and not 0 < value < LARGEST_FLOAT32:
        return "greater than 0 and fit into float32"
    if key == "epsilon" and not SMALLEST_FLOAT32 <= value < LARGEST_FLOAT32:
        return "greater than 0 and fit into float32"
    if key == "batch_size" and not SMALLEST_BATCH <= value < 2**31:
        return f"at least {SMALLEST_BATCH}, since BatchNorm needs a variance, also in half a batch"
    if key == "slope" and not 0 <= value <= 1:
        return "from 0 to 1"
    if key in FROM_ZERO_TO_BELOW_ONE and not 0 <= value < 1:
        return "at least 0 and below 1"
    if key in LISTS_OF_SIZES and not (value and all(1 <= size < 2**31 for size in value)):
        return "a list of numbers greater than 0"
    if key == "dense_widths" and not all(1 <= size < 2**31 for size in value):
        return "a list of numbers greater than 0, or []"
    if key in RANGES_IN_0_1 and not 0 <= value[0] <= value[1] <= 1:
        return "[low, high] with 0 <= low <= high <= 1"
    return None


def _parse(key: str, text: str, current: Any) -> Any:
    if isinstance(current, str):
        return text
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        value = text
    if isinstance(current, list) and isinstance(value, (list, tuple)):
        items = [_as_type_of(current[0] if current else 1, item) for item in value]
        if None not in items:
            return items
    elif current is None or not isinstance(current, list) and _as_type_of(current, value) is not None:
        return value if current is None else _as_type_of(current, value)
    kinds = {list: "a list", int: "a whole number", float: "a number", bool: "True or False,"}
    raise UserError(f"--set {key}={text}: expected {kinds.get(type(current), 'a value')} like {current}")


def _as_type_of(example: Any, value: Any) -> Any:
    """The value, if it is of the example's type or a whole number where a real one is wanted; else None."""
    if type(value) is type(example):
        return value
    if type(value) is int and type(example) is float and abs(value) < 1e300:
        return float(value)
    return None
