"""Whether the PyTorch programs compute what ms_gan computes, from the same weights, images and noise.

    python -m benchmarks check [RECIPE…]

Three updates in a row, of batches of 8 drawn images: the scalars of each, and how the weights have moved in all.
"""

import dataclasses
import math

import numpy as np

import ms_gan

UPDATES, BATCH, IMAGES = 3, 8, 64
TOLERANCE = 1e-3  # of a scalar's value; 3e-5 was seen
WEIGHTS = "weights of "
WEIGHTS_TOLERANCE = 2e-3  # of the way that the weights went; 9e-4 was seen
# Adam gives a gradient that is next to nothing as large a step as any, so rounding shows: here the same program in
# PyTorch's two layouts differs by 4e-2, and ms_gan by as much
WIDER = {("dcgan", f"{WEIGHTS}generator"): 0.1}


def compare(name):
    """Return what was compared, by name, with the largest relative difference of each, float; and ms_gan's kernels."""
    from benchmarks.contender import take_kernels
    from benchmarks.pytorch.programs import PROGRAMS
    from ms_gan import runtime

    device = runtime.set_up("CPU")
    from ms_gan.data import load
    from ms_gan.recipes.build import build_step
    from ms_gan.steps.ema import with_ema

    recipe = ms_gan.recipe(name).but({"schedule.batch_size": BATCH})
    images = load(recipe.data.fallback, "test", None, recipe.data)
    images = dataclasses.replace(images, images=images.images[:IMAGES], labels=images.labels[:IMAGES])
    step = build_step(recipe, images, seed=1)
    program = PROGRAMS[name](recipe)
    players, networks = give_weights(step, program)
    before = {which: weights_of(parameters, program, which) for which, parameters in players.items()}
    kernels = take_kernels(step, device)

    found = scalars_of_both(step, with_ema(step, step, 0), program)
    differences = abs(found[1] - found[0]) / np.maximum(abs(found[0]), 1e-2)
    compared = dict(zip(step.scalars, differences.max(0)))
    for which, parameters in players.items():
        squares = [
            (((own - start) ** 2).sum().item(), ((own - other.detach()) ** 2).sum().item())
            for start, own, other in zip(
                before[which], weights_of(parameters, program, which), networks[which].parameters()
            )
        ]
        moved, apart = np.sqrt(np.sum(squares, axis=0))
        compared[WEIGHTS + which] = apart / moved
    return compared, kernels


def scalars_of_both(step, cell, program):
    """Do the updates in both; return the scalars, float64 (updates, scalars) each."""
    import torch

    from ms_gan.randomness import random_stream
    from ms_gan.steps.graph import on_device

    ours, theirs = [], []
    for number in range(UPDATES):
        noise = step.draw_noise(random_stream(1, "check", number))
        batch = on_device(step.data.inputs(np.arange(number * BATCH, (number + 1) * BATCH, dtype=np.int32)))
        ours.append(cell(batch, on_device(noise)).asnumpy())
        tensors = [torch.from_numpy(tensor.asnumpy()) for tensor in (step.data(*batch), *step.labels_of(batch))]
        given = [*tensors, *([] if step.classes else [None]), *map(torch.from_numpy, leaves(noise))]
        give_masks(program, [each for each in given if each is not None and each.dtype == torch.bool])
        given = [each for each in given if each is None or each.dtype != torch.bool]
        given = [each.long() if each is not None and each.dtype == torch.int32 else each for each in given]
        match_epsilon(program, number)
        values = program.update(*(given[:3] if program.recipe.name == "mlp" else given))  # its targets are constant
        theirs.append([value.item() for value in values])
    return np.float64(ours), np.float64(theirs)


def leaves(noise):
    """Return the arrays of a tuple of arrays, or of such tuples, in their order."""
    return [array for part in noise for array in leaves(part)] if isinstance(noise, tuple) else [noise]


