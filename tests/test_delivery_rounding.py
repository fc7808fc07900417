"""Bundles whose files hold weights of two bytes, or of one."""

from __future__ import annotations

import json

import numpy as np
import pytest
from helpers.bundles import AUTOENCODER, CONVOLUTIONS, TAGS, networks_of, recipe_of, write_bundle
from helpers.commands import SMALL, here, write_mnist
from helpers.refusals import refused
from hypothesis import given
from hypothesis import strategies as st

from ms_gan.delivery.bundle import Bundle
from ms_gan.delivery.contract import Contract, example_inputs, read_contract
from ms_gan.delivery.rounding import held_exactly, shortened
from ms_gan.errors import UserError

pytestmark = pytest.mark.usefixtures("device")

KINDS = [  # dense layers with BatchNorm, transposed convolutions, residual blocks, an encoder
    ("mlp", ("generator.widths=[64, 128]",)),
    ("acgan", CONVOLUTIONS),
    ("rpgan_residual", (*TAGS, "generator.widths=[16, 12, 8]")),
    ("cvae_early", (*AUTOENCODER, *TAGS, "encoder.widths=[4]", "generator.widths=[4]", "data.size=16")),
]


SHORT = {"float16": 2, "int8": 4}  # how many times fewer bytes
MOST = {"float16": 0.05, "int8": 0.4}  # what rounding does to small untrained networks: 0.01 and 0.09 was seen


@pytest.fixture(scope="module", params=KINDS, ids=lambda kind: kind[0])
def all_three(request, device, tmp_path_factory):
    """The same networks as a bundle of float32, of float16 and of int8."""
    folder = tmp_path_factory.mktemp("short")
    name, settings = request.param
    return {kind: write_bundle(folder / kind, name, *settings, weights=kind) for kind in ("float32", *SHORT)}


@pytest.fixture(params=SHORT)
def both(request, all_three):
    """Two of these: one with short weights, and that of float32."""
    return all_three[request.param], all_three["float32"]


def types_in(folder, model):
    """What a model's files hold, by parameter, the MindIR's by their number: dimensions, type and bytes."""
    from mindspore.train import mind_ir_pb2

    onnx = pytest.importorskip("onnx")
    mindir = mind_ir_pb2.ModelProto.FromString((folder / model.files["mindir"]).read_bytes())
    graph = onnx.load(folder / model.files["onnx"]).graph
    whole = {one.name: one for one in graph.initializer}
    scaled_ones = [name for name in whole if name.endswith(":scales")]
    constants = [one for one in mindir.graph.node if one.op_type == "Constant" and one.output[0].endswith(":scales")]
    assert len(constants) == len(scaled_ones)
    for node in constants:
        (scales,) = node.attribute[0].tensors
        assert set(scales.dims[1:]) == {1}, "one for each row"
    for name in scaled_ones:
        scales, scaled = whole.pop(name), whole[name.removesuffix(":scales")]
        assert list(scales.dims) == [scaled.dims[0], *[1] * (len(scaled.dims) - 1)], "one for each row"
    for kinds, parameters in (
        (mind_ir_pb2.TensorProto, dict(enumerate(mindir.graph.parameter))),
        (onnx.TensorProto, whole),
    ):
        names = {getattr(kinds, kind.upper().replace("FLOAT32", "FLOAT")): kind for kind in ("float32", *SHORT)}
        yield {key: (len(one.dims), names.get(one.data_type), len(one.raw_data)) for key, one in parameters.items()}


def fixed(key):
    """Whether a tensor of the ONNX is no weight but a constant of the code, such as a resampling filter."""
    return "/data-" in str(key)


