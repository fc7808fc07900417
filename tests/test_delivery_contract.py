"""A contract is read whole, or refused with the field that is wrong."""

from __future__ import annotations

import json

import pytest
from helpers.bundles import AUTOENCODER, TAGS, labels_of, recipe_of
from helpers.commands import ROOT

from ms_gan.delivery.contract import Contract, ModelFile, Proof, WrongField, file_of, read_contract
from ms_gan.errors import UserError


@pytest.fixture(params=["classes", "tags"])
def document(request):
    """The JSON of a contract: of ten classes, or of an autoencoder with up to three tags."""
    return contract_of(request.param)


def contract_of(kind):
    from ms_gan.delivery.export import models_of

    tagged = kind == "tags"
    recipe = recipe_of("cvae_early", (*AUTOENCODER, *TAGS)) if tagged else recipe_of("acgan", ())
    models = models_of(recipe, labels_of(recipe), with_encoder=tagged)
    files = [file_of(name, form) for name in models for form in ("mindir", "onnx")]
    contract = Contract(
        recipe.name,
        recipe.family,
        models={},
        labels=labels_of(recipe).names,
        origin={"step": 7, "dataset": "noise"},
        versions={"ms_gan": "1"},
        parity={file: Proof("the network", "a runtime", (1, 7), 0.0, 1e-5) for file in files},
        files={file: ModelFile("0" * 64, 5) for file in files},
    ).to_json()
    for name, spec in models.items():
        contract["models"][name] = {
            **spec.to_json(),
            "files": {form: file_of(name, form) for form in ("mindir", "onnx")},
        }
    return json.loads(json.dumps(contract))


def test_what_is_read_is_what_was_written(document):
    contract = Contract.from_json(document)
    assert json.loads(json.dumps(contract.to_json())) == document
    assert contract.generator.inputs[0].range is None and contract.title.endswith(", step 7")


@pytest.mark.parametrize("name", ["mlp", "rpgan"])
def test_the_contracts_of_released_bundles_are_read(name):
    contract = read_contract(ROOT / "ckpt" / name)
    assert contract.recipe == name and contract.held_format == "mindir" and contract.generator.outputs[0].meaning == ""


def generator(change, side="inputs", which=0):
    return lambda contract: contract["models"]["generator"][side][which].update(change)


def encoder(change, side="inputs", which=0):
    return lambda contract: contract["models"]["encoder"][side][which].update(change)


