"""Products in bfloat16: how numbers are rounded, what is recorded, and what Ascend's compiler is told."""

from __future__ import annotations

import json
import types

import mindspore as ms
import numpy as np
import pytest
from helpers.commands import refused_here, run, write_mnist
from helpers.networks import MLP, normal, options, step_of
from helpers.resuming import result
from mindspore import Tensor, communication, nn

from ms_gan import runtime
from ms_gan.errors import UserError
from ms_gan.steps.precision import Rounded, round_products, rounded
from ms_gan.training.kernels import RECORD, choose_kernels

RESIDUAL = ("generator.widths=[8,6,4]", "discriminator.widths=[4,5,6]", "data.clusters=0")


def nearest(numbers):
    """The nearest numbers of bfloat16, of two as near the even one."""
    bits = np.ascontiguousarray(numbers, np.float32).view(np.uint32).astype(np.uint64)
    bits = (bits + 0x7FFF + ((bits >> np.uint64(16)) & np.uint64(1))) & np.uint64(0xFFFF0000)
    return bits.astype(np.uint32).view(np.float32)


def test_numbers_are_rounded_to_the_nearest_of_bfloat16(device):
    numbers = np.concatenate((normal(500), normal(500) * 1e30, normal(500) * 1e-30, [0.0, 1.00390625, 1.01171875]))
    numbers = numbers.astype(np.float32)
    assert np.array_equal(rounded(Tensor(numbers)).asnumpy(), nearest(numbers))


def test_products_and_their_gradients_are_those_of_rounded_numbers(device):
    class Network(nn.Cell):
        def __init__(self):
            super().__init__()
            self.layer = nn.Dense(7, 5)

        def construct(self, x):
            return self.layer(x)

    network, x, slopes = Network(), normal(3, 7), normal(3, 5, seed=1)
    names = [parameter.name for parameter in network.get_parameters()]
    weight, bias = (parameter.asnumpy() for parameter in network.get_parameters())
    assert round_products(network) == 1 and isinstance(network.layer.matmul, Rounded)
    assert [parameter.name for parameter in network.get_parameters()] == names
    expected = nearest(nearest(x) @ nearest(weight).T) + bias
    assert network(Tensor(x)).asnumpy() == pytest.approx(expected, abs=1e-5)

    def weighted(x):
        return (network(x) * Tensor(slopes)).sum()

    of_x, of_weight = ms.grad(weighted, 0, network.layer.weight)(Tensor(x))
    assert of_x.asnumpy() == pytest.approx(nearest(nearest(slopes) @ nearest(weight)), rel=1e-2, abs=1e-5)
    assert of_weight.asnumpy() == pytest.approx(nearest(nearest(slopes).T @ nearest(x)), rel=1e-2, abs=1e-5)
    assert np.array_equal(nearest(of_weight.asnumpy()), of_weight.asnumpy())


@pytest.mark.parametrize(("recipe", "settings"), [("mlp", MLP), ("rpgan_residual_mnist", RESIDUAL)])
def test_all_layers_of_both_networks_are_rounded(recipe, settings, device):
    step = step_of(recipe, *settings)
    layers = sum(
        isinstance(cell, (nn.Dense, nn.Conv2d, nn.Conv2dTranspose))
        for network in (step.generator, step.discriminator)
        for _, cell in network.cells_and_names()
    )
    kernels = choose_kernels(step, runtime.Device("CPU", 0), precision="bfloat16")
    rounding = sum(isinstance(cell, Rounded) for _, cell in step.cells_and_names())
    assert rounding >= layers > 3 and "bfloat16" in kernels[RECORD]


def test_what_moves_images_stays_exact(device):
    step = step_of("mlp", *MLP, "updates.augmentation.translation=0.25")
    kernels = choose_kernels(step, runtime.Device("CPU", 0), precision="bfloat16")
    assert "bfloat16" in kernels[RECORD]
    assert not any(isinstance(cell, Rounded) for _, cell in step.augmenter.cells_and_names())


def test_on_a_gpu_it_is_refused(device):
    with pytest.raises(UserError, match="leave out precision"):
        choose_kernels(step_of("mlp", *MLP), runtime.Device("GPU", 0), precision="bfloat16")