def give_weights(step, program):
    """Give a program's networks the weights of a step's.

    Return ms_gan's parameters and the program's networks, both by name, averages included.
    """
    import torch

    networks = {name: getattr(program, name) for name in program.makes}
    parameters = {name: trained(getattr(step, name)) for name in networks}
    for name, network in networks.items():
        if is_rotated(program, name):
            rotate_images(network, name)
        with torch.no_grad():
            for weight, given in zip(network.parameters(), weights_of(parameters[name], program, name)):
                assert weight.shape == given.shape, f"{name}: {tuple(weight.shape)}, in ms_gan {tuple(given.shape)}"
                weight.copy_(given)
    if step.ema:
        parameters["ema"], networks["ema"] = trained(step.ema["generator"]), program.ema
        program.ema.load_state_dict(program.generator.state_dict())
    return parameters, networks


def trained(network):
    """Return the parameters that are trained, or are averages of such."""
    names = ("weight", "bias", "gamma", "beta")
    return [parameter for parameter in network.get_parameters() if parameter.name.rsplit(".", 1)[-1] in names]


def weights_of(parameters, program, name):
    """Return parameters as a program's network has them: float32 tensors, rotated by 180° where it is so."""
    import torch

    weights = [torch.from_numpy(parameter.asnumpy().copy()) for parameter in parameters]
    if not is_rotated(program, name):
        return weights
    network, data = getattr(program, name), program.recipe.data
    if name == "generator":
        maps = next(layer.unflattened_size for layer in network.layers if hasattr(layer, "unflattened_size"))
    else:
        settings = program.recipe.networks[name]
        pooled = 1 if settings.pooling == "none" else 2 ** len(settings.widths)
        size = -(-data.size // (math.prod(settings.strides) * pooled))
        maps = settings.widths[-1], size, size
    features = math.prod(maps)
    for index, weight in enumerate(weights):
        if weight.dim() == 4:
            weights[index] = rotated(weight)
        elif name == "generator" and len(weight) == features:
            weights[index] = weight.view(*maps, -1).flip(1, 2).reshape(weight.shape)
        elif name != "generator" and weight.dim() == 2 and weight.shape[1] == features:
            weights[index] = rotated(weight.view(-1, *maps)).reshape(weight.shape)
    return weights


def is_rotated(program, name):
    return hasattr(program.recipe.networks.get(name), "strides")


def rotated(images):
    return images.flip(2, 3)


def rotate_images(network, name):
    """Rotate the images by 180° that a generator draws, or a discriminator sees."""

    def rotating(method):
        return lambda images, *others: method(rotated(images), *others)

    if name == "generator":
        network.register_forward_hook(lambda network, inputs, images: rotated(images))
    else:
        network.forward, network.maps = rotating(network.forward), rotating(network.maps)


def match_epsilon(program, updates):
    """Let PyTorch's Adam add ε to the root before its bias is corrected, as MindSpore's does, after so many updates."""
    for name in program.makes:
        settings = program.recipe.optimizers[name]
        for group in getattr(program, f"adam_{name}").param_groups:
            group["eps"] = settings.epsilon / math.sqrt(1 - settings.beta2 ** (updates + 1))


def give_masks(program, masks):
    """Let the discriminator's dropout take these masks, in the order in which it is called, instead of its own."""
    from torch import nn

    class Given(nn.Module):
        def forward(self, x):
            return x * rotated(masks.pop(0)) / (1 - program.recipe.networks["discriminator"].dropout_rate)

    for block in program.discriminator.convolutions if masks else ():
        block[-1] = Given()


def too_far(name, compared):
    """Return those of what `compare` found of a recipe that are above their tolerance."""
    return {
        what: difference
        for what, difference in compared.items()
        if not difference < WIDER.get((name, what), WEIGHTS_TOLERANCE if what.startswith(WEIGHTS) else TOLERANCE)
    }  # NaN is too far


def check(names):
    """Print how far the programs are from ms_gan; return whether all are within the tolerance."""
    wrong = []
    for name in names:
        compared, kernels = compare(name)
        wrong += [f"{name}: {what}" for what in too_far(name, compared)]
        told = ", ".join(f"{what} {difference:.0e}" for what, difference in compared.items())
        print(f"{name}, {kernels}: relative differences in {UPDATES} updates: {told}", flush=True)
    print(f"above the tolerance: {', '.join(wrong)}" if wrong else "all within the tolerance")
    return not wrong
