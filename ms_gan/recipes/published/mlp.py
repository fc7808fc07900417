"""The MindSpore tutorial's GAN: fully connected networks on MNIST.

Source: MindSpore tutorial "GAN图像生成" (mindspore.cn, application tutorials, generative), after
Goodfellow et al. 2014, "Generative Adversarial Nets".

Where this departs from the tutorial, and why:
- D ends in a logit and the loss is a softplus of it, where the tutorial takes BCELoss of a sigmoid:
  the same function, without overflow.
- The generator runs forward once a step and not twice: the same losses and weights, faster.
  BatchNorm's moving statistics advance once a step instead of twice.
- Grids are drawn in inference mode, as an exported generator draws; the tutorial draws them in training mode.
- Latents are drawn from counted streams (seed, step), so that a run can be resumed exactly.
"""

from ms_gan.schema.networks import MLPDiscriminator, MLPGenerator
from ms_gan.schema.recipe import Adam, Recipe, Schedule, Scores
from ms_gan.schema.updates import GANUpdates

ADAM = Adam(learning_rate=2e-4, beta1=0.5)
RECIPE = Recipe(
    name="mlp",
    summary="fully connected GAN of the MindSpore tutorial, 28x28 grey",
    family="gan",
    networks={
        "generator": MLPGenerator(widths=(128, 256, 512, 1024), slope=0.0),
        "discriminator": MLPDiscriminator(widths=(512, 256)),
    },
    optimizers={"generator": ADAM, "discriminator": ADAM},
    updates=GANUpdates(discriminator_update="sum", fakes="training", generator_latents="shared"),
    schedule=Schedule(batch_size=128, epochs=200),
    scores=Scores(every_epochs=5),
)
