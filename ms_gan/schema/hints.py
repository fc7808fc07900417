"""What a wrong name of a setting probably means."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable

from ms_gan.errors import Setting, UserError, shown

# What `train` has an argument of its own for, which the command line calls otherwise than Python.
ARGUMENTS = (
    *("steps", "seed", "data_path", "output_dir", "device_target", "device_id", "device_num", "warm_start"),
    *("schedule.epochs", "schedule.batch_size"),
)
# What else people call an argument, or a setting by the end of its name; in small letters, without `_`.
OTHER_NAMES = {
    "steps": "iterations iters niter maxsteps numsteps",
    "seed": "randomseed manualseed",
    "data_path": "datapath datadir dataroot path root",
    "output_dir": "outputdir outdir",
    "device_num": "devicenum devices ngpu gpus",
    "schedule.epochs": "nepochs numepochs maxepochs",
    "schedule.batch_size": "batch bs minibatch",
    "data.size": "imagesize imgsize resolution",
    "data.classes": "nclasses numclasses",
    "data.max_tags": "places ntags",
    "latent.size": "latentdim zdim nz z dim",
    "learning_rate": "lr",
    "optimizer_generator.learning_rate": "glr lrg",
    "optimizer_discriminator.learning_rate": "dlr lrd",
    "beta1": "b1 adambeta1 betas",
    "beta2": "b2 adambeta2 betas",
    "epsilon": "eps adameps",
    "ema.decay": "ema average averagedecay",
    "discriminator_steps": "ncritic criticiters dsteps k",
    "target_real": "labelsmoothing",
    "gradient_penalty": "gp lambdagp gpweight",
    "gamma": "gp lambdagp gpweight gradientpenalty r1",
    "updates.loss": "ganloss ganmode generatorloss",
    "dropout_rate": "dropout",
}


def no_setting(recipe: str, key: object, known: Iterable[str]) -> UserError:
    """Return the error for a name that is none of the `known` settings of a recipe, with what was probably meant."""
    section, _, last = str(key).rpartition(".")
    within = [name for name in known if name.startswith(f"{section or key}.")]
    if last == "network" and any(name.startswith(f"optimizer_{section}.") for name in known):
        instead = (
            f"give a recipe that has it, as dataclasses.replace(recipe, networks={{**recipe.networks, {section!r}: …}})"
        )
        return UserError(f"{shown(key)} puts another network in its place, and is no setting", instead)
    typed, ends = _plain(last), {name: _plain(name.rpartition(".")[2]) for name in (*known, *ARGUMENTS)}
    others = tuple(f".{name}" for name, words in OTHER_NAMES.items() if typed in words.split())
    found = [name for name, end in ends.items() if end == typed or _plain(name) == _plain(str(key))]
    found = found or [name for name in ends if f".{name}".endswith(others)]
    if not found:
        near = difflib.get_close_matches(typed, ends.values(), 1, 0.74)
        found = [name for name, end in ends.items() if end in near]
    found = [name for name in found if section and section in name] or found
    mend: list[str | Setting] = []
    for name in found:
        mend += [" or " if mend else "did you mean ", Setting(name) if name in ARGUMENTS else name]
    if found:
        mend.append("?")
    elif within and not section:
        mend.append(f"it is a section: name its settings with dots, such as {within[0]}")
    else:
        mend.append("`recipes`, with its name or file, prints all of its settings")
    return UserError(f"recipe {recipe} has no setting {shown(key)}", *mend)


def nearest(name: str, known: Iterable[str]) -> str:
    """Return what was probably meant by a wrong name; "" where that is not clear."""
    return next(iter(difflib.get_close_matches(name, list(known), n=1)), "")


def _plain(name: str) -> str:
    return re.sub("[^a-z0-9]", "", name.lower())
