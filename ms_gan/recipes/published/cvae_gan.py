"""The pizza articles' CVAE-GAN: the autoencoder's decoder is the generator of a GAN.

Source: "Учим робота готовить пиццу. Часть 2: Состязание нейронных сетей" (Habr), in Keras; Larsen et al. 2016,
"Autoencoding beyond pixels using a learned similarity metric"; Bao et al. 2017, "CVAE-GAN".

Where this departs from the document, and why:
- The document prints only D's loss, mean(real + reconstruction-fake + prior-fake), which is used here. The losses of
  the encoder and the generator follow Larsen et al.: reconstruction is measured in the feature maps of an inner
  convolution of D, the encoder adds the KL, and the generator adds its adversarial loss on reconstructions and samples.
  The maps here are those of the second convolution. With the features before D's last layer, even at a weight of 100,
  the adversarial loss outweighed reconstruction three to one.
- The document does not say which of its two encoders it joins to the GAN. Here it is the early one, which it found
  better.
- D is that of `dcgan`, without labels, but its convolutions have stride 2 instead of max-pooling. With max-pooling all
  pictures came to show one fixed pattern of sharp noise, even when training started from a trained autoencoder. D has
  as many weights; its convolutions cost a quarter. Its pixels here are in [0, 1], the decoder's range.
- The document prints neither loss weights nor learning rates. All are ours: 3e-4 for all three networks, and beta1 0.5.
  With the rates of the document's GAN, 1e-3 for the generator and 1e-4 for D, the generator outran D. Reconstruction,
  summed over the maps, weighs much more than the adversarial loss, so G cannot minimise that loss alone.
- D has a gradient penalty at real images (R1, Mescheder et al. 2018), which the document's does not have. Without it, D
  recognised every decoded picture by its blur and G learned nothing from it, or G outran D and drew stripes:
  docs/reproductions.md.
- Encoder and generator are first trained as an autoencoder of pixels alone, as in `cvae_early`, for 9,000 steps.
  Without this and without the penalty, the generator drew stains rather than pizzas in the 600 steps that were
  measured. After only 3,000 such steps the pictures were less sharp.
- These settings were tried with a smaller D, for 2,400 steps: docs/reproductions.md.
- The same places as in `cvae_late`, for the same reasons: data, batch and initial weights, the order of ingredients,
  counted random streams. The document shows 64×64: `data.size=64`.

Its checkpoints weigh 300 MB each, and a run keeps up to 13 of them.
"""

from ms_gan.recipes.published.cvae_early import RECIPE as CVAE
from ms_gan.schema.networks import ConvDiscriminator
from ms_gan.schema.recipe import Adam, Recipe, Schedule
from ms_gan.schema.updates import CVAEGANUpdates

ADAM = Adam(learning_rate=3e-4, beta1=0.5, epsilon=1e-7)
RECIPE = Recipe(
    name="cvae_gan",
    summary="CVAE and GAN in one, of the pizza articles, 32x32 colour; large and slow",
    family="cvae_gan",
    data=CVAE.data,
    latent=CVAE.latent,
    networks={
        **CVAE.networks,
        "discriminator": ConvDiscriminator(widths=(128, 256, 512), strides=(2, 2, 2), slope=0.3, dense_widths=(2048,)),
    },
    optimizers={"encoder": ADAM, "generator": ADAM, "discriminator": ADAM},
    updates=CVAEGANUpdates(
        reconstruction_layer=2,
        reconstruction_weight=15.0,
        kl_weight=0.03,
        gamma=1.0,
        penalised=8,
        pretraining_steps=9000,
    ),
    schedule=Schedule(batch_size=32, sampling="replacement", steps_per_epoch=100, epochs=100),
    sheet=CVAE.sheet,
)
