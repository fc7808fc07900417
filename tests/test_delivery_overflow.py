"""Numbers that overflow in a network are seen: in MindIR as in ONNX, by the server, by `infer` and before an export."""

from __future__ import annotations

import re

import numpy as np
import pytest
from helpers.bundles import AUTOENCODER, CONVOLUTIONS, TAGS, labels_of, networks_of, recipe_of, write_bundle
from helpers.commands import refused_here
from helpers.servers import INFER, serving, tensor

from ms_gan import runtime
from ms_gan.delivery.bundle import Bundle
from ms_gan.delivery.contract import example_inputs
from ms_gan.errors import UserError
from ms_gan.sampling import in_chunks

pytestmark = pytest.mark.usefixtures("device")

DENSE = ("generator.widths=[16, 32]",)
SIGMOID = ("generator.output=sigmoid", "data.pixel_range=[0.0, 1.0]", "generator.batch_norm.place=none")
KINDS = {  # recipes by what stands between a latent and its pixels
    "mlp": ("mlp", DENSE),  # ReLU, BatchNorm, tanh
    "mlp, sigmoid": ("mlp", (*DENSE, *SIGMOID)),
    "acgan": ("acgan", CONVOLUTIONS),  # LeakyReLU, BatchNorm, sigmoid, labels
    "dcgan": ("dcgan", ("generator.start_channels=8", "generator.widths=[6, 5, 4]")),  # ReLU, tanh
    "cvae_early": ("cvae_early", (*AUTOENCODER, *TAGS, "data.size=16")),  # ReLU, sigmoid; max-pooling in the encoder
    "rpgan": ("rpgan", (*DENSE, "data.clusters=5")),  # the latent's first number chooses
}
FORMATS = ("mindir", "onnx")


def multiplied(networks, factor):
    from mindspore import Tensor

    for network in filter(None, networks):
        for parameter in network.get_parameters():
            if len(parameter.shape) > 1:
                parameter.set_data(Tensor(np.float32(factor) * parameter.asnumpy()))
    return networks


@pytest.fixture(scope="module", params=KINDS)
def kind(request):
    return request.param


@pytest.fixture(scope="module")
def sound(kind, device, tmp_path_factory):
    """A bundle of sound weights."""
    name, settings = KINDS[kind]
    return write_bundle(tmp_path_factory.mktemp("sound") / "bundle", name, *settings)


@pytest.fixture(scope="module")
def overflowing(kind, device, tmp_path_factory):
    """A bundle of huge weights, all of them finite."""
    from helpers import bundles

    from ms_gan.delivery import export

    name, settings = KINDS[kind]
    with pytest.MonkeyPatch.context() as patch:  # let it be exported whatever it gives
        patch.setattr(export, "require_finite", lambda *_: None)
        patch.setattr(export, "greatest_difference", lambda *_: 0.0)
        patch.setattr(export, "_draw_samples", lambda file, *_: file.write_bytes(b""))
        patch.setattr(bundles, "networks_of", lambda *arguments: multiplied(networks_of(*arguments), 1e25))
        return write_bundle(tmp_path_factory.mktemp("overflowing") / "bundle", name, *settings)


def finite(output):
    return np.isfinite(output).all(axis=tuple(range(1, output.ndim)))


def test_latents_that_overflow_give_no_finite_image_in_either_format(sound):
    opened = {form: Bundle(sound, form) for form in FORMATS}
    facts = opened["onnx"].contract.generator
    latents, *labels = example_inputs(facts, opened["onnx"].label_names, 32, 5)
    for scale, seen in ((1.0, False), (1e20, False), (1e36, False), (3e38 / np.abs(latents).max(), True)):
        scaled = (latents * np.float32(scale)).astype(np.float32)
        assert np.isfinite(scaled).all()
        ones, others = (finite(opened[form].draw((scaled, *labels))) for form in FORMATS)
        if not seen:
            assert ones.all() and others.all(), scale
            np.testing.assert_allclose(*(opened[form].draw((scaled, *labels)) for form in FORMATS), atol=1e-5)
        else:  # a sum at the edge may overflow in one order of its terms and not in the other
            assert not ones.all() and (ones == others).mean() > 0.9


def test_weights_that_overflow_give_no_finite_output_in_either_format(overflowing):
    for form in FORMATS:
        bundle = Bundle(overflowing, form)  # which opens: it is as its contract says
        for name, model in bundle.models.items():
            outputs = in_chunks(model, example_inputs(bundle.contract.models[name], bundle.label_names, 20, 5))
            assert not any(finite(output).any() for output in outputs), f"{name}, {form}"


