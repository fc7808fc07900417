"""From a trained generator to a bundle that is proved equal to it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ms_gan.delivery import web_page
from ms_gan.delivery.contract import (
    CONTRACT,
    FORMATS,
    MODELS,
    SCHEMA,
    WEIGHTS,
    WEIGHTS_ALONE,
    Contract,
    ModelFile,
    ModelSpec,
    Proof,
    RecordedScores,
    Seeding,
    TensorSpec,
    example_inputs,
    file_of,
)
from ms_gan.delivery.formats import READERS, TOLERANCES, WRITERS, ArrayFunction, format_of, runtime_of, write_weights
from ms_gan.delivery.golden import GOLDEN, write_golden
from ms_gan.delivery.parity import PARITY_BATCHES, ParityError, greatest_difference
from ms_gan.delivery.rounding import round_weights
from ms_gan.delivery.server_settings import MODEL_SETTINGS, README, SERVER_SETTINGS, TRITON_SETTINGS, write_server_files
from ms_gan.errors import UserError, shown
from ms_gan.evaluation.sheets import Sheets
from ms_gan.files import CHECKSUMS, new_folder, sha256_of_file, write_checksums
from ms_gan.labels import LabelNames
from ms_gan.latents import DISTRIBUTIONS
from ms_gan.nets.unit_range import UnitRangeEncoder, UnitRangeGenerator
from ms_gan.runs.records import write_json
from ms_gan.runs.summary import METRICS
from ms_gan.runtime import Device, environment
from ms_gan.sampling import CHUNK, in_chunks, on_arrays, require_finite
from ms_gan.schema.recipe import Recipe

PROTOCOL = {"generated", "real", "seed", "split"}  # what a model card says of how a checkpoint was scored
SAMPLES = "samples.png"
PIXELS = "pixels of 8 bits, divided by 255"
RESIZED = (
    f"{PIXELS}; an image of another shape is first cropped at the centre to a square and, still of 8 bits, "
    "resized as the training images were: by area (INTER_AREA in OpenCV), or, being smaller, by INTER_CUBIC"
)
CLASS = "index into `labels` of what the image is to show; any other number is not checked by the graph"
TAGS = (
    "up to {} tags of the image: 1 + their indices into `labels`, each once, in rising order, then zeros; "
    "zeros alone say that it has none. The graph does not check this, and tags in another order are another label "
    "to it"
)
ENCODER = "from images to the distributions of their latents"
LABELLED_ENCODER = (
    "from images and their own labels to the distributions of their latents; from the mean and another label, the "
    "generator draws the image as if it were of that label"
)
OF_LATENT = "of the normal distribution of the image's latent, number by number"
ENCODED = {
    "mean": f"mean {OF_LATENT}; as the generator's latent it gives the reconstruction",
    "log_variance": f"natural logarithm of the variance {OF_LATENT}; a latent is drawn as mean + "
    "exp(log_variance / 2) · standard normal",
}
MINDSPORE = ("MindSpore 2.8.0",)
LOADED_BY: dict[str, dict[str, tuple[str, ...]]] = {  # by how weights are held; docs/bundle.md has how near each came
    "float32": {
        "mindir": MINDSPORE,
        "onnx": (
            "onnxruntime 1.15.1, 1.16.3, 1.19.2 and 1.32.0",
            "MindSpore Lite 2.0.0",
            "OpenVINO 2026.4.1 with INFERENCE_PRECISION_HINT=f32",
            "onnx2torch 1.5.15",
            "IREE 3.13.0",
        ),
    },
    **dict.fromkeys(
        ("float16", "int8"),
        {
            "mindir": MINDSPORE,
            "onnx": (
                "onnxruntime 1.15.1, 1.16.3, 1.19.2 and 1.32.0",
                "OpenVINO 2026.4.1 with EXECUTION_MODE_HINT=ACCURACY",
            ),
        },
    ),
}
WRITES = {  # every file of a bundle, in whatever formats it is
    CONTRACT,
    SCHEMA,
    CHECKSUMS,
    SAMPLES,
    GOLDEN,
    SERVER_SETTINGS,
    README,
    *web_page.WRITES,
    *web_page.RUNTIME,  # so they were called in 0.1.0
    *(f"{name}.{WEIGHTS_ALONE}" for name in MODELS),
    *(file_of(name, form) for name in MODELS for form in FORMATS),
    *(f"{name}/{settings}" for name in MODELS for settings in (MODEL_SETTINGS, TRITON_SETTINGS)),
}


@dataclass(frozen=True)
class Exported:
    """What a bundle is made of.

    Attributes:
        encoder: the encoder of an autoencoder; else None.
        label_names: the names behind the labels of a conditional model; else None.
        origin: which checkpoint of which run; "step" is its step. It goes into the contract.
        scores: of this checkpoint, where it was scored; they go into the contract, and into the bundle's README.
    """

    generator: UnitRangeGenerator
    encoder: UnitRangeEncoder | None
    recipe: Recipe
    label_names: LabelNames | None
    device: Device
    origin: Mapping[str, Any]
    scores: RecordedScores | None = None


def recorded_scores(run: Path, step: int) -> RecordedScores | None:
    """Return what `eval --metrics` recorded of a run's checkpoint; None where that was another one, or none."""
    try:
        found = json.loads((run / METRICS).read_text(encoding="utf-8"))
        judge = found["judge"] and found["judge"]["text"]
        scores = RecordedScores(found["protocol"], found["generated"], found["real"], judge)
        whole = found["model"]["step"] == step and PROTOCOL <= scores.protocol.keys()
    except (OSError, ValueError, KeyError, TypeError, AttributeError):  # none, or of another version
        return None
    return scores if whole else None


