"""A contract is read whole, or refused with the field that is wrong."""

from __future__ import annotations

import json
from dataclasses import fields

import numpy as np
import pytest
from helpers.bundles import AUTOENCODER, TAGS, labels_of, recipe_of
from helpers.commands import ROOT

from ms_gan.delivery.contract import Contract, ModelFile, Proof, Seeding, TensorSpec, read_contract
from ms_gan.errors import UserError
from ms_gan.latents import DISTRIBUTIONS
from ms_gan.sampling import seeded_inputs
from ms_gan.schema.recipe import Latent


def contract_of(kind):
    """The JSON of a contract: of ten classes, or of an autoencoder with up to three tags."""
    from ms_gan.delivery.export import models_of

    tagged = kind == "tags"
    recipe = recipe_of("cvae_early", (*AUTOENCODER, *TAGS)) if tagged else recipe_of("acgan", ())
    models = models_of(recipe, labels_of(recipe), with_encoder=tagged)
    files = [file for model in models.values() for file in model.files.values()]
    contract = Contract(
        recipe.name,
        recipe.family,
        models,
        labels=labels_of(recipe).names,
        origin={"step": 7, "dataset": "noise"},
        versions={"ms_gan": "1"},
        parity={file: Proof("the network", "a runtime", (1, 7), 0.0, 1e-5) for file in files},
        files={file: ModelFile("0" * 64, 5) for file in files},
    )
    return json.loads(json.dumps(contract.to_json()))


@pytest.mark.parametrize("kind", ["classes", "tags"])
def test_what_is_read_is_what_was_written(kind):
    document = contract_of(kind)
    contract = Contract.from_json(document)
    assert json.loads(json.dumps(contract.to_json())) == document
    assert contract.generator.inputs[0].range is None and contract.title.endswith(", step 7")


@pytest.mark.parametrize(
    "name", ["tests/kept_runs/contract_float16", "ckpt/rpgan_residual_mnist", "tests/kept_runs/bundle"]
)
def test_the_contracts_of_earlier_bundles_are_read(name):
    assert read_contract(ROOT / name).held_format == "mindir"


GENERATOR, ENCODER = "models.generator", "models.encoder"
WRONG = [  # what is changed in the contract of classes, or, of an encoder, in that of tags; what to; the field named
    ("labels", [], "labels"),
    ("labels", None, f"{GENERATOR}.inputs"),
    ("labels", list(range(10)), "labels.0"),
    ("labels", "0123456789", "labels"),
    ("labels", ["0"] * 10, "labels"),
    ("labels", ..., "labels"),
    ("labels", [*"0123456789a"], f"{GENERATOR}.inputs.1.range"),
    ("labels", [*"012345678"], f"{GENERATOR}.inputs.1.range"),
    ("models|generator|inputs|1", ..., f"{GENERATOR}.inputs"),
    ("models|generator|inputs|1|name", "class", f"{GENERATOR}.inputs.1.name"),
    ("models|generator|inputs|1|shape", ["batch", 1, 1], f"{GENERATOR}.inputs.1.shape"),
    ("models|generator|inputs|0|shape", ["batch"], f"{GENERATOR}.inputs.0.shape"),
    ("models|generator|inputs|0|shape", ["batch", 0], f"{GENERATOR}.inputs.0.shape.1"),
    ("models|generator|inputs|0|shape", [], f"{GENERATOR}.inputs.0.shape"),
    ("models|generator|inputs|0|distribution", "x", f"{GENERATOR}.inputs.0.distribution"),
    ("models|generator|inputs|0|distribution", [], f"{GENERATOR}.inputs.0.distribution"),
    ("models|generator|inputs|0|type", "int32", f"{GENERATOR}.inputs.0.type"),
    ("models|generator|inputs|1|type", "float32", f"{GENERATOR}.inputs.1.type"),
    ("models|generator|inputs", 3, f"{GENERATOR}.inputs"),
    ("models|generator|outputs|0|type", "int32", f"{GENERATOR}.outputs.0.type"),
    ("models|generator|outputs|0|shape", [1, 1, 28, 28], f"{GENERATOR}.outputs.0.shape.0"),
    ("models|generator|outputs|0|shape", ["batch", 784], f"{GENERATOR}.outputs.0.shape"),
    ("models|generator|outputs|0|range", ["dark", "light"], f"{GENERATOR}.outputs.0.range"),
    ("models|generator|files", {}, f"{GENERATOR}.files"),
    ("models|generator|files|mindir", "x.mindir", f"{GENERATOR}.files"),
    ("models|generator|files|mindir", [], f"{GENERATOR}.files.mindir"),
    ("models|generator|files|torch", "generator.mindir", f"{GENERATOR}.files"),
    ("models|generator", ..., "models.generator"),
    ("models|judge", {}, "models"),
    ("models|encoder", {}, "models.encoder.meaning"),
    ("models|generator|inputs|0|shape", ["batch", 64.5], f"{GENERATOR}.inputs.0.shape.1"),
    ("seeding", {"numpy": "x"}, "seeding.versions"),
    ("rows_at_once", 0, "rows_at_once"),
    ("loaded_by", {"onnx": [3]}, "loaded_by.onnx.0"),
    ("scores", [], "scores"),
    ("models", [], "models"),
    ("files|generator.mindir", ..., f"{GENERATOR}.files"),
    ("files|generator.mindir|sha256", ..., "files.generator.mindir.sha256"),
    ("files|../generator.mindir", {"sha256": "", "bytes": 1}, "files"),
    ("files|/etc/hostname", {"sha256": "", "bytes": 1}, "files"),
    ("parity|generator.mindir|greatest_difference", "0", "parity.generator.mindir.greatest_difference"),
    ("parity|generator.mindir|greatest_difference", 1e-3, "parity.generator.mindir.greatest_difference"),
    ("parity|generator.mindir|greatest_difference", float("nan"), "parity.generator.mindir.greatest_difference"),
    ("parity|generator.mindir", ..., f"{GENERATOR}.files"),
    ("weights", "float8", "weights"),
    ("parity|generator.mindir|rounding", "0", "parity.generator.mindir.rounding"),
    ("origin|step", ..., "origin.step"),
    ("recipe", ..., "recipe"),
    ("models|encoder|inputs|0|range", [1.0, 0.0], f"{ENCODER}.inputs.0.range"),
    ("models|encoder|inputs|0|range", None, f"{ENCODER}.inputs.0.range"),
    ("models|encoder|outputs|0|shape", ["batch"], f"{ENCODER}.outputs.0.shape"),
    ("models|encoder|outputs|0|name", "median", f"{ENCODER}.outputs.0.name"),
]


