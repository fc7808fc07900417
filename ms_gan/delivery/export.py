"""From a trained generator to a bundle that is proved equal to it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ms_gan.delivery.contract import CONTRACT, CONTRACT_VERSION, FORMATS, MODELS, Facts, example_inputs, file_of
from ms_gan.delivery.formats import READERS, TOLERANCES, WRITERS, Run, runtime_of
from ms_gan.delivery.server_settings import README, SERVER_SETTINGS, write_server_files
from ms_gan.errors import UserError
from ms_gan.evaluation import sheets
from ms_gan.evaluation.sampling import Inputs, in_chunks, on_arrays, require_finite
from ms_gan.files import CHECKSUMS, new_folder, read_checksums, sha256_of_file, write_checksums
from ms_gan.labels import LabelNames
from ms_gan.latents import DISTRIBUTIONS
from ms_gan.nets.blocks import EncoderOfUnitRange, UnitRange
from ms_gan.recipes import Recipe, clusters_of
from ms_gan.runtime import Device, environment

PARITY_BATCHES = (1, 7, 64)
SAMPLES = "samples.png"
MANY = {"image": "images", "mean": "means", "log_variance": "variances"}  # what several of an output are called
WRITES = (
    CONTRACT,
    CHECKSUMS,
    SAMPLES,
    SERVER_SETTINGS,
    README,
    *MODELS,  # directly in the folder
    *(file_of(name, "mindir") for name in MODELS),
)


class ParityError(Exception):
    """The exported file does not compute what the checkpoint's network computes."""


