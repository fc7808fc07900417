"""WGAN-GP (Gulrajani et al. 2017, "Improved Training of Wasserstein GANs"), with the tutorial's networks."""

from ms_gan.schema.networks import MLPDiscriminator, MLPGenerator
from ms_gan.schema.recipe import Adam, Recipe, Schedule
from ms_gan.schema.updates import GANUpdates

ADAM = Adam(learning_rate=1e-4, beta1=0.0, beta2=0.9)
RECIPE = Recipe(
    name="wgan_gp",
    summary="Wasserstein GAN with gradient penalty (Gulrajani et al. 2017), fully connected",
    family="gan",
    networks={
        "generator": MLPGenerator(widths=(256, 512, 1024), slope=0.0),
        "discriminator": MLPDiscriminator(widths=(512, 256)),
    },
    optimizers={"generator": ADAM, "discriminator": ADAM},
    updates=GANUpdates(loss="wasserstein", gradient_penalty=10.0, discriminator_steps=5),
    schedule=Schedule(epochs=50, batch_size=64),
)
