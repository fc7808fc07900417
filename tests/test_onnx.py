"""The ONNX of every recipe draws what its network draws, and says of itself what contract and Triton's settings say."""

from __future__ import annotations

import dataclasses
import re

import mindspore  # noqa: F401  before onnx and tritonclient: it needs a protobuf of its own choice
import numpy as np
import onnx
import onnxruntime
import pytest
from google.protobuf import text_format
from helpers.bundles import (
    AUTOENCODER,
    CONVOLUTIONS,
    TAGS,
    labels_of,
    networks_of,
    recipe_of,
    write_autoencoder,
    write_conditional,
)
from helpers.commands import PUBLISHED, python
from helpers.networks import normal
from mindspore import nn, ops
from tritonclient.grpc import model_config_pb2

from ms_gan.delivery import onnx_graph
from ms_gan.delivery.bundle import Bundle
from ms_gan.delivery.contract import ModelSpec, TensorSpec, example_inputs, read_contract
from ms_gan.delivery.export import models_of
from ms_gan.delivery.formats import read_mindir, write_mindir, write_onnx
from ms_gan.delivery.server_settings import readme, triton_settings
from ms_gan.sampling import on_arrays

pytestmark = pytest.mark.usefixtures("device")

DENSE = ("generator.widths=[16, 32]",)
LARGE = ("generator.start_channels=8", "generator.widths=[6, 5, 4]")
RESIDUAL = ("generator.widths=[8, 6, 4]",)
FLAT = ("encoder.widths=[4]", "generator.widths=[4]")
DRAWN = [
    ("mlp", ()),
    ("mlp", (*DENSE, "generator.batch_norm.place=after", "data.size=30", "data.channels=3")),
    ("keras_mlp", DENSE),
    ("slim_mlp", DENSE),
    ("slim_mlp_fixed", DENSE),
    ("rpgan", (*DENSE, "data.classes=10")),
    ("rpgan", (*DENSE, "data.clusters=5")),
    ("stacked_mnist", DENSE),
    ("rpgan_residual", RESIDUAL),
    ("rpgan_residual", (*RESIDUAL, "data.size=30", "data.channels=1", "data.max_tags=0", "data.classes=10")),
    ("rpgan_residual_mnist", RESIDUAL),
    ("photographs", RESIDUAL),
    ("acgan", CONVOLUTIONS),
    ("acgan", (*CONVOLUTIONS, "data.size=30", "latent.distribution=sphere")),
    ("dcgan", LARGE),
    ("dcgan", (*LARGE, "data.size=31")),
    ("dcgan", (*LARGE, "data.size=28", "data.channels=1")),
    ("cvae_late", (*AUTOENCODER, *FLAT)),
    ("cvae_late", (*AUTOENCODER, *TAGS, "data.size=30")),
    ("cvae_early", (*AUTOENCODER, *TAGS)),
    ("cvae_early", (*AUTOENCODER, "data.size=28", "data.max_tags=0", "data.classes=10")),
    ("cvae_gan", (*AUTOENCODER, *TAGS, "data.size=25", "data.channels=1")),
]
TYPES = {"float32": onnx.TensorProto.FLOAT, "int32": onnx.TensorProto.INT32}
TRITON_TYPES = {onnx.TensorProto.FLOAT: model_config_pb2.TYPE_FP32, onnx.TensorProto.INT32: model_config_pb2.TYPE_INT32}


def test_every_recipe_is_drawn_here():
    assert PUBLISHED == {name for name, _ in DRAWN}


@pytest.fixture(scope="module", params=DRAWN, ids=lambda drawn: " ".join([drawn[0], *drawn[1][-2:]]))
def written(request, device, tmp_path_factory):
    """A recipe's networks as ONNX: for each its name, its spec, its Cell and its file."""
    recipe = recipe_of(*request.param)
    generator, encoder = networks_of(recipe, seed=3)
    labels = labels_of(recipe)
    folder = tmp_path_factory.mktemp("onnx")
    found = []
    for name, spec in models_of(recipe, labels, with_encoder=encoder is not None).items():
        network = {"generator": generator, "encoder": encoder}[name]
        write_onnx(network, spec, folder / spec.files["onnx"])
        found.append((name, spec, network, folder / spec.files["onnx"]))
    return labels, found