def export_bundle(
    folder: Path,
    generator: UnitRange,
    encoder: EncoderOfUnitRange | None,
    recipe: Recipe,
    labels: LabelNames | None,
    device: Device,
    origin: dict[str, Any],
    formats: Sequence[str] = FORMATS,
    replace: bool = False,
) -> Facts:
    """Write a bundle, load it back, and compare; the folder appears only when the two are equal. Return its contract.

    `encoder` is that of an autoencoder; `labels` the names behind the labels of a conditional model. `origin` goes
    into the contract: which checkpoint, at which step, of which run. `formats` are some of FORMATS. `replace` allows a
    bundle to be there already. Raises ParityError, and leaves everything as it was, when a file computes anything else
    than its network: a MindIR by whatever little, an ONNX by more than its tolerance; and UserError for a network that
    gives numbers that are not finite.
    """
    networks = {"generator": generator, "encoder": encoder}
    models = models_of(recipe, labels, with_encoder=encoder is not None)
    with new_folder(folder, replace) as hidden:
        parity, runs = {}, {}
        for name, facts in models.items():
            networks[name].set_train(False)  # MindSpore exports a network in training mode without a word
            batches = [example_inputs(facts, labels, batch, seed) for seed, batch in enumerate(PARITY_BATCHES)]
            for batch in batches:
                for output, told in zip(on_arrays(networks[name])(*batch), facts["outputs"]):
                    require_finite(output, f"the {name} at step {origin['step']:,}", MANY[told["name"]])
            facts["files"] = {format: file_of(name, format) for format in formats}
            for format, file in facts["files"].items():
                WRITERS[format](networks[name], facts, hidden / file)
                run = READERS[format](hidden / file, facts)
                runs.setdefault(name, run)
                difference = greatest_difference(on_arrays(networks[name]), run, batches)
                where = runtime_of(format, str(device))
                if difference > TOLERANCES[format]:
                    raise ParityError(
                        f"{file} differs from the checkpoint's network by up to {difference:g} "
                        f"on {where}, more than {TOLERANCES[format]:g}; nothing was exported"
                    )
                parity[file] = {
                    "against": f"the checkpoint's network on {device}",
                    "runtime": where,
                    "batches": list(PARITY_BATCHES),
                    "greatest_difference": difference,
                    "tolerance": TOLERANCES[format],
                }
        contract = {
            "contract_version": CONTRACT_VERSION,
            "recipe": recipe["name"],
            "family": recipe["family"],
            "models": models,
            "labels": None if labels is None else list(labels.names),
            "origin": origin,
            "versions": environment(),
            "parity": parity,
            "files": {
                file: {"sha256": sha256_of_file(hidden / file), "bytes": (hidden / file).stat().st_size}
                for file in parity
            },
        }
        (hidden / CONTRACT).write_text(json.dumps(contract, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        _draw_samples(hidden / SAMPLES, runs["generator"], recipe, labels, origin["step"])
        write_server_files(hidden, contract, SAMPLES)
        write_checksums(hidden, [str(file.relative_to(hidden)) for file in hidden.rglob("*") if file.is_file()])
    return contract


def files_of_earlier(folder: Path) -> set[str]:
    """Return the files of a folder that an earlier export wrote there, by their paths in it.

    They are those that its checksums cover and that are of an export's kind: checksums alone, anyone may have written.
    """
    try:
        listed = read_checksums(folder)
    except UserError:  # whose the files are cannot be told
        return set()
    return {name for name in (CHECKSUMS, *listed) if name.split("/")[0] in WRITES}


def greatest_difference(expected: Run, found: Run, batches: Sequence[Inputs]) -> float:
    """Return max |expected − found| over every number of the outputs for these inputs; NaN counts as infinite."""
    greatest = 0.0
    for batch in batches:
        ones, others = expected(*batch), found(*batch)
        if len(ones) != len(others):
            raise ParityError(f"the file gives {len(others)} outputs, the checkpoint's network {len(ones)}")
        for one, other in zip(ones, others):
            if one.shape != other.shape:
                raise ParityError(f"the file gives {other.shape}, the checkpoint's network {one.shape}")
            difference = float(np.max(np.abs(one - other)))
            greatest = max(greatest, difference if np.isfinite(difference) else float("inf"))
    return greatest


def models_of(recipe: Recipe, labels: LabelNames | None, with_encoder: bool) -> dict[str, Facts]:
    """Return what goes into each model and comes out, tensor by tensor."""
    latent, data = recipe["latent"], recipe["data"]
    image_facts = {
        "name": "image",
        "shape": ["batch", data["channels"], data["size"], data["size"]],
        "type": "float32",
        "range": [0.0, 1.0],
        "layout": "NCHW",
        "channels": "RGB" if data["channels"] == 3 else "grey, 1 is white",
        "meaning": "pixels of 8 bits, divided by 255",
    }
    latent_shape = ["batch", latent["size"]]
    latent_facts = {
        "name": "latent",
        "shape": latent_shape,
        "type": "float32",
        "range": [None, None],
        "distribution": latent["distribution"],
        "meaning": DISTRIBUTIONS[latent["distribution"]],
    }
    if clusters_of(recipe):
        latent_facts["meaning"] += f"; the first number chooses one of {clusters_of(recipe)} clusters of images"
    labelled, own, relabelled = (
        ("", "", "")
        if labels is None
        else (
            " and labels",
            " and their own labels",
            "; from the mean and another label, the generator draws the image as if it were of that label",
        )
    )
    models = {
        "generator": {
            "meaning": f"from latents{labelled} to images",
            "inputs": [latent_facts, *_label_facts(labels)],
            "outputs": [image_facts],
        }
    }
    if with_encoder:
        meaning = "of the normal distribution of the image's latent, number by number"
        models["encoder"] = {
            "meaning": f"from images{own} to the distributions of their latents{relabelled}",
            "inputs": [
                {
                    **image_facts,
                    "meaning": f"{image_facts['meaning']}; an image of another shape is first "
                    "cropped at the centre to a square and, still of 8 bits, resized as the training images were: "
                    "by area (INTER_AREA in OpenCV), or, being smaller, by INTER_CUBIC",
                },
                *_label_facts(labels),
            ],
            "outputs": [
                {
                    "name": "mean",
                    "shape": latent_shape,
                    "type": "float32",
                    "meaning": f"mean {meaning}; as the generator's latent it gives the reconstruction",
                },
                {
                    "name": "log_variance",
                    "shape": latent_shape,
                    "type": "float32",
                    "meaning": f"natural logarithm of the variance {meaning}; a latent is drawn as mean + "
                    f"exp(log_variance / 2) · standard normal",
                },
            ],
        }
    return models


def _label_facts(labels: LabelNames | None) -> list[Facts]:
    if labels is None:
        return []
    if not labels.places:
        return [
            {
                "name": "label",
                "shape": ["batch"],
                "type": "int32",
                "range": [0, len(labels.names) - 1],
                "meaning": "index into `labels` of what the image is to show; any other number is not checked by "
                "the graph",
            }
        ]
    return [
        {
            "name": "label",
            "shape": ["batch", labels.places],
            "type": "int32",
            "range": [0, len(labels.names)],
            "meaning": f"up to {labels.places} tags of the image: 1 + their indices into `labels`, each once, in "
            f"rising order, then zeros; zeros alone say that it has none. The graph does not check "
            f"this, and tags in another order are another label to it",
        }
    ]


def _draw_samples(file: Path, generator: Run, recipe: Recipe, labels: LabelNames | None, step: int) -> None:
    """Draw the sheet that shows what the bundle is, as the bundle itself draws it."""

    def draw(inputs: Inputs) -> np.ndarray:
        return in_chunks(generator, inputs)[0]

    about = f"{recipe['name']} · step {step:,} · seed 1"
    if labels is not None and labels.places:
        sheets.one_of_each(file, draw, recipe["latent"], len(labels.names), 7, 1, about, labels.each(), labels)
    else:
        each = None if labels is None else labels.each()[:10]
        rows, columns = (5, 5) if each is None else (len(each), 10)
        sheets.samples(file, draw, recipe["latent"], rows, columns, 1, about, each, labels)