def export_bundle(
    folder: Path,
    exported: Exported,
    formats: Sequence[str] = FORMATS,
    overwrite: bool = False,
    weights: str = "float32",
    web_runtime: Path | None = None,
) -> Contract:
    """Write a bundle, load it back, and compare; the folder appears only when the two are equal. Return its contract.

    `formats` are some of FORMATS, and perhaps WEIGHTS_ALONE. `overwrite` allows a bundle to be there already.
    `weights`, of contract.WEIGHTS: how files hold matrices and kernels; short ones round those of `exported`, too.
    `web_runtime`: the folder of the package onnxruntime-web, for a page that draws without a server.

    Raises ParityError, and leaves all files as they were, if a file's outputs differ from its network's: those of a
    MindIR at all, those of an ONNX by more than its tolerance. Raises UserError for a network that gives numbers that
    are not finite, and for other weights.
    """
    if weights not in WEIGHTS:
        raise UserError(f"unknown weights {shown(weights)}", f"choose one of {', '.join(WEIGHTS)}")
    runnable = [form for form in FORMATS if form in formats]
    models = models_of(exported.recipe, exported.label_names, exported.encoder is not None, runnable)
    with new_folder(folder, overwrite) as hidden:
        written = {name: _write_model(hidden, name, spec, exported, weights) for name, spec in models.items()}
        parity = {file: proof for proofs, _ in written.values() for file, proof in proofs.items()}
        alone = [f"{name}.{WEIGHTS_ALONE}" for name in models if WEIGHTS_ALONE in formats]
        for name, file in zip(models, alone):
            about = {"recipe": exported.recipe.name, "step": str(exported.origin["step"]), "weights": weights}
            write_weights(getattr(exported, name), hidden / file, weights, about)
        contract = Contract(
            recipe=exported.recipe.name,
            family=exported.recipe.family,
            models=models,
            labels=None if exported.label_names is None else exported.label_names.names,
            origin=exported.origin,
            versions=environment(),
            parity=parity,
            files={file: _facts(hidden / file) for file in (*parity, *alone)},
            weights=weights,
            scores=exported.scores,
            seeding=Seeding.of(exported.recipe.latent),
            rows_at_once=CHUNK,
            loaded_by={form: LOADED_BY[weights][form] for form in runnable},
        )
        write_json(hidden / CONTRACT, contract.to_json())
        shutil.copyfile(Path(__file__).with_name(SCHEMA), hidden / SCHEMA)
        opened = {name: model for name, (_, model) in written.items()}
        write_golden(hidden / GOLDEN, models, opened, exported.label_names)
        _draw_samples(hidden / SAMPLES, opened["generator"], exported)
        write_server_files(hidden, contract, SAMPLES)
        if "onnx" in formats:
            web_page.write_page(hidden, web_runtime)
        write_checksums(hidden)
    return contract