def test_onnxruntime_draws_what_the_network_draws(written):
    labels, found = written
    for name, spec, network, file in found:
        session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
        inputs = example_inputs(spec, labels, 64, 5)
        expected = on_arrays(network)(*inputs)
        for batch in (1, 7, 64):
            feeds = {tensor.name: array[:batch] for tensor, array in zip(spec.inputs, inputs)}
            for output, whole in zip(session.run([tensor.name for tensor in spec.outputs], feeds), expected):
                np.testing.assert_allclose(output, whole[:batch], atol=1e-5, rtol=0, err_msg=f"{name}, {batch}")
        assert min(output.std() for output in expected) > 0.01, "what is compared differs from number to number"
        if labels is not None:
            others = (inputs[0], np.roll(inputs[1], 1, axis=0))
            feeds = dict(zip(("latent" if name == "generator" else "image", "label"), others))
            changed = session.run([spec.outputs[0].name], feeds)[0]
            assert (changed != expected[0]).reshape(64, -1).any(axis=1).mean() > 0.9, f"{name} looks at its labels"


def test_no_operator_is_there_that_a_runtime_was_seen_to_refuse_or_to_get_wrong(written):
    for name, _, _, file in written[1]:
        graph = onnx.load(str(file)).graph
        held = {tensor.name for tensor in graph.initializer}
        for node in graph.node:
            assert node.op_type != "Conv" or node.input[1] in held, f"{name}: {node.name} has a kernel that is computed"
            attributes = {each.name: onnx.helper.get_attribute_value(each) for each in node.attribute}
            assert node.op_type not in ("OneHot", "Relu", "Constant"), f"{name}: {node.name}"
            assert "auto_pad" not in attributes, f"{name}: {node.name}"
            if node.op_type == "ConvTranspose":
                pads = attributes["pads"]
                assert pads[: len(pads) // 2] == pads[len(pads) // 2 :], f"{name}: {node.name}"


def written_by_hand(nodes, numbers=(), shape=(1, 2, 7, 9)):
    """An ONNX of an input x, some nodes, and an output y."""
    value = onnx.helper.make_tensor_value_info
    tensors = [onnx.numpy_helper.from_array(np.asarray(number), name) for name, number in numbers]
    sides = [value(name, onnx.TensorProto.FLOAT, sizes) for name, sizes in (("x", shape), ("y", None))]
    graph = onnx.helper.make_graph(nodes, "by_hand", sides[:1], sides[1:], tensors)
    return onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 15)], ir_version=8)


def computed(model, x):
    return onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"]).run(
        None, {"x": x}
    )[0]


@pytest.mark.parametrize("pad", ["SAME_UPPER", "SAME_LOWER", "VALID"])
@pytest.mark.parametrize("kind, side, stride", [("Conv", 4, 1), ("Conv", 5, 2), ("Conv", 2, 3), ("MaxPool", 3, 2)])
def test_padding_by_numbers_is_what_it_was(kind, side, stride, pad):
    stream = np.random.default_rng(1)
    kernel = [("kernel", stream.standard_normal((3, 2, side, side), np.float32))] if kind == "Conv" else []
    inputs = ["x", *(name for name, _ in kernel)]
    padded = {"auto_pad": pad, "kernel_shape": [side] * 2, "strides": [stride] * 2}
    model = written_by_hand([onnx.helper.make_node(kind, inputs, ["y"], **padded)], kernel)
    x = stream.standard_normal((1, 2, 7, 9), np.float32)
    expected = computed(model, x)
    onnx_graph.write_out_padding(model)
    assert "auto_pad" not in [each.name for each in model.graph.node[0].attribute]
    assert np.array_equal(computed(model, x), expected)


@pytest.mark.parametrize("padding", [(2, 0, 1, 4), (2, 2, 1, 1), (0, 2, 0, 0), (1, 0, 3, 1), (1, 1, 0, 0)])
@pytest.mark.parametrize("kind, side, stride", [(nn.Conv2d, 3, 1), (nn.Conv2d, 4, 2), (nn.Conv2dTranspose, 4, 2)])
def test_each_side_is_padded_as_the_network_pads_it(kind, side, stride, padding, tmp_path):
    """Also of networks of one's own; those of the project pad all sides alike, or by `same`."""
    network = kind(2, 3, side, stride, pad_mode="pad", padding=padding).set_train(False)
    x = np.random.default_rng(1).standard_normal((2, 2, 7, 9), np.float32)
    expected = on_arrays(network)(x)[0]
    sides = [(TensorSpec(name, shape, "float32"),) for name, shape in (("x", (2, 7, 9)), ("y", expected.shape[1:]))]
    write_onnx(network, ModelSpec("", *sides, {}), tmp_path / "padded.onnx")
    np.testing.assert_allclose(computed(onnx.load(tmp_path / "padded.onnx"), x), expected, atol=1e-5)


