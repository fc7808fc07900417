"""The TF-slim GAN whose samples stayed blurred, as published: fully connected networks on MNIST.

Source: the article on "Generative Adversarial Nets" with a TF-slim listing (yundeesoft.com/16237), whose
author asks readers why its digits are blurred after 200 epochs. `slim_mlp_fixed` fixes the likely
causes; docs/reproductions.md has the experiments.

Kept as published: pixels in [0, 1] although G's output is a tanh; no BatchNorm; one Adam object for both players. So
its powers of beta and its global step advance twice in an iteration, and the learning rate, 1e-4 × 0.9^(step / 470),
falls twice as fast as it seems to.

Where this departs from the article, and why:
- D ends in a logit and the loss is a softplus of it: the article's −mean(log D(x) + log(1 − D(G(z)))) without the
  log of 0.
- 200 epochs of its 470 iterations are 94,000 steps, whole epochs; the article's queue ends after 93,750
  (`steps` of 93,750).
- The sheets show the same latents each time, and show pixels from 0 to 1 as black to white. The article
  draws new latents and stretches each picture to its own range.
- Everything random comes from counted streams (seed, step), so that a run can be resumed exactly.

The saturating loss of the paper is `updates.loss=saturating`; its k is `updates.discriminator_steps`.
"""

from ms_gan.schema.networks import BatchNorm, MLPDiscriminator, MLPGenerator
from ms_gan.schema.recipe import Adam, Data, Recipe, Schedule, Scores, Sheet
from ms_gan.schema.updates import GANUpdates

ADAM = Adam(learning_rate=1e-4, decay_rate=0.9, decay_steps=470)
RECIPE = Recipe(
    name="slim_mlp",
    summary="fully connected GAN of the TF-slim article as published, blurred; 28x28 grey",
    family="gan",
    data=Data(pixel_range=(0.0, 1.0)),
    networks={
        "generator": MLPGenerator(
            widths=(256,), batch_norm=BatchNorm(place="none", epsilon=1e-3), initializer="glorot_uniform"
        ),
        "discriminator": MLPDiscriminator(widths=(512,), initializer="glorot_uniform"),
    },
    optimizers={"generator": ADAM, "discriminator": ADAM},
    updates=GANUpdates(discriminator_update="sum", fakes="training", generator_latents="new", shared_counters=True),
    schedule=Schedule(batch_size=128, sampling="continuous", steps_per_epoch=470, epochs=200),
    scores=Scores(every_epochs=5),
    sheet=Sheet(rows=10, columns=10),
)
