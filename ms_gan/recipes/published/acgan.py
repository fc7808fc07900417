"""The conditional GAN whose discriminator also names the digit: convolutional networks on MNIST.

Source: "Улучшения для генеративно-состязательных сетей (GAN)" (Habr), in Keras; the idea is that of
Odena et al. 2017, "Conditional Image Synthesis with Auxiliary Classifier GANs".

In the document one number, its "complexity", sets the size of each network. For G it is 80: start_channels is half of
it, and each width equals it. For D it is 70: the widths are 1/4, 1/2, 1, 2 and 1 times it. Here each layer has its own
width.

Where this departs from the document, and why:
- D ends in logits, and the losses are computed from these. They equal the document's sigmoid, softmax and
  cross-entropies, and do not overflow.
- The transposed convolutions of stride 1 are plain ones: the same with the kernel flipped, and faster.
- The document names SGD for G, but trains its G only through a model that is compiled with Adam: here it is Adam.
- The document gives D's fakes a label of zeros, whose cross-entropy is 0. Here its gradient is 0, too, as the
  document's formula says. Keras' fused softmax and cross-entropy would push all class logits of the fakes down.
- BatchNorm behind the Dense layer keeps the unbiased variance, 128/127 of the document's, as everywhere in MindSpore.
- How often G fools D is a mean of ten steps in history.csv, to be plotted; the document prints it every 12 epochs.
- loss_d and loss_g are the adversarial losses; loss_d_class and loss_g_class are the classification losses. A player
  minimises the sum of both.
- Dropout masks are drawn outside the graph, from the same counted streams (seed, step) as everything random, so that
  a run can be resumed exactly; D's rate of 0.2 is 13107/65536.

Keras' constants are written out: Glorot-uniform weights and biases of 0, BatchNorm's momentum 0.99 and epsilon
1e-3, Adam's epsilon 1e-7. An epoch is 40 batches. Latents on the sphere, which the document found slower, are
`latent.distribution=sphere`.
"""

from ms_gan.schema.networks import BatchNorm, ConvDiscriminator, ConvGenerator
from ms_gan.schema.recipe import Adam, Data, Recipe, Schedule, Scores, Sheet
from ms_gan.schema.updates import ACGANUpdates

ADAM = Adam(learning_rate=2e-4, beta1=0.5, epsilon=1e-7)
RECIPE = Recipe(
    name="acgan",
    summary="conditional GAN with a classifying discriminator, 28x28 grey, ten classes",
    family="acgan",
    data=Data(classes=10, pixel_range=(0.0, 1.0)),
    networks={
        "generator": ConvGenerator(
            start_channels=40,
            widths=(80, 80, 80, 80),
            strides=(2, 1, 1, 1, 2),
            batch_norm=BatchNorm(first_layer=True, momentum=0.99, epsilon=1e-3),
            output="sigmoid",
            first_initializer="normal_0.02",
        ),
        "discriminator": ConvDiscriminator(
            widths=(17, 35, 70, 140, 70), strides=(2, 2, 2, 1, 1), dropout_rate=0.2, first_initializer="normal_0.02"
        ),
    },
    optimizers={"generator": ADAM, "discriminator": ADAM},
    updates=ACGANUpdates(
        discriminator_update="mean",
        fakes="inference",
        generator_latents="new",
        target_real=(0.8, 1.0),
        target_fake=(0.0, 0.2),
    ),
    schedule=Schedule(batch_size=128, sampling="replacement", steps_per_epoch=40, epochs=500),
    scores=Scores(every_epochs=5),
    sheet=Sheet(rows=2, columns=8, above_real=True),
)