@pytest.mark.parametrize("place, value, field", WRONG)
def test_a_wrong_contract_is_refused_with_the_field(place, value, field):
    """`value` is ... where the field is left out."""
    document = contract_of("tags" if place.startswith("models|encoder|") else "classes")
    *parents, name = (int(part) if part.isdigit() else part for part in place.split("|"))
    part = document
    for parent in parents:
        part = part[parent]
    if value is ...:
        del part[name]
    else:
        part[name] = value
    with pytest.raises(UserError) as caught:
        Contract.from_json(document)
    assert str(caught.value).startswith(f"{field} must ") and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "content, told",
    [
        ("", "damaged (not JSON); use another copy of the bundle"),
        ("[" * 100_000, "damaged (not JSON); use another copy"),
        ("[]", "damaged (it must be an object); use another copy"),
        ("{}", "damaged (recipe must be there); use another copy"),
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


def test_the_schema_is_one_and_every_bundle_holds_it(tmp_path):
    import fastjsonschema
    from helpers.bundles import write_conditional

    folder = write_conditional(tmp_path / "bundle", formats=("onnx",))
    schema = json.loads((folder / "contract.schema.json").read_text())
    document = json.loads((folder / "contract.json").read_text())
    fastjsonschema.compile(schema)(document)
    assert set(document) == set(schema["properties"]), "it knows each field, and each is there"
    tensors = {**schema["definitions"]["latent"]["properties"], **schema["definitions"]["image"]["properties"]}
    assert {field.name for field in fields(TensorSpec)} == set(tensors)
    for name, kind in (("parity", Proof), ("files", ModelFile)):
        known = schema["properties"][name]["additionalProperties"]["properties"]
        assert set(known) == {field.name for field in fields(kind)}


@pytest.mark.parametrize("distribution", DISTRIBUTIONS)
def test_the_contract_says_how_a_seed_becomes_latents(distribution):
    latent = Latent(size=5, distribution=distribution)
    for seed in (0, 7, 2**32 - 1):
        found = eval(Seeding.of(latent).numpy, {"numpy": np, "seed": seed, "n": 3})
        (due,) = seeded_inputs(latent, 3, seed)
        assert found.dtype == np.float32 and np.array_equal(found, due)