class LogSoftmax(nn.Cell):
    """Of one's own; the project's recipes have none."""

    def __init__(self, axis):
        super().__init__()
        self.axis = axis

    def construct(self, x):
        return ops.log_softmax(2 * x, self.axis) + 1


@pytest.mark.parametrize("axis", [1, 2, -2, 3, -1])
def test_a_log_softmax_normalises_over_its_axis_alone(axis, tmp_path):
    x = np.random.default_rng(1).standard_normal((3, 2, 7, 9), np.float32)
    network = LogSoftmax(axis).set_train(False)
    sides = [(TensorSpec(name, (2, 7, 9), "float32"),) for name in "xy"]
    write_onnx(network, ModelSpec("", *sides, {}), tmp_path / "turned.onnx")
    found = computed(onnx.load(tmp_path / "turned.onnx"), x)
    np.testing.assert_allclose(found, on_arrays(network)(x)[0], atol=1e-5)
    np.testing.assert_allclose(np.exp(found - 1).sum(axis), 1, atol=1e-5)


def test_padding_of_an_unknown_size_is_refused():
    node = onnx.helper.make_node("MaxPool", ["x"], ["y"], auto_pad="SAME_UPPER", kernel_shape=[3, 3], strides=[2, 2])
    with pytest.raises(ValueError, match="the size of 'x' is not known"):
        onnx_graph.write_out_padding(written_by_hand([node], shape=(1, 2, "height", "width")))


