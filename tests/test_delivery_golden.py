"""What a bundle says of itself to others: golden inputs and outputs, and a model card."""

from __future__ import annotations

import json
import re
import struct

import numpy as np
import pytest
from helpers.bundles import TAGS, write_autoencoder, write_bundle, write_conditional
from helpers.commands import SMALL, here, python, write_mnist

from ms_gan.delivery import card
from ms_gan.delivery.bundle import Bundle
from ms_gan.delivery.contract import Contract, read_contract
from ms_gan.delivery.export import recorded_scores
from ms_gan.errors import UserError
from ms_gan.schema.recipe import DATASETS

pytestmark = pytest.mark.usefixtures("device")

KINDS = {
    "classes": write_conditional,
    "an encoder": write_autoencoder,
    "tags, float16": lambda folder: write_bundle(
        folder, "rpgan_residual", *TAGS, "generator.widths=[16, 12, 8]", weights="float16"
    ),
}


@pytest.fixture(scope="module", params=KINDS)
def folder(request, device, tmp_path_factory):
    return KINDS[request.param](tmp_path_factory.mktemp("golden") / "bundle")


@pytest.fixture(scope="module")
def golden(folder):
    return json.loads((folder / "golden.json").read_text(encoding="utf-8"))


def arrays(tensors):
    return [np.array(one["data"], one["type"]).reshape(one["shape"]) for one in tensors.values()]


@pytest.mark.parametrize("form", ["mindir", "onnx"])
def test_each_model_gives_the_golden_outputs_for_the_golden_inputs(form, folder, golden):
    bundle = Bundle(folder, form)
    assert set(golden) == set(bundle.contract.models)
    for name, facts in golden.items():
        assert list(facts["inputs"]) == [tensor.name for tensor in bundle.contract.models[name].inputs]
        assert list(facts["outputs"]) == [tensor.name for tensor in bundle.contract.models[name].outputs]
        found = bundle.models[name](*arrays(facts["inputs"]))
        for array, due in zip(found, arrays(facts["outputs"])):
            np.testing.assert_allclose(array, due, rtol=0, atol=0 if form == "mindir" else facts["tolerance"])
            assert due.std() > 0.01, "numbers that differ"
        assert facts["tolerance"] == 1e-5


def test_the_numbers_are_those_of_float32_to_the_last_bit_in_any_language(golden):
    for facts in golden.values():
        for tensor in [*facts["inputs"].values(), *facts["outputs"].values()]:
            assert len(tensor["data"]) == np.prod(tensor["shape"]) and tensor["shape"][0] == 2
            if tensor["type"] == "float32":
                read = [struct.unpack("<f", struct.pack("<f", number))[0] for number in tensor["data"]]
                assert np.array_equal(np.float32(read), np.float32(tensor["data"]))
            else:
                assert tensor["type"] == "int32" and all(type(number) is int for number in tensor["data"])


def test_what_the_readme_says_shows_that_the_file_draws_what_it_should(folder):
    text = (folder / "README.md").read_text(encoding="utf-8")
    server, *programs = re.findall(r"```python\n(.*?)```", text, re.S)
    assert len(programs) == 2 and ":8000/" in server, "which test_operation asks"
    for program in programs:
        done = python("-c", program, cwd=folder)
        difference, most = re.fullmatch(r"(\S+) of at most (\S+)", done.stdout.splitlines()[-1]).groups()
        assert float(difference) <= float(most) == 1e-5


# the model card

RECORDED = {
    "model": {"step": 1234},
    "protocol": {"generated": 500, "real": 400, "seed": 3, "split": "test"},
    "judge": {"text": "mnist (0123), which reads all"},
    "generated": {"fd_500_test_ratio": 1.23456, "only_generated": 2.0},
    "real": {"fd_500_test_ratio": 1.0},
}


def test_there_is_a_sentence_about_every_data_set():
    assert set(card.DATA) == set(DATASETS)


def test_a_scored_checkpoint_has_its_scores_in_contract_and_card(tmp_path, capsys):
    data = write_mnist(tmp_path / "data", 80)
    here("train", "--data-path", data, "--steps", 2, "--batch-size", 8, *SMALL, "--output-dir", tmp_path)
    run, bundle = tmp_path / "mlp/1", tmp_path / "bundle"
    (run / "eval").mkdir(exist_ok=True)
    (run / "eval" / "metrics.json").write_text(json.dumps({**RECORDED, "model": {"step": 2}}))
    here("export", run, "--format", "mindir", "--output-dir", bundle)
    contract, text = read_contract(bundle), (bundle / "README.md").read_text(encoding="utf-8")
    assert contract.scores == recorded_scores(run, 2) is not None
    assert contract.scores.generated == RECORDED["generated"]
    assert "| `fd_500_test_ratio` | 1.235 | 1 |" in text and "| `only_generated` | 2 | – |" in text
    assert '500 samples of seed 3 of this checkpoint against 400 images of the split "test"' in text
    assert "Judge: mnist (0123), which reads all." in text and card.DATA["idx"] in text


@pytest.mark.parametrize(
    "content",
    [
        None,
        "",
        "[]",
        "{}",
        json.dumps({**RECORDED, "model": {"step": 1}}),
        json.dumps({**RECORDED, "judge": 3}),
        json.dumps({**RECORDED, "protocol": {"generated": 500}}),
        json.dumps({**RECORDED, "protocol": []}),
    ],
    ids=[
        "none",
        "empty",
        "a list",
        "an empty one",
        "of another step",
        "a judge of another kind",
        "half a protocol",
        "no protocol",
    ],
)
def test_what_does_not_belong_to_the_checkpoint_is_left_out(content, tmp_path):
    if content is not None:
        (tmp_path / "eval").mkdir()
        (tmp_path / "eval" / "metrics.json").write_text(content)
    assert recorded_scores(tmp_path, 1234) is None


def test_scores_without_a_judge_are_kept(tmp_path):
    (tmp_path / "eval").mkdir()
    (tmp_path / "eval" / "metrics.json").write_text(json.dumps({**RECORDED, "judge": None}))
    assert recorded_scores(tmp_path, 1234).judge is None


def test_a_card_says_that_there_are_no_scores(folder):
    text = (folder / "README.md").read_text(encoding="utf-8")
    assert card.NOT_SCORED in text and "**Limits:**" in text
    assert ("A label is a wish" in text) == bool(read_contract(folder).labels)


def test_scores_that_are_none_are_refused_with_the_field(folder):
    document = json.loads((folder / "contract.json").read_text(encoding="utf-8"))
    assert document["scores"] is None
    for scores, field in [(3, "scores must be an object or null"), ({}, "scores.protocol must be there")]:
        with pytest.raises(UserError, match=f"^{field}"):
            Contract.from_json({**document, "scores": scores})
