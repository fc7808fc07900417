"""One contender, in a process of its own: how long its steps take, and its peak memory, as one line of JSON.

    python -m benchmarks.contender RECIPE CONTENDER [--seconds S] [--data-path DIR] [--images N] [--set JSON]

A step is all that training takes: batch, noise, updates, scalars read. DIR holds MNIST; without it data are drawn.
"""

import argparse
import dataclasses
import json
import os
import resource
import statistics
import sys
import time

import ms_gan

WARM_UP, FEWEST = 3, 3  # steps: before those that are timed, unless said, and of those
FEWER_IMAGES = {"rpgan": 12_000}  # of which the clusters are found at every start


class Clock:
    """Times steps, each by the wall and by the processor, for so many seconds after the warm-up."""

    def __init__(self, seconds, warm_up=WARM_UP):
        self.seconds, self.warm_up = seconds, warm_up
        self.ticks, self.processor, self.machine = [], [], []

    def tick(self):
        self.ticks.append(time.perf_counter())
        self.processor.append(time.process_time())
        if len(self.ticks) == self.warm_up or self.stopped():
            self.machine.append(busy_seconds())

    def stopped(self):
        timed = len(self.ticks) - self.warm_up
        return timed >= FEWEST and self.ticks[-1] - self.ticks[self.warm_up] >= self.seconds

    def report(self):
        ticks = self.ticks[self.warm_up - 1 :]
        steps, wall = len(ticks) - 1, ticks[-1] - ticks[0]
        own = self.processor[-1] - self.processor[self.warm_up - 1]
        others = self.machine[-1] - self.machine[0] - own
        return {
            "milliseconds": 1000 * statistics.median(after - before for before, after in zip(ticks, ticks[1:])),
            "mean_milliseconds": 1000 * wall / steps,
            "processor_milliseconds": 1000 * own / steps,
            "steps": steps,
            "others": min(max(others / wall / os.cpu_count(), 0.0), 1.0),  # their part of all cores
            "peak_megabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        }


def busy_seconds():
    """Return how long the machine's cores have worked, for anybody, all together; 0 where Linux does not say."""
    try:
        with open("/proc/stat") as file:
            ticks = [int(value) for value in file.readline().split()[1:9]]
    except (OSError, ValueError):
        return 0.0
    idle, waiting = ticks[3:5]
    return (sum(ticks) - idle - waiting) / os.sysconf("SC_CLK_TCK")


def take_kernels(step, device):
    """Let ms_gan's kernels compute a step's layers; return what does. It ends all where MindSpore's do unasked."""
    from ms_gan.kernels.build import MINDSPORE, SWITCH
    from ms_gan.training.kernels import RECORD, choose_kernels

    kernels = choose_kernels(step, device)[RECORD]
    if kernels.startswith(MINDSPORE) and os.environ.get(SWITCH) != "0":
        sys.exit(f"error: ms_gan's kernels are meant, but there are {kernels}")
    return kernels


def train_ms_gan(recipe, data, clock, own_kernels=True):
    """Train as `train` does, by its own loop, with the scalars read at every step; return what to report with them."""
    from ms_gan import runtime

    device = runtime.set_up("CPU")
    from ms_gan.recipes.build import build_batches, build_step
    from ms_gan.steps.ema import with_ema
    from ms_gan.training.loop import Loop, Observer

    class Watch(Observer):
        def after_step(self, done, scalars):
            scalars.asnumpy()
            clock.tick()

    os.environ["MS_GAN_KERNELS"] = str(int(own_kernels))
    step = build_step(recipe, data, seed=1)
    kernels = take_kernels(step, device)
    batches, _ = build_batches(recipe, step.data.count, step.images_per_step, seed=1)
    step.set_train(True)
    Loop(step, batches, device, 1, clock.stopped).run(with_ema(step, step, 0), "step", 0, 10**9, [Watch()])
    return {"kernels": kernels}


def train_pytorch(recipe, data, clock, channels_last=False, dataloader=False, fused=True):
    """Train the PyTorch program of the recipe's name."""
    import torch

    from benchmarks.pytorch.data import batches
    from benchmarks.pytorch.programs import PROGRAMS

    torch.manual_seed(1)
    program = PROGRAMS[recipe.name](recipe, channels_last, fused)
    source = batches(recipe, data, program.layout, dataloader)
    while not clock.stopped():
        images, labels = source.next()
        for scalar in program.update(images, labels, *program.draw()):
            scalar.item()
        clock.tick()


def train_tutorial(recipe, data, clock):
    from benchmarks import tutorial

    tutorial.train(recipe, data, clock)


STOCK, TUTORIAL = "ms_gan, MindSpore's kernels", "the tutorial's loop"
CHANNELS_LAST, DATALOADER, UNFUSED = "PyTorch, channels_last", "PyTorch, DataLoader", "PyTorch, Adam not fused"
CONTENDERS = {
    "ms_gan": train_ms_gan,
    STOCK: lambda *all_of: train_ms_gan(*all_of, own_kernels=False),
    "PyTorch": train_pytorch,
    CHANNELS_LAST: lambda *all_of: train_pytorch(*all_of, channels_last=True),
    DATALOADER: lambda *all_of: train_pytorch(*all_of, dataloader=True),
    UNFUSED: lambda *all_of: train_pytorch(*all_of, fused=False),
    TUTORIAL: train_tutorial,
}


def contenders_of(name, few):
    """Return the names of a recipe's contenders, ms_gan first; with `few` only the nearest to it."""
    if name == "mlp":
        return ["ms_gan", "PyTorch", *([] if few else [UNFUSED, DATALOADER, TUTORIAL, STOCK])]
    if name == "rpgan":
        return ["ms_gan", "PyTorch", *([] if few else [UNFUSED, STOCK])]
    return ["ms_gan", "PyTorch", CHANNELS_LAST, *([] if few else [STOCK])]


def load_data(recipe, place, count):
    """Return images to train on: MNIST from a folder, where the recipe takes it, or drawn ones."""
    from ms_gan.data import load

    read = place if recipe.data.dataset == "mnist" else None
    data = load(recipe.data.dataset if read else recipe.data.fallback, "train", read, recipe.data)
    count = count or FEWER_IMAGES.get(recipe.name)
    count = count or len(data.images)
    images, labels = data.images[:count], None if data.labels is None else data.labels[:count]
    if recipe.data.size > images.shape[-1]:
        ratio = recipe.data.size // images.shape[-1]
        images = images.repeat(ratio, 2).repeat(ratio, 3)
    return dataclasses.replace(data, images=images, labels=labels)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("recipe")
    parser.add_argument("contender", choices=tuple(CONTENDERS))
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--warm-up", type=int, default=WARM_UP, help="steps before those that are timed")
    parser.add_argument("--data-path")
    parser.add_argument("--images", type=int, default=0, help="train on the first N (default: all)")
    parser.add_argument("--set", type=json.loads, default={}, help='changed settings, such as {"data.size": 32}')
    options = parser.parse_args()
    if options.warm_up < 1:
        parser.error("--warm-up: takes 1 or more")
    recipe = ms_gan.recipe(options.recipe).but(options.set)
    clock = Clock(options.seconds, options.warm_up)
    facts = CONTENDERS[options.contender](recipe, load_data(recipe, options.data_path, options.images), clock)
    print(json.dumps({**clock.report(), **(facts or {})}))


if __name__ == "__main__":
    main()
