"""The house recipe for colour: a relativistic pairing GAN of residual networks without normalisation, 32x32.

Source: Huang et al. 2024, "The GAN is dead; long live the GAN! A Modern GAN Baseline" (R3GAN), for the loss, its two
penalties, and networks without normalisation; Yazıcı et al. 2019, "The Unusual Effectiveness of Averaging in GAN
Training", for the averaged weights that draw. It draws the project's pizzas by their ingredients. With other
`data.size`, `data.channels`, `data.classes` and `data.max_tags` it takes other images, conditional or not.

Where this departs from R3GAN, and why:
- Networks are small, for a CPU: a block is two convolutions of 3×3, not three around a grouped one.
- Between sizes a pixel becomes four of its kind, or four their mean, not a bilinear filter: it is faster.
- G gets the label beside the latent, and D sees an image with its label by projection (Miyato and Koyama 2018).
- The penalties are measured at a quarter of each batch: the same on average, for less time.
- Images are turned by quarters and mirrored: pizzas look the same from all sides. For things that do not, set
  `data.quarter_turns=False`.
- The learning rate and gamma fall exponentially to a tenth; beta2 and the EMA's decay stay.
"""

from ms_gan.schema.networks import ResidualDiscriminator, ResidualGenerator
from ms_gan.schema.recipe import EMA, Adam, Data, Latent, Recipe, Schedule
from ms_gan.schema.updates import RpGANUpdates

ADAM = Adam(learning_rate=6e-4, decay_rate=0.1, decay_steps=40000, beta1=0.0, beta2=0.95)
RECIPE = Recipe(
    name="rpgan_residual",
    summary="relativistic pairing GAN of residual networks, the house recipe for colour, 32x32",
    family="rpgan",
    data=Data(dataset="pizza", fallback="pizza", size=32, channels=3, classes=28, max_tags=9, quarter_turns=True),
    latent=Latent(size=64),
    networks={
        "generator": ResidualGenerator(widths=(256, 128, 64, 32)),
        "discriminator": ResidualDiscriminator(widths=(24, 48, 96, 192)),
    },
    optimizers={"generator": ADAM, "discriminator": ADAM},
    updates=RpGANUpdates(gamma=0.3, gamma_decay_rate=0.1, gamma_decay_steps=40000, penalised=8, tag_weight=0.3),
    ema=EMA(decay=0.999),
    schedule=Schedule(batch_size=32, epochs=40, steps_per_epoch=1000),
)