def test_matrices_and_kernels_take_fewer_bytes_and_the_rest_keeps_its_own(both):
    short, whole = both
    kind = read_contract(short).weights
    for model, same in zip(read_contract(short).models.values(), read_contract(whole).models.values()):
        for found, before in zip(types_in(short, model), types_in(whole, same)):
            assert {its for key, (dimensions, its, _) in found.items() if dimensions > 1 and not fixed(key)} == {kind}
            assert kind not in {its for dimensions, its, _ in found.values() if dimensions < 2}
            assert not {its for _, its, _ in before.values()} & {*SHORT}
            # what kernels are computed of is in the ONNX of short weights alone
            both_have = [key for key, of in found.items() if of[0] > 1 and key in before and not fixed(key)]
            assert both_have and all(SHORT[kind] * found[key][2] == before[key][2] for key in both_have)
            assert all("layers" in name for name in set(found) - set(before) if found[name][0] > 1)


def test_the_files_draw_what_rounded_weights_draw_and_the_contract_says_how_far_that_is(both):
    short, whole = both
    contract = read_contract(short)
    assert contract.weights in SHORT and read_contract(whole).weights == "float32"
    for proof in contract.parity.values():
        assert proof.against == f"the checkpoint's network with weights rounded to {contract.weights} on CPU"
        assert 1e-6 < proof.rounding < MOST[contract.weights], "rounding does something, but little"
    assert {proof.rounding for proof in read_contract(whole).parity.values()} == {0.0}
    mindir, onnx_, before = Bundle(short, "mindir"), Bundle(short, "onnx"), Bundle(whole, "mindir")
    for name, spec in contract.models.items():
        inputs = example_inputs(spec, contract.label_names, 1, 0)  # those that the test's export compares by
        for found, other, first in zip(*(one.models[name](*inputs) for one in (mindir, onnx_, before))):
            np.testing.assert_allclose(found, other, atol=1e-5, rtol=0)
            assert np.abs(found - first).max() <= contract.parity[spec.files["mindir"]].rounding


@pytest.mark.parametrize("kind", SHORT)
def test_only_matrices_and_kernels_are_rounded(kind, device):
    from ms_gan.delivery.rounding import round_weights

    network, _ = networks_of(recipe_of("mlp", ("generator.widths=[16]",)), seed=1)
    before = {one.name: one.asnumpy().copy() for one in network.get_parameters()}
    round_weights(network, kind)
    for one in network.get_parameters():
        expected = before[one.name]
        if expected.ndim > 1:
            assert np.abs(one.asnumpy() - expected).max() > 0
            expected = shortened(expected, kind).weights()
        np.testing.assert_array_equal(one.asnumpy(), expected, err_msg=one.name)


def test_float16_is_the_nearest():
    weights = np.float32([[1 + 2**-12, -3.14159274], [65504, 2**-25]])
    np.testing.assert_array_equal(shortened(weights, "float16").weights(), [[1, -3.140625], [65504, 0]])


def test_other_weights_are_refused_before_anything_is_written(tmp_path, device):
    said = refused(write_bundle, tmp_path / "bundle", "mlp", "generator.widths=[4]", weights="int4")
    assert said == "unknown weights 'int4'; choose one of float32, float16, int8"
    assert not (tmp_path / "bundle").exists()


def test_int8_is_the_nearest_whole_number_of_scales():
    """127 scales are 254 in the first row, 1 in the second but for the rounding to 16 bits, and 0 in the third."""
    short = shortened(np.float32([[254, -3.1, 2.9], [1, -1, 0.503], [0, 0, 0]]), "int8")
    np.testing.assert_array_equal(short.numbers, [[127, -2, 1], [127, -127, 64], [0, 0, 0]])
    assert short.numbers.dtype == np.int8 and short.scales.dtype == np.float32
    np.testing.assert_array_equal(short.scales[[0, 2]], [[2], [0]])
    assert 1 / 127 < short.scales[1, 0] < 1 / 127 * (1 + 2**-15)