@pytest.mark.parametrize("sides, strides", [((5, 5), (2, 2)), ((4, 5), (2, 2)), ((3, 4), (1, 2)), ((1, 2), (2, 3))])
def test_transposed_convolutions_have_the_size_that_they_had_and_equal_padding(sides, strides):
    """What MindSpore writes, `output_shape`, against the definition: each pixel adds its kernel, cut to that size."""
    stream = np.random.default_rng(1)
    kernel, x = stream.standard_normal((2, 3, *sides), np.float32), stream.standard_normal((1, 2, 7, 9), np.float32)
    size = [7 * strides[0], 9 * strides[1]]
    told = {"kernel_shape": sides, "strides": strides, "output_shape": [1, 3, *size]}
    model = written_by_hand(
        [onnx.helper.make_node("ConvTranspose", ["x", "kernel"], ["y"], **told)], [("kernel", kernel)]
    )
    onnx_graph.write_out_transposed_sizes(model)
    pads = {each.name: list(each.ints) for each in model.graph.node[0].attribute}["pads"]
    assert pads[:2] == pads[2:] and min(pads) >= 0

    whole = np.zeros((3, 7 * strides[0] + 9, 9 * strides[1] + 9))
    for row, column in np.ndindex(7, 9):
        top, left = row * strides[0], column * strides[1]
        whole[:, top : top + sides[0], left : left + sides[1]] += np.einsum("i,iohw->ohw", x[0, :, row, column], kernel)
    tops = [max(0, side - stride) // 2 for side, stride in zip(sides, strides)]
    expected = whole[:, tops[0] : tops[0] + size[0], tops[1] : tops[1] + size[1]]
    np.testing.assert_allclose(computed(model, x)[0], expected, rtol=0, atol=1e-5)


def test_an_output_that_no_input_changes_stays():
    """The graph gives y of x, and the constant z."""
    model = written_by_hand(
        [onnx.helper.make_node("Neg", ["x"], ["y"]), onnx.helper.make_node("Transpose", ["held"], ["z"], perm=[1, 0])],
        [("held", np.float32([[1, 2, 3]]))],
    )
    model.graph.output.append(onnx.helper.make_tensor_value_info("z", onnx.TensorProto.FLOAT, (3, 1)))
    onnx_graph.fold_constants(model)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    assert np.array_equal(session.run(["z"], {"x": np.zeros((1, 2, 7, 9), np.float32)})[0], [[1], [2], [3]])


@pytest.mark.parametrize("swapped", [False, True])
@pytest.mark.parametrize(
    "slope, rest, of, joined",
    [(0.2, 0.8, "x", True), (0.0, 1.0, "x", True), (0.2, 0.7, "x", False), (0.2, 0.8, "z", False)],
)
def test_only_what_is_a_leaky_relu_becomes_one(slope, rest, of, joined, swapped):
    make = onnx.helper.make_node
    nodes = [
        make("Neg", ["x"], ["z"]),
        make("Mul", ["x", "slope"], ["scaled"]),
        make("Relu", [of], ["above"]),
        make("Mul", ["above", "rest"], ["more"]),
        make("Add", ["more", "scaled"] if swapped else ["scaled", "more"], ["y"]),
    ]
    model = written_by_hand(nodes, [("slope", np.float32(slope)), ("rest", np.float32(rest))])
    x = np.random.default_rng(1).standard_normal((1, 2, 7, 9), np.float32)
    expected = computed(model, x)
    onnx_graph.join_leaky_relus(model)
    kinds = [node.op_type for node in model.graph.node]
    assert kinds == ["LeakyRelu"] if joined else kinds[-1] == "Add"
    assert len(model.graph.initializer) == (0 if joined else 2), "what nothing uses is gone"
    np.testing.assert_allclose(computed(model, x), expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("kernels", [True, False])
def test_constants_are_held_in_the_type_in_which_they_are_used(kernels):
    constant = onnx.numpy_helper.from_array(np.float64(0.1), "tenth")
    nodes = [
        onnx.helper.make_node("Constant", [], ["tenth"], value=constant),
        onnx.helper.make_node("Cast", ["tenth"], ["cast"], to=onnx.TensorProto.FLOAT),
        onnx.helper.make_node("Transpose", ["weight"], ["kernel"], perm=[1, 0]),
        onnx.helper.make_node("Mul", ["x", "kernel"], ["product"]),
        onnx.helper.make_node("Mul", ["product", "cast"], ["y"]),
    ]
    model = written_by_hand(nodes, [("weight", normal(9, 7))])
    x = np.ones((1, 2, 7, 9), np.float32)
    expected = computed(model, x)
    onnx_graph.fold_constants(model, kernels)
    assert [node.op_type for node in model.graph.node] == ["Transpose"] * (not kernels) + ["Mul", "Mul"]
    assert {tensor.name for tensor in model.graph.initializer} == {"cast", "kernel" if kernels else "weight"}
    assert {tensor.data_type for tensor in model.graph.initializer} == {onnx.TensorProto.FLOAT}
    assert np.array_equal(computed(model, x), expected)


@pytest.mark.slow
def test_a_mindir_draws_to_the_last_bit_what_the_network_draws(written, tmp_path):
    labels, found = written
    for name, spec, network, _ in found:
        file = tmp_path / f"{name}.mindir"
        write_mindir(network, spec, file)
        inputs = example_inputs(spec, labels, 7, 5)
        for output, expected in zip(read_mindir(file, spec)(*inputs), on_arrays(network)(*inputs)):
            np.testing.assert_array_equal(output, expected, err_msg=name)


def test_the_file_says_of_itself_what_the_contract_says(written):
    for name, spec, _, file in written[1]:
        model = onnx.load(str(file))
        onnx.checker.check_model(model)
        assert model.producer_name == "ms_gan"
        for tensors, described in ((model.graph.input, spec.inputs), (model.graph.output, spec.outputs)):
            assert [tensor.name for tensor in tensors] == [told.name for told in described]
            for tensor, told in zip(tensors, described):
                batch, *sizes = tensor.type.tensor_type.shape.dim
                assert batch.dim_param == "batch" and not batch.HasField("dim_value"), f"{name}: {tensor.name}"
                assert [size.dim_value for size in sizes] == list(told.shape)
                assert tensor.type.tensor_type.elem_type == TYPES[told.type]
        names = {"generator": (["latent"], ["image"]), "encoder": (["image"], ["mean", "log_variance"])}[name]
        takes_label = written[0] is not None
        assert ([tensor.name for tensor in model.graph.input], [tensor.name for tensor in model.graph.output]) == (
            names[0] + ["label"] * takes_label,
            names[1],
        )


def test_tritons_settings_are_of_its_own_kind_and_agree_with_the_file(written):
    for name, spec, _, file in written[1]:
        config = text_format.Parse(triton_settings(name, spec), model_config_pb2.ModelConfig())
        assert (config.name, config.backend, config.default_model_filename) == (name, "onnxruntime", file.name)
        assert config.max_batch_size > 1 and config.HasField("dynamic_batching")
        graph = onnx.load(str(file)).graph
        for settings, tensors in ((config.input, graph.input), (config.output, graph.output)):
            assert [setting.name for setting in settings] == [tensor.name for tensor in tensors]
            for setting, tensor in zip(settings, tensors):
                assert setting.data_type == TRITON_TYPES[tensor.type.tensor_type.elem_type]
                assert all(size > 0 for size in setting.dims) and len(setting.dims) > 0, "Triton wants a size"
                reshaped = setting.HasField("reshape")
                seen = list(setting.reshape.shape if reshaped else setting.dims)
                assert seen == [size.dim_value for size in tensor.type.tensor_type.shape.dim[1:]]
                assert np.prod(seen) == np.prod(setting.dims), "a reshape loses nothing"
                assert reshaped == (setting.name == "label" and not written[0].max_tags)


# what a bundle's README says, as it says it


@pytest.fixture(scope="module", params=["conditional", "autoencoder"])
def bundle(request, device, tmp_path_factory):
    folder = tmp_path_factory.mktemp("bundle") / "bundle"
    if request.param == "autoencoder":
        return write_autoencoder(folder)
    return write_conditional(folder, "latent.distribution=sphere")


def snippets(folder, language):
    return re.findall(rf"```{language}\n(.*?)```", (folder / "README.md").read_text(encoding="utf-8"), re.S)


TAIL = """
print(image.shape[0], image.dtype, image.min() >= 0, image.max() <= 1, image.std() > 0.01)
names = ("image", "label", "reconstructed", "transferred")
numpy.savez("found.npz", **{name: globals()[name] for name in names if name in globals()})
"""


@pytest.mark.parametrize("which", [1, 2], ids=["onnxruntime", "mindspore"])
def test_the_readmes_programs_draw_reconstruct_and_relabel(bundle, which):
    """As the bundle itself does; in a new process, and told by the files' own names."""
    program = snippets(bundle, "python")[which]
    assert ("onnxruntime" in program, "mindspore" in program) == (which == 1, which == 2)
    done = python("-W", "ignore", "-c", program + TAIL, cwd=bundle, PYTHONPATH="")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "4 float32 True True True"
    found = dict(np.load(bundle / "found.npz"))
    (bundle / "found.npz").unlink()
    assert ("encoder" in program) == ("transferred" in found) == (bundle / "encoder.mindir").exists()
    if "encoder" in program:
        opened = Bundle(bundle)
        mean = opened.encode((found["image"], found["label"]))
        assert len(np.unique(found["label"][:, 0])) > 1
        for name, label in (("reconstructed", found["label"]), ("transferred", np.roll(found["label"], 1, 0))):
            np.testing.assert_allclose(found[name], opened.draw((mean, label)), rtol=0, atol=1e-5)
        assert not np.allclose(found["transferred"], found["reconstructed"], rtol=0, atol=1e-4)


def test_the_readme_tells_of_this_bundle(bundle):
    text = (bundle / "README.md").read_text(encoding="utf-8")
    assert "step 1,234" in text and "](samples.png)" in text and (bundle / "samples.png").stat().st_size > 1000
    commands = "".join(snippets(bundle, "bash"))
    for command in ("bash scripts/run_serve.sh FOLDER", "-m pip install --no-deps CLONE"):
        assert command in text, "it says where the package comes from"
    mlserver = "MLSERVER_HOST=127.0.0.1 mlserver start ."
    for command in ("python -m ms_gan serve .", mlserver, "tritonserver --model-repository=.", "curl -s "):
        assert command in commands
    has_encoder = (bundle / "encoder.mindir").exists()
    for word in ("`mean`", "`log_variance`", "encoder.mindir"):
        assert (word in text) == has_encoder
    assert "None" not in text and "{" not in re.sub(r"```.*?```", "", text, flags=re.S), "a place that nothing filled"


def test_a_readme_speaks_of_no_format_that_is_not_there(bundle):
    for absent, words in (("onnx", ("onnx", "triton")), ("mindir", ("mindir", "MindSpore"))):
        contract = read_contract(bundle)
        models = {
            name: dataclasses.replace(spec, files={form: file for form, file in spec.files.items() if form != absent})
            for name, spec in contract.models.items()
        }
        parity = {  # what they were compared with is a network of MindSpore
            file: dataclasses.replace(contract.parity[file], against="the network")
            for spec in models.values()
            for file in spec.files.values()
        }
        contract = dataclasses.replace(contract, models=models, parity=parity)
        text = readme(contract, "samples.png")
        assert not [word for word in words if word in text], absent
        assert text.count("```python") == (1 if absent == "onnx" else 2) and "ms_gan serve ." in text