LABELLED = {  # what is wrong with the contract of ten classes, and the field that is named
    "no labels": (lambda contract: contract.update(labels=[]), "labels"),
    "no labels for an input that takes them": (
        lambda contract: contract.update(labels=None),
        "models.generator.inputs",
    ),
    "labels that are no names": (lambda contract: contract.update(labels=list(range(10))), "labels"),
    "one text for all labels": (lambda contract: contract.update(labels="0123456789"), "labels"),
    "a label twice": (lambda contract: contract.update(labels=["0"] * 10), "labels"),
    "nothing said of labels": (lambda contract: contract.pop("labels"), "labels"),
    "a label too many": (lambda contract: contract["labels"].append("10"), "models.generator.inputs.1.range"),
    "a label too few": (lambda contract: contract["labels"].pop(), "models.generator.inputs.1.range"),
    "labels without the input": (
        lambda contract: contract["models"]["generator"]["inputs"].pop(),
        "models.generator.inputs",
    ),
    "another input": (generator({"name": "class", "type": "float32"}, which=1), "models.generator.inputs"),
    "labels of labels": (generator({"shape": ["batch", 1, 1]}, which=1), "models.generator.inputs.1.shape"),
    "a latent without size": (generator({"shape": ["batch"]}), "models.generator.inputs.0.shape"),
    "a latent of no size": (generator({"shape": ["batch", 0]}), "models.generator.inputs.0.shape"),
    "an unknown distribution": (generator({"distribution": "x"}), "models.generator.inputs"),
    "an unknown type": (generator({"type": "float16"}), "models.generator.inputs.0.type"),
    "latents as whole numbers": (generator({"type": "int32"}), "models.generator.inputs.0.type"),
    "labels as fractions": (generator({"type": "float32"}, which=1), "models.generator.inputs.1.type"),
    "images as whole numbers": (generator({"type": "int32"}, "outputs"), "models.generator.outputs.0.type"),
    "no batch": (generator({"shape": [1, 1, 28, 28]}, "outputs"), "models.generator.outputs.0.shape"),
    "flat images": (generator({"shape": ["batch", 784]}, "outputs"), "models.generator.outputs.0.shape"),
    "no generator": (lambda contract: contract["models"].pop("generator"), "models.generator"),
    "an encoder that is none": (
        lambda contract: contract["models"].update(encoder=contract["models"]["generator"]),
        "models.encoder.inputs",
    ),
    "another model": (lambda contract: contract["models"].update(judge=contract["models"]["generator"]), "models"),
    "models in a list": (lambda contract: contract.update(models=[]), "models"),
    "a file that is not listed": (lambda contract: contract["files"].pop("generator.mindir"), "models.generator.files"),
    "a file without a proof": (lambda contract: contract["parity"].clear(), "models.generator.files"),
    "a file that is not there": (
        lambda contract: contract["models"]["generator"]["files"].update(mindir="x.mindir"),
        "models.generator.files",
    ),
    "a format that is none": (
        lambda contract: contract["models"]["generator"]["files"].update(torch="x"),
        "models.generator.files",
    ),
    "no files": (lambda contract: contract["models"]["generator"]["files"].clear(), "models.generator.files"),
    "a file that differs": (
        lambda contract: contract["parity"]["generator.mindir"].update(greatest_difference=0.5),
        "parity.generator.mindir.greatest_difference",
    ),
    "a difference of words": (
        lambda contract: contract["parity"]["generator.mindir"].update(greatest_difference="0"),
        "parity.generator.mindir.greatest_difference",
    ),
    "no digest": (
        lambda contract: contract["files"]["generator.mindir"].pop("sha256"),
        "files.generator.mindir.sha256",
    ),
    "no step": (lambda contract: contract["origin"].pop("step"), "origin.step"),
    "no recipe": (lambda contract: contract.pop("recipe"), "recipe"),
    **{
        f"the file {place}": (lambda contract, place=place: contract["files"].update({place: {"sha256": ""}}), "files")
        for place in ("/etc/hostname", "../generator.mindir", "generator/../../generator.mindir")
    },
}
TAGGED = {  # and with the contract of tags
    "a range of words": (encoder({"range": ["dark", "light"]}), "models.encoder.inputs.0.range"),
    "a range of one number": (encoder({"range": [0.0]}), "models.encoder.inputs.0.range"),
    "a range that falls": (encoder({"range": [1.0, 0.0]}), "models.encoder.inputs.0.range"),
    "no range": (encoder({"range": None}), "models.encoder.inputs.0.range"),
    "half a range": (encoder({"range": [None, 1.0]}), "models.encoder.inputs.0.range"),
    "flat means": (encoder({"shape": ["batch"]}, "outputs"), "models.encoder.outputs.0.shape"),
    "another output": (encoder({"name": "median"}, "outputs"), "models.encoder.outputs"),
}


@pytest.mark.parametrize("what", [*LABELLED, *TAGGED])
def test_a_wrong_contract_is_refused_with_the_field(what):
    contract = contract_of("tags" if what in TAGGED else "classes")
    change, field = {**LABELLED, **TAGGED}[what]
    change(contract)
    with pytest.raises(WrongField) as caught:
        Contract.from_json(contract)
    assert str(caught.value).startswith(f"{field} must be ") and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "content, told",
    [
        ("", "damaged (not JSON); use another copy of the bundle"),
        ("[" * 100_000, "damaged (not JSON); use another copy"),
        ("[]", "damaged (it must be an object); use another copy"),
        ("{}", "damaged (labels must be there, and be a list); use another copy"),
        ('{"contract_version": 3}', "of version 3, which this program does not read; use the version of ms_gan"),
        ('{"contract_version": "x\\n"}', "of version 'x\\n', which this program does not read"),
    ],
    ids=["nothing", "a deep nest", "a list", "an empty one", "a later version", "a version of words"],
)
def test_a_file_that_is_no_contract_is_refused_in_a_line(content, told, tmp_path):
    (tmp_path / "contract.json").write_text(content)
    with pytest.raises(UserError) as caught:
        read_contract(tmp_path)
    text = str(caught.value)
    assert text.startswith(f"{tmp_path / 'contract.json'}: {told}") and "\n" not in text