@pytest.mark.parametrize("shape", [(5, 7), (4, 3, 3, 3), (1, 1)])
@given(seed=st.integers(0, 2**32 - 1), size=st.sampled_from([1e-30, 1e-3, 1.0, 1e37]))
def test_int8_is_within_half_a_scale_is_exact_in_float32_and_stays_when_it_is_rounded_again(shape, seed, size):
    weights = (np.random.default_rng(seed).standard_normal(shape) * size).astype(np.float32)
    short = shortened(weights, "int8")
    assert np.abs(short.numbers).max() == 127 and short.scales.shape == (shape[0], *[1] * (len(shape) - 1))
    exact = short.numbers.astype(np.float64) * short.scales.astype(np.float64)
    np.testing.assert_array_equal(short.weights(), exact)
    assert (np.abs(exact - weights) <= short.scales / 2 * (1 + 1e-6)).all()
    again = held_exactly(short.weights(), "int8")
    np.testing.assert_array_equal(again.numbers, short.numbers)
    np.testing.assert_array_equal(again.scales, short.scales)


def test_int8_makes_nothing_of_rows_too_small_for_it_and_turns_no_sign():
    tiny = np.finfo(np.float32).tiny
    rows = np.float32([[178 * 2.0**-149, -178 * 2.0**-149], [tiny * 126, -tiny], [tiny * 254, -tiny * 4], [3, -1]])
    short = shortened(rows, "int8")
    np.testing.assert_array_equal(short.numbers, [[0, 0], [0, 0], [127, -2], [127, -42]])
    assert held_exactly(short.weights(), "int8") is not None


def test_int8_cannot_hold_the_greatest_of_float32():
    assert np.isinf(shortened(np.float32([[3.4028234e38, 1], [1, 1]]), "int8").weights()[0, 0])


def test_what_would_not_be_held_exactly_keeps_float32():
    for row in ([1, 1 / 3], [np.nan, 1], [np.inf, 1]):
        assert held_exactly(np.float32([row]), "int8") is None
    assert held_exactly(np.float32([[1 / 3]]), "float16") is None
    assert held_exactly(np.float32([127, 1]), "int8") is None, "a vector"
    assert held_exactly(np.int32([[127, 1]]), "int8") is None
    assert held_exactly(np.float32([[127, 1]]), "float32") is None
    assert held_exactly(np.zeros((0, 3), np.float32), "int8") is None


@pytest.mark.parametrize("kind, times", [("float16", 1e5), ("int8", np.inf)])
def test_weights_that_become_infinite_are_refused(kind, times, device, tmp_path):
    from mindspore import Tensor

    from ms_gan import runtime
    from ms_gan.delivery.export import Exported, export_bundle

    recipe = recipe_of("mlp", ("generator.widths=[16]",))
    network, _ = networks_of(recipe, seed=1)
    for parameter in network.get_parameters():
        if parameter.ndim > 1:
            parameter.set_data(Tensor(parameter.asnumpy() * np.float32(times)))
    exported = Exported(network, None, recipe, None, runtime.set_up("CPU"), {"step": 1})
    with pytest.raises(UserError, match="not finite"):
        export_bundle(tmp_path / "bundle", exported, weights=kind)
    assert list(tmp_path.iterdir()) == []


def test_a_contract_of_other_weights_is_refused(all_three):
    document = json.loads((all_three["int8"] / "contract.json").read_text())
    document["weights"] = "float8"
    with pytest.raises(UserError, match="^weights must be float32, float16 or int8"):
        Contract.from_json(document)
    del document["weights"]
    assert Contract.from_json(document).weights == "float32", "as of bundles that are older"


@pytest.mark.parametrize("kind", SHORT)
def test_the_command_says_what_rounding_did(kind, tmp_path, capsys):
    data = write_mnist(tmp_path / "data", 80)
    here("train", "--data-path", data, "--steps", 2, "--batch-size", 8, *SMALL, "--output-dir", tmp_path)
    here("export", tmp_path / "mlp/1", "--weights", kind, "--format", "mindir", "--output-dir", tmp_path / "b")
    told = capsys.readouterr().out
    assert "equal, to the last bit, to the checkpoint at step" in told and f"with weights rounded to {kind}" in told
    assert "rounding moved what the networks give by up to " in told
    here("infer", tmp_path / "b", "--num", 4, "--output", tmp_path / "x.png")
    assert (tmp_path / "x.png").is_file()
