"""The pizza articles' conditional variational autoencoder; the label joins after the convolutions.

Source: "Учим робота готовить пиццу. Часть 2: Состязание нейронных сетей" (Habr), in Keras.

Where this departs from the document, and why:
- The document's photographs are not ours: the data set is drawn pizzas, 6,000 different ones with up to 9 of 28
  ingredients, also turned and mirrored as the document turns its 20 photographs (`data.dataset=folder` takes your own).
  An epoch is as long as the document's, 14,400 images, here drawn from all turned and mirrored ones.
- The document does not print its loss, and the values that it reports (-0.32) cannot be those of cross-entropy and KL
  on pixels in [0, 1]. Here it is the squared error, summed over an image, and 0.05 times the KL to N(0, 1): up to a
  factor the negative evidence lower bound for normal pixels of standard deviation 0.16. With the pixels' cross-entropy
  and the full KL (`updates.reconstruction=bernoulli`, `updates.kl_weight=1.0`) the latent holds 10 nats and no
  ingredient is seen.
- It names no optimizer, batch size or initial weights: Adam at 1e-3 with Keras' constants, 64 images a batch, and
  Keras' defaults (Glorot-uniform weights, biases 0) are ours.
- An image's ingredients stand in its 9 places in the order of the data set's list; the document has them as its menu.
- Everything random comes from counted streams (seed, step), so that a run can be resumed exactly.

A latent of 64, which the document also shows, is `latent.size=64`.
"""

from ms_gan.schema.networks import ConvDecoder, ConvEncoder
from ms_gan.schema.recipe import Adam, Data, Latent, Recipe, Schedule, Sheet
from ms_gan.schema.updates import CVAEUpdates

ADAM = Adam(learning_rate=1e-3, epsilon=1e-7)
RECIPE = Recipe(
    name="cvae_late",
    summary="conditional variational autoencoder of the pizza articles, the label late, 32x32 colour",
    family="cvae",
    data=Data(
        dataset="pizza",
        fallback="pizza",
        size=32,
        channels=3,
        classes=28,
        max_tags=9,
        pixel_range=(0.0, 1.0),
        rotate_and_mirror=True,
    ),
    latent=Latent(size=512),
    networks={
        "encoder": ConvEncoder(label_place="late", widths=(32, 16)),
        "generator": ConvDecoder(start_channels=16, widths=(16, 32)),
    },
    optimizers={"encoder": ADAM, "generator": ADAM},
    updates=CVAEUpdates(reconstruction="squared", kl_weight=0.05),
    schedule=Schedule(batch_size=64, sampling="replacement", steps_per_epoch=225, epochs=40),
    sheet=Sheet(rows=4, columns=8, above_real=True),
)
