"""The lecture's GAN in Keras: fully connected networks on MNIST, D learning from half batches in two updates.

Source: "Лекция 8. Модель нейронной сети GAN", its listing `class GAN()`, built on Keras.

Where this departs from the lecture, and why:
- G and D have one Adam each. The lecture compiles one Adam object into three models, two of them trained. What these
  models share depends on the version of Keras, which the lecture does not give.
- D ends in a logit and the loss is a softplus of it: the same function as Keras' sigmoid and binary
  cross-entropy, without the clipping at 1e-7 that Keras needs.
- The sheets show the same latents each time, the first sheet before training. They are named by epoch, with the step
  below. The lecture draws new latents for each sheet, so that no change can be seen, and names sheets by step.
- D's accuracy is logged for real and for generated images separately; the lecture logs the mean of the two.
- BatchNorm's moving variance is the unbiased one, as everywhere in MindSpore: 32/31 of the biased one that some
  versions of Keras keep.
- Everything random comes from counted streams (seed, step), so that a run can be resumed exactly.

Keras' constants are written out: Glorot-uniform weights and biases of 0, BatchNorm's epsilon 1e-3, Adam's 1e-7. An
"epoch" here is the 200 steps between two of the lecture's pictures; the lecture calls a step an epoch. The lecture
advises to train D alone first: `updates.pretraining_steps=N`. It also advises to freeze a player for a while: train one
run with `optimizer_discriminator.learning_rate=0`, and start another from it with a warm start. Its Adams begin anew.
"""

from ms_gan.schema.networks import BatchNorm, MLPDiscriminator, MLPGenerator
from ms_gan.schema.recipe import Adam, Recipe, Schedule, Scores
from ms_gan.schema.updates import GANUpdates

ADAM = Adam(learning_rate=2e-4, beta1=0.5, epsilon=1e-7)
RECIPE = Recipe(
    name="keras_mlp",
    summary="fully connected GAN of the Keras lecture, 28x28 grey",
    family="gan",
    networks={
        "generator": MLPGenerator(
            widths=(256, 512, 1024),
            batch_norm=BatchNorm(place="after", first_layer=True, momentum=0.8, epsilon=1e-3),
            initializer="glorot_uniform",
        ),
        "discriminator": MLPDiscriminator(widths=(512, 256), initializer="glorot_uniform"),
    },
    optimizers={"generator": ADAM, "discriminator": ADAM},
    updates=GANUpdates(discriminator_update="separate", half_batches=True, fakes="inference", generator_latents="new"),
    schedule=Schedule(batch_size=32, sampling="replacement", steps_per_epoch=200, epochs=150),
    scores=Scores(every_epochs=5),
)
