"""What a recipe may choose is what the code can build: no name without a thing, no thing without a name."""

from __future__ import annotations

import pytest

from ms_gan.data.batches import SAMPLINGS
from ms_gan.nets.blocks import INITIALIZERS, OUTPUTS
from ms_gan.nets.conv import POOLINGS
from ms_gan.recipes import CHOICES
from ms_gan.steps.cvae import RECONSTRUCTIONS
from ms_gan.steps.gan import DISCRIMINATOR_UPDATES, GENERATOR_LOSSES


@pytest.mark.parametrize(
    "setting, registry",
    [
        ("sampling", {*SAMPLINGS}),
        ("output", {*OUTPUTS}),
        ("initializer", {*INITIALIZERS}),
        ("first_initializer", {*INITIALIZERS}),
        ("pooling", {*POOLINGS, "none"}),
        ("reconstruction", {*RECONSTRUCTIONS}),
        ("generator_loss", {*GENERATOR_LOSSES}),
        ("discriminator_update", {*DISCRIMINATOR_UPDATES}),
    ],
)
def test_a_choice_names_what_there_is(setting, registry):
    assert sorted(CHOICES[setting]) == sorted(registry)
