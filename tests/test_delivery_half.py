"""Bundles whose files hold weights of two bytes."""

from __future__ import annotations

import json

import numpy as np
import pytest
from helpers.bundles import AUTOENCODER, CONVOLUTIONS, TAGS, networks_of, recipe_of, write_bundle
from helpers.commands import SMALL, here, write_mnist

from ms_gan.delivery.bundle import Bundle
from ms_gan.delivery.contract import Contract, example_inputs, read_contract
from ms_gan.errors import UserError

pytestmark = pytest.mark.usefixtures("device")

KINDS = [  # dense layers with BatchNorm, transposed convolutions, residual blocks, an encoder
    ("mlp", ("generator.widths=[64, 128]",)),
    ("acgan", CONVOLUTIONS),
    ("rpgan_residual", (*TAGS, "generator.widths=[16, 12, 8]")),
    ("cvae_early", (*AUTOENCODER, *TAGS, "encoder.widths=[4]", "generator.widths=[4]", "data.size=16")),
]


@pytest.fixture(scope="module", params=KINDS, ids=lambda kind: kind[0])
def both(request, device, tmp_path_factory):
    """The same networks as a bundle of float16 and as one of float32."""
    folder = tmp_path_factory.mktemp("half")
    name, settings = request.param
    return [write_bundle(folder / kind, name, *settings, weights=kind) for kind in ("float16", "float32")]


def types_in(folder, model):
    """What a model's files hold, by parameter, the MindIR's by their number: dimensions, type and bytes."""
    from mindspore.train import mind_ir_pb2

    onnx = pytest.importorskip("onnx")
    mindir = mind_ir_pb2.ModelProto.FromString((folder / model.files["mindir"]).read_bytes())
    graph = onnx.load(folder / model.files["onnx"]).graph
    kinds, others = mind_ir_pb2.TensorProto, onnx.TensorProto
    names = {kinds.FLOAT: "float32", kinds.FLOAT16: "float16", others.FLOAT: "float32", others.FLOAT16: "float16"}
    for parameters in (dict(enumerate(mindir.graph.parameter)), {one.name: one for one in graph.initializer}):
        yield {key: (len(one.dims), names.get(one.data_type), len(one.raw_data)) for key, one in parameters.items()}


def test_matrices_and_kernels_take_half_the_bytes_and_the_rest_keeps_its_own(both):
    half, whole = both
    for name, model in read_contract(half).models.items():
        for found, before in zip(types_in(half, model), types_in(whole, read_contract(whole).models[name])):
            assert {kind for dimensions, kind, _ in found.values() if dimensions > 1} == {"float16"}
            assert "float16" not in {kind for dimensions, kind, _ in found.values() if dimensions < 2}
            assert "float16" not in {kind for _, kind, _ in before.values()}
            # what kernels are computed of is in the ONNX of halves alone
            both_have = [name for name, (dimensions, _, _) in found.items() if dimensions > 1 and name in before]
            assert both_have and all(2 * found[name][2] == before[name][2] for name in both_have)
            assert all("layers" in name for name in set(found) - set(before) if found[name][0] > 1)


def test_the_files_draw_what_rounded_weights_draw_and_the_contract_says_how_far_that_is(both):
    half, whole = both
    contract = read_contract(half)
    assert contract.weights == "float16" and read_contract(whole).weights == "float32"
    for proof in contract.parity.values():
        assert proof.against == "the checkpoint's network with weights rounded to float16 on CPU"
        assert 1e-6 < proof.rounding < 0.05, "rounding does something, but little"
    assert {proof.rounding for proof in read_contract(whole).parity.values()} == {0.0}
    mindir, onnx_, before = Bundle(half, "mindir"), Bundle(half, "onnx"), Bundle(whole, "mindir")
    for name, spec in contract.models.items():
        inputs = example_inputs(spec, contract.label_names, 1, 0)  # those that the test's export compares by
        for found, other, first in zip(*(one.models[name](*inputs) for one in (mindir, onnx_, before))):
            np.testing.assert_allclose(found, other, atol=1e-5, rtol=0)
            assert np.abs(found - first).max() <= contract.parity[spec.files["mindir"]].rounding


def test_only_matrices_and_kernels_are_rounded(device):
    from ms_gan.delivery.half import round_weights

    network, _ = networks_of(recipe_of("mlp", ("generator.widths=[16]",)), seed=1)
    before = {one.name: one.asnumpy().copy() for one in network.get_parameters()}
    round_weights(network)
    for one in network.get_parameters():
        expected = before[one.name]
        if expected.ndim > 1:
            assert np.abs(one.asnumpy() - expected).max() > 0
            expected = expected.astype(np.float16).astype(np.float32)
        np.testing.assert_array_equal(one.asnumpy(), expected, err_msg=one.name)


def test_weights_that_float16_cannot_hold_are_refused(device, tmp_path):
    from mindspore import Tensor

    from ms_gan import runtime
    from ms_gan.delivery.export import Exported, export_bundle

    recipe = recipe_of("mlp", ("generator.widths=[16]",))
    network, _ = networks_of(recipe, seed=1)
    for parameter in network.get_parameters():
        if parameter.ndim > 1:
            parameter.set_data(Tensor(parameter.asnumpy() * np.float32(1e5)))
    exported = Exported(network, None, recipe, None, runtime.set_up("CPU"), {"step": 1})
    with pytest.raises(UserError, match="not finite"):
        export_bundle(tmp_path / "bundle", exported, weights="float16")
    assert list(tmp_path.iterdir()) == []


def test_a_contract_of_other_weights_is_refused(both):
    document = json.loads((both[0] / "contract.json").read_text())
    document["weights"] = "float8"
    with pytest.raises(UserError, match="^weights must be float32 or float16"):
        Contract.from_json(document)
    del document["weights"]
    assert Contract.from_json(document).weights == "float32", "as of bundles that are older"


def test_the_command_says_what_rounding_did(tmp_path, capsys):
    data = write_mnist(tmp_path / "data", 80)
    here("train", "--data-path", data, "--steps", 2, "--batch-size", 8, *SMALL, "--output-dir", tmp_path)
    here("export", tmp_path / "mlp/1", "--weights", "float16", "--format", "mindir", "--output-dir", tmp_path / "b")
    told = capsys.readouterr().out
    assert "equal, to the last bit, to the checkpoint at step" in told and "with weights rounded to float16" in told
    assert "rounding moved what the networks give by up to " in told
    here("infer", tmp_path / "b", "--num", 4, "--output", tmp_path / "x.png")
    assert (tmp_path / "x.png").is_file()
