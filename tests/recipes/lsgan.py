"""LSGAN (Mao et al. 2017, "Least Squares Generative Adversarial Networks"), with the tutorial's networks."""

from ms_gan.schema.networks import MLPDiscriminator, MLPGenerator
from ms_gan.schema.recipe import Adam, Recipe, Schedule
from ms_gan.schema.updates import GANUpdates

ADAM = Adam(learning_rate=2e-4, beta1=0.5)
RECIPE = Recipe(
    name="lsgan",
    summary="least squares GAN (Mao et al. 2017), fully connected",
    family="gan",
    networks={
        "generator": MLPGenerator(widths=(256, 512, 1024), slope=0.0),
        "discriminator": MLPDiscriminator(widths=(512, 256)),
    },
    optimizers={"generator": ADAM, "discriminator": ADAM},
    updates=GANUpdates(loss="least_squares"),
    schedule=Schedule(epochs=50),
)