@pytest.mark.parametrize("form", FORMATS)
def test_infer_of_weights_that_overflow_refuses_in_a_line_and_writes_nothing(form, overflowing, tmp_path, capsys):
    for name in ("x.png", "x.npy"):
        wanted = ("--num", 3, "--format", form, "--output", tmp_path / name)
        told = refused_here(capsys, "infer", overflowing, *wanted)
        assert ": the generator gives images with numbers that are not finite: " in told
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "kind",
    [kind if kind in ("mlp", "cvae_early") else pytest.param(kind, marks=pytest.mark.slow) for kind in KINDS],
    indirect=True,
)
@pytest.mark.parametrize("form", FORMATS)
def test_the_server_refuses_what_overflows_and_goes_on(form, kind, sound, overflowing, tmp_path):
    contract = Bundle(sound, "onnx").contract
    label = [] if contract.labels is None else [tensor("label", "BYTES", contract.labels[:1])]
    size = contract.generator.inputs[0].latent.size
    huge = [tensor("latent", "FP32", [3e38, -3e38] * (size // 2), [1, size]), *label]
    with serving(sound, tmp_path / "log", "--format", form) as server:
        for _ in range(2):
            status, answer = server.ask(INFER, {"inputs": huge})
            assert status == 400 and "not finite" in answer["error"], answer
            assert np.isfinite(server.draw(tensor("seed", "INT64", [1]), *label)[0]).all()
    with serving(overflowing, tmp_path / "log", "--format", form) as server:
        status, answer = server.ask(INFER, {"inputs": [tensor("seed", "INT64", [1]), *label]})
        assert status == 400 and "not finite" in answer["error"], answer
        if "encoder" in contract.models:
            image = tensor("image", "FP32", [0.5] * 768, [1, 3, 16, 16])
            status, answer = server.ask("/v2/models/encoder/infer", {"inputs": [image, *label]})
            assert status == 400 and "not finite" in answer["error"], answer


def exported_of(kind, only=("generator", "encoder")):
    """What is exported of a kind, with huge weights in some of its networks."""
    from ms_gan.delivery.export import Exported

    recipe = recipe_of(*KINDS[kind])
    networks = dict(zip(("generator", "encoder"), networks_of(recipe, seed=1)))
    multiplied([networks[name] for name in only], 1e25)
    origin = {"step": 1234, "seed": 1, "dataset": "noise", "data_sha256": "0" * 64}
    return Exported(*networks.values(), recipe, labels_of(recipe), runtime.set_up("CPU"), origin)


@pytest.mark.parametrize("formats", [("mindir",), ("onnx",)])
def test_a_network_that_overflows_is_not_exported(formats, kind, tmp_path):
    from ms_gan.delivery.export import export_bundle

    with pytest.raises(UserError) as caught:
        export_bundle(tmp_path / "a" / "bundle", exported_of(kind), formats)
    assert re.match(r"the generator at step 1,234 gives images with numbers that are not finite: ", str(caught.value))
    assert "\n" not in str(caught.value) and "inf" not in str(caught.value).split(), str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_an_encoder_that_overflows_is_not_exported(device, tmp_path):
    from ms_gan.delivery.export import export_bundle

    with pytest.raises(UserError, match="^the encoder at step 1,234 gives means with numbers that are not finite: "):
        export_bundle(tmp_path / "bundle", exported_of("cvae_early", ["encoder"]))
    assert list(tmp_path.iterdir()) == []


def test_the_last_layer_alone_overflows(kind):
    """Its pixels would be 0 and 1, as of numbers that are merely large."""
    from mindspore import Tensor

    from ms_gan.delivery.export import models_of
    from ms_gan.sampling import draw_images

    recipe = recipe_of(*KINDS[kind])
    generator, _ = networks_of(recipe, seed=1)
    last = [parameter for parameter in generator.get_parameters() if len(parameter.shape) > 1][-1]
    inputs = example_inputs(models_of(recipe, labels_of(recipe), False)["generator"], labels_of(recipe), 16, 1)
    signs = np.sign(last.asnumpy())
    for size, seen in ((1e30, False), (3e38, True)):
        last.set_data(Tensor((signs * size).astype(np.float32)))
        found = finite(draw_images(generator, inputs))
        assert not found.any() if seen else found.all(), size
