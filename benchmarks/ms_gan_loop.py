"""A recipe as `train` runs it: the same calls in the same order, losses read at every step.

    python benchmarks/ms_gan_loop.py DIR STEPS RECIPE [mindspore_kernels]

DIR holds MNIST; `-` stands for data that is drawn. It reaches below the API, whose `train` also writes a run.
Convolutions run on the project's own kernels, or with the last argument on those of MindSpore.
"""

import sys

import timing

import ms_gan
from ms_gan import runtime


def main() -> None:
    device = runtime.set_up("CPU")
    from ms_gan.data import load
    from ms_gan.kernels.layers import use_own
    from ms_gan.recipes.build import build_sampler, build_step
    from ms_gan.training.loop import run_cell

    recipe = ms_gan.recipe(sys.argv[3])
    images = load(recipe.data.dataset, "train", None if sys.argv[1] == "-" else sys.argv[1], recipe.data)
    step_cell = build_step(recipe, images, seed=1)
    if sys.argv[4:] != ["mindspore_kernels"]:
        use_own(step_cell)
    batches, _ = build_sampler(recipe, step_cell.data.count, step_cell.images_per_step, seed=1)
    done = 0

    def step():
        nonlocal done
        scalars = run_cell(step_cell, step_cell, batches, device, 1, "step", done).asnumpy()
        done += 1
        return scalars

    timing.report(step)


if __name__ == "__main__":
    main()
