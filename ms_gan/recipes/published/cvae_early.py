"""The pizza articles' conditional variational autoencoder; the label joins after the first convolution.

Source: "Учим робота готовить пиццу. Часть 2: Состязание нейронных сетей" (Habr), in Keras.

Where this departs from the document, and why:
- The same places as in `cvae_late`, for the same reasons: data, loss, optimizer, batch and initial weights, the order
  of ingredients, counted random streams.

The label's 261 numbers are repeated, and cut off, to fill one more channel of 32×32. A latent of 64, which the document
also shows, is `latent.size=64`.
"""

from ms_gan.recipes.published import cvae_late

RECIPE = cvae_late.RECIPE.but(
    {"encoder.label_place": "early"},
    name="cvae_early",
    summary="conditional variational autoencoder of the pizza articles, the label early, 32x32 colour",
)
