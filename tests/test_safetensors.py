"""Weights alone, as safetensors."""

from __future__ import annotations

import json

import numpy as np
from mindspore import nn
from safetensors import safe_open

from ms_gan.delivery.formats import write_weights


def test_safetensors_hold_facts_in_any_language_in_the_order_in_which_they_are_given(tmp_path):
    network = nn.Dense(3, 2)
    facts = {"recipe": "цифры_数字", **{f"fact {number}": "x" * number for number in range(9, 0, -1)}}
    write_weights(network, tmp_path / "one.safetensors", "float32", facts)
    content = (tmp_path / "one.safetensors").read_bytes()
    length = int.from_bytes(content[:8], "little")
    assert length % 8 == 0 and list(json.loads(content[8 : 8 + length])["__metadata__"]) == list(facts)
    with safe_open(tmp_path / "one.safetensors", "np") as file:
        assert file.metadata() == facts
        assert np.array_equal(file.get_tensor("weight"), network.weight.asnumpy())
