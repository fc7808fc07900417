"""A recipe as `train` runs it: the same calls in the same order, losses read at every step."""

import sys

import timing

from ms_gan import recipes, runtime


def main() -> None:
    runtime.set_up("CPU")
    from ms_gan.recipes.build import build_sampler, build_step
    from ms_gan.training.loop import on_device

    recipe = recipes.load(sys.argv[3])
    images = timing.data()
    step_cell = build_step(recipe, images, seed=1)
    batches, _ = build_sampler(recipe, len(images.images), step_cell.images_per_step, seed=1)
    done = 0

    def step():
        nonlocal done
        noise = step_cell.draw_noise(runtime.random_stream(1, "step", done))
        scalars = step_cell(on_device((batches.indices(done),)), on_device(noise)).asnumpy()
        done += 1
        return scalars

    timing.report(step)


if __name__ == "__main__":
    main()
