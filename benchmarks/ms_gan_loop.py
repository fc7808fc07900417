"""The `mlp` recipe as `train` runs it: the same calls in the same order, losses read at every step."""

import timing

from ms_gan import recipes, runtime


def main() -> None:
    runtime.set_up("CPU")
    from ms_gan.data.batches import EpochShuffle
    from ms_gan.recipes.build import build_step
    from ms_gan.training.loop import on_device

    recipe = recipes.load("mlp")
    images = timing.images().reshape(-1, 1, 28, 28)
    step_cell = build_step(recipe, images, seed=1)
    shuffle = EpochShuffle(len(images), timing.BATCH, seed=1)
    done = 0

    def step():
        nonlocal done
        noise = step_cell.draw_noise(runtime.random_stream(1, "step", done), timing.BATCH)
        scalars = step_cell(on_device((shuffle.indices(done),)), on_device(noise)).asnumpy()
        done += 1
        return scalars

    timing.report(step)


if __name__ == "__main__":
    main()
