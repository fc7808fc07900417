"""The pizza articles' GAN: large convolutional networks for 32×32 colour.

Source: "Учим робота готовить пиццу. Часть 2: Состязание нейронных сетей" (Habr), in Keras, after
Radford et al. 2016, "Unsupervised Representation Learning with Deep Convolutional GANs".

Where this departs from the document, and why:
- Adam's beta1 is 0.5 (Radford et al. 2016), and both rates are a fifth of the document's 1e-3 for G and 1e-4 for D. As
  published, G's images turn white within 30 batches, D recognises every image, and G never recovers, on 6,000 drawn
  pizzas as well as on one. Changing only beta1 or only the rates does not fix that: docs/reproductions.md.
- D ends in a logit and the loss is a softplus of it: the document's sigmoid and binary cross-entropy, without the
  clipping at 1e-7 that Keras needs.
- The document's photographs are not ours: the data set is drawn pizzas, 6,000 different ones, also turned and mirrored
  as the document turns its 20 photographs, of which its GAN sees one. `data.dataset=folder` takes your own; 64×64 is
  `data.size=64`; MNIST is `data.dataset=mnist data.size=28 data.channels=1
  data.rotate_and_mirror=False`, where G draws 32×32 and keeps the middle, 28 being no multiple of 8.
- The document does not print how it scales pixels: [-1, 1], G's range, is ours.
- The sheets show the same latents after each epoch, so that change can be seen; the document draws new ones every 10
  batches.
- The document gives neither batch size nor length, and calls a batch an epoch: 32 images a batch, 100 batches
  an epoch and 100 epochs are ours.
- Everything random comes from counted streams (seed, step), so that a run can be resumed exactly.

Its checkpoints weigh 300 MB each, and a run keeps up to 13 of them.

Keras' constants are written out: Glorot-uniform weights and biases of 0, LeakyReLU's slope 0.3, Adam's epsilon 1e-7.
Average pooling, which readers of the document recommend, is `discriminator.pooling=average`.
"""

from ms_gan.schema.networks import BatchNorm, ConvDiscriminator, ConvGenerator
from ms_gan.schema.recipe import Adam, Data, Latent, Recipe, Schedule
from ms_gan.schema.updates import GANUpdates

RECIPE = Recipe(
    name="dcgan",
    summary="convolutional GAN of the pizza articles, 32x32 colour; large and slow",
    family="gan",
    data=Data(dataset="pizza", fallback="pizza", size=32, channels=3, rotate_and_mirror=True),
    latent=Latent(size=512, distribution="uniform"),
    networks={
        "generator": ConvGenerator(
            start_channels=256,
            widths=(256, 128, 64),
            strides=(2, 2, 2, 1),
            slope=0.0,
            batch_norm=BatchNorm(place="none", first_layer=True, momentum=0.99, epsilon=1e-3),
        ),
        "discriminator": ConvDiscriminator(
            widths=(128, 256, 512), strides=(1, 1, 1), slope=0.3, pooling="max", dense_widths=(2048,)
        ),
    },
    optimizers={
        "generator": Adam(learning_rate=2e-4, beta1=0.5, epsilon=1e-7),
        "discriminator": Adam(learning_rate=2e-5, beta1=0.5, epsilon=1e-7),
    },
    updates=GANUpdates(discriminator_update="mean", fakes="inference", generator_latents="new"),
    schedule=Schedule(batch_size=32, sampling="replacement", steps_per_epoch=100, epochs=100),
)