def _facts(file: Path) -> ModelFile:
    return ModelFile(sha256_of_file(file), file.stat().st_size, format_of(file))


def _write_model(
    folder: Path, name: str, spec: ModelSpec, exported: Exported, weights: str
) -> tuple[dict[str, Proof], ArrayFunction]:
    """Write a model in the formats of its files, read each back, and compare.

    Return the proofs by file, and the model in its first format.
    """
    network, proofs, opened = getattr(exported, name).set_train(False), {}, []
    batches = [example_inputs(spec, exported.label_names, size, seed) for seed, size in enumerate(PARITY_BATCHES)]
    rounding, against = 0.0, "the checkpoint's network"
    if weights != "float32":
        before = [on_arrays(network)(*batch) for batch in batches]
        round_weights(network, weights)
        rounding = greatest_difference(before, on_arrays(network), batches)
        against += f" with weights rounded to {weights}"
    expected = [on_arrays(network)(*batch) for batch in batches]
    for outputs in expected:
        for output, tensor in zip(outputs, spec.outputs):
            require_finite(output, f"the {name} at step {exported.origin['step']:,}", f"{tensor.name}s")
    for form, file in spec.files.items():
        WRITERS[form](network, spec, folder / file, weights)
        opened.append(READERS[form](folder / file, spec))
        difference = greatest_difference(expected, opened[-1], batches)
        runtime, tolerance = runtime_of(form, str(exported.device)), TOLERANCES[form]
        if difference > tolerance:
            raise ParityError(
                f"{file} differs from the checkpoint's network by up to {difference:g} on {runtime}, more than "
                f"{tolerance:g}; nothing was exported"
            )
        where = f"{against} on {exported.device}"
        proofs[file] = Proof(where, runtime, PARITY_BATCHES, difference, tolerance, rounding)
    return proofs, opened[0]


def models_of(
    recipe: Recipe, label_names: LabelNames | None, with_encoder: bool, formats: Sequence[str] = FORMATS
) -> dict[str, ModelSpec]:
    """Return what goes into each model and comes out, tensor by tensor, and its files."""
    data, latent = recipe.data, recipe.latent
    channels = "RGB" if data.channels == 3 else "grey, 1 is white"
    shape = (data.channels, data.size, data.size)
    image = TensorSpec("image", shape, "float32", PIXELS, (0.0, 1.0), layout="NCHW", channels=channels)
    meaning = DISTRIBUTIONS[latent.distribution]
    if recipe.clusters:
        meaning += f"; the first number chooses one of {recipe.clusters} clusters of images"
    latents = TensorSpec(
        "latent", (latent.size,), "float32", meaning, distribution=latent.distribution, clusters=recipe.clusters or None
    )
    labels = () if label_names is None else (_label_spec(label_names),)
    meaning = f"from latents{' and labels' if labels else ''} to images"
    files = {name: {form: file_of(name, form) for form in formats} for name in MODELS}
    models = {"generator": ModelSpec(meaning, (latents, *labels), (image,), files["generator"])}
    if with_encoder:
        meaning = LABELLED_ENCODER if labels else ENCODER
        outputs = tuple(TensorSpec(name, (latent.size,), "float32", text) for name, text in ENCODED.items())
        seen = replace(image, meaning=RESIZED)
        models["encoder"] = ModelSpec(meaning, (seen, *labels), outputs, files["encoder"])
    return models


def _label_spec(label_names: LabelNames) -> TensorSpec:
    known, most = len(label_names.names), label_names.max_tags
    if most:
        return TensorSpec("label", (most,), "int32", TAGS.format(most), (0, known))
    return TensorSpec("label", (), "int32", CLASS, (0, known - 1))


def _draw_samples(file: Path, generator: ArrayFunction, exported: Exported) -> None:
    """Draw the sheet that shows what the bundle is, as the bundle itself draws it."""
    recipe, names = exported.recipe, exported.label_names
    about = f"{recipe.name} · step {exported.origin['step']:,} · seed 1"
    sheets = Sheets(lambda inputs: in_chunks(generator, inputs)[0], recipe.latent, 1, about, names)
    if names is not None and names.max_tags:
        sheets.one_of_each(file, len(names.names), 7, names.each())
    else:
        each = None if names is None else names.each()[:10]
        sheets.samples(file, *((5, 5) if each is None else (len(each), 10)), each)
