"""What a wrong name of a setting probably means."""

from __future__ import annotations

import dataclasses
import difflib
import re
from collections.abc import Iterable

from ms_gan.errors import Setting, UserError, shown
from ms_gan.recipes import registry
from ms_gan.schema.recipe import Recipe

# Settings that `train` has an argument of its own for.
ARGUMENTS = {"schedule.epochs": "epochs", "schedule.batch_size": "batch_size", "data.dataset": "dataset"}
# What else people call a setting, by the end of its name, or, behind an @, an argument of `train`: small letters alone.
OTHER_NAMES = {
    "@steps": "steps nsteps numsteps maxsteps totalsteps trainsteps iterations iters niter niters numiterations "
    "maxiter maxiters",
    "@seed": "seed randomseed rngseed manualseed",
    "@data_path": "datapath datadir dataroot datafolder datasetpath datasetdir path root",
    "@output_dir": "outputdir outdir outputpath",
    "@device_target": "device devicetarget",
    "@device_id": "deviceid gpuid",
    "@device_num": "devicenum devices numdevices ndevices ngpu ngpus numgpus",
    "@recipe": "recipe",
    "@resume": "resume",
    "@warm_start": "warmstart",
    "@skip_unreadable": "skipunreadable",
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
    "ema.decay": "ema emarate emabeta avgdecay averagedecay average averaging weightaverage",
    "discriminator_steps": "k dsteps discsteps ncritic criticsteps criticiters diters dupdates discriminatoriters",
    "target_real": "labelsmoothing reallabel",
    "gradient_penalty": "gp gpweight lambdagp gplambda lambda gradientpenaltyweight gpcoef",
    "updates.loss": "ganloss ganmode gantype lossname losstype",
    "data.max_tags": "places ntags numtags maxlabels",
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


def refuse(recipe: Recipe, key: str, settable: list[str]) -> UserError:
    """Return the error for a name that is no setting of a recipe, with what was probably meant."""
    problem = f"recipe {recipe.name} has no setting {shown(key)}"
    found, arguments = _meant(key, settable)
    names = " or ".join(filter(None, (", ".join(found[:-1]), found[-1]))) if found else ""
    use: list[str | Setting] = [f"did you mean {names}?"] if found else []
    for number, argument in enumerate(arguments):
        use += [" or " if number else f"{' ' if found else ''}use ", Setting(argument)]
    use += [" for that"] if arguments else []
    return UserError(problem, *(use or [f"`recipes {recipe.name}` prints all of its settings"]))


def _meant(key: str, settable: list[str]) -> tuple[list[str], list[str]]:
    """Return the settings, and the arguments of `train`, that a wrong name means; none where that is not sure."""
    section, _, last = key.rpartition(".")
    words = [word.lower() for word in re.findall("[A-Z]?[a-z0-9]+|[A-Z]+", key)]
    players = {PLAYERS[word] for word in words if word in PLAYERS}
    of_optimizer = not OPTIMIZER.isdisjoint(words)
    arguments = [name for name in OTHER_NAMES if name.startswith("@")]

    def fits(name: str) -> bool:
        if name.startswith("@"):
            return not players and not of_optimizer and section != "updates"
        of = {player for player in PLAYERS.values() if name.partition(".")[0].endswith(player)}
        return (not of_optimizer or name.startswith("optimizer_")) and (not players or not of or bool(players & of))

    def called(typed: str) -> list[str]:
        ends = [meant for meant, others in OTHER_NAMES.items() if typed in others.split()]
        found = [name for name in settable if typed in _ends(name)] or [
            name for end in ends for name in (*settable, *arguments) if f".{name}".endswith(f".{end}")
        ]
        return list(filter(fits, found))

    bare = "".join(word for word in words if word not in {*PLAYERS, *OPTIMIZER})
    found = called(_joined(key)) or called(_joined(last)) or called(bare) or called(_misspelt(_joined(last), settable))
    of_section = difflib.get_close_matches(section, [name.rpartition(".")[0] for name in found], 1, 0.8)
    found = [name for name in found if name.rpartition(".")[0] in of_section] or found
    use = sorted({ARGUMENTS.get(name, name[1:]) for name in found if name in ARGUMENTS or name in arguments})
    return [name for name in found if name not in arguments], use


def _joined(key: str) -> str:
    return re.sub("[^a-z0-9]", "", key.lower())


def _ends(key: str) -> set[str]:
    """A setting's name as it may be typed, from each of its parts on."""
    parts = key.split(".")
    return {_joined("".join(parts[start:])) for start in range(len(parts))}


def _misspelt(typed: str, settable: list[str]) -> str:
    """The last part of a name that is typed with a letter or two wrong; nothing for what is right elsewhere."""
    kinds: Iterable[type] = (
        *(family.updates for name, family in registry.FAMILIES.items() if name in registry.OWN),
        *(network.settings for key, network in registry.NETWORKS.items() if key in registry.OWN),
    )
    elsewhere = {_joined(field.name) for kind in kinds for field in dataclasses.fields(kind)}
    near = difflib.get_close_matches(typed, {_joined(key.rpartition(".")[2]) for key in settable}, 1, 0.82)
    return "".join(
        word for word in near if typed not in elsewhere and typed[0] == word[0] and abs(len(typed) - len(word)) <= 1
    )