def test_a_run_keeps_its_precision_and_resumes_to_the_same_bytes(tmp_path, capsys):
    data = write_mnist(tmp_path / "data", 160)
    arguments = ("train", "--recipe", "rpgan", "--data-path", data, "--batch-size", 16, *options(MLP))
    arguments = (*arguments, "--precision", "bfloat16")
    run(*arguments, "--steps", 6, "--output-dir", tmp_path / "whole")
    run(*arguments, "--steps", 3, "--output-dir", tmp_path / "broken")
    broken = tmp_path / "broken" / "rpgan" / "1"
    assert json.loads((broken / "settings.json").read_text())["precision"] == "bfloat16"
    said = refused_here(capsys, "train", "--resume", broken, "--steps", 6, "--precision", "float32")
    assert "precision was bfloat16" in said
    run("train", "--resume", broken, "--steps", 6)
    assert result(broken, 6) == result(tmp_path / "whole" / "rpgan" / "1", 6)


class PlayedAscend:
    """MindSpore's calls that choose a device, on a machine of eight Ascends; `calls` is what it was told, in order."""

    def __init__(self, monkeypatch, rank, count):
        self.calls = []
        for name in ("set_context", "set_device", "set_deterministic"):
            monkeypatch.setattr(ms, name, self.noting(name))
        names = ("precision_mode", "conv_allow_hf32", "matmul_allow_hf32")
        played = types.SimpleNamespace(
            is_available=lambda: True,
            device_count=lambda: 8,
            op_precision=types.SimpleNamespace(**{name: self.noting(name) for name in names}),
        )
        absent = types.SimpleNamespace(is_available=lambda: False, device_count=lambda: 0)
        devices = types.SimpleNamespace(ascend=played, gpu=absent, cpu=absent)
        monkeypatch.setattr(ms, "device_context", devices)
        monkeypatch.setattr(communication, "init", self.noting("init"))
        monkeypatch.setattr(communication, "get_group_size", lambda: count)
        monkeypatch.setattr(communication, "get_rank", lambda: rank)
        monkeypatch.setattr(runtime, "_device", None)
        monkeypatch.setattr(runtime, "_precision", runtime._precision)

    def noting(self, name):
        def call(*arguments, **named):
            self.calls.append((name, *arguments, *named.values()))

        return call


def test_a_rank_without_others_is_none(monkeypatch):
    monkeypatch.delenv("MS_ROLE", raising=False)
    monkeypatch.setenv("RANK_ID", "3")  # as some clusters set it for every process
    assert runtime.rank() == 0 and not runtime.launched()
    monkeypatch.setenv("MS_ROLE", "MS_WORKER")
    assert runtime.rank() == 3


@pytest.mark.parametrize(
    ("environment", "rank", "number"),
    [
        ({"RANK_ID": "11", "DEVICE_ID": "3"}, 11, 3),  # as on the second machine of 8 devices each
        ({"MS_NODE_ID": "5", "DEVICE_ID": "5"}, 5, 5),  # as `msrun` starts it
        ({"RANK_ID": "2"}, 2, 2),  # one machine, by somebody who names ranks alone
    ],
)
def test_on_several_ascends_each_process_takes_the_device_of_its_machine(environment, rank, number, monkeypatch):
    for name in ("RANK_ID", "MS_NODE_ID", "DEVICE_ID"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("MS_ROLE", "MS_WORKER")
    ascend = PlayedAscend(monkeypatch, rank, 16)
    assert runtime.set_up(together=True) == runtime.Device("Ascend", number, 16, rank)
    assert ascend.calls == [
        ("set_context", ms.GRAPH_MODE),
        ("set_device", "Ascend", number),
        ("set_deterministic", True),  # it has to come before processes meet
        ("precision_mode", "must_keep_origin_dtype"),
        ("conv_allow_hf32", False),
        ("matmul_allow_hf32", False),
        ("init",),
    ]


def test_more_processes_than_a_machine_has_ascends_are_refused(monkeypatch):
    monkeypatch.setenv("DEVICE_ID", "8")
    PlayedAscend(monkeypatch, 8, 16)
    with pytest.raises(UserError, match="there is no Ascend 8: this machine has 8 in all; give a smaller device_num"):
        runtime.set_up("Ascend", together=True)


@pytest.mark.parametrize(
    ("precision", "mode"), [("float32", "must_keep_origin_dtype"), ("bfloat16", "allow_fp32_to_bf16")]
)
def test_what_ascends_compiler_is_told(precision, mode, monkeypatch):
    told = {}
    names = ("precision_mode", "conv_allow_hf32", "matmul_allow_hf32")
    assert all(hasattr(ms.device_context.ascend.op_precision, name) for name in names), "they are MindSpore's"
    setting = {name: lambda value, name=name: told.update({name: value}) for name in names}
    ascend = types.SimpleNamespace(op_precision=types.SimpleNamespace(**setting))
    monkeypatch.setattr(ms, "device_context", types.SimpleNamespace(ascend=ascend))
    runtime._keep_precision(precision)
    assert told == {"precision_mode": mode, "conv_allow_hf32": False, "matmul_allow_hf32": False}
