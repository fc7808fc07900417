"""The pizza articles' CVAE-GAN: the autoencoder's decoder is the generator of a GAN.

Source: "Учим робота готовить пиццу. Часть 2: Состязание нейронных сетей" (Habr), in Keras; Larsen et al. 2016,
"Autoencoding beyond pixels using a learned similarity metric"; Bao et al. 2017, "CVAE-GAN".

Where this departs from the document, and why:
- The document prints only D's loss, mean(real + reconstruction-fake + prior-fake), which is taken. The encoder's and
  the generator's are after Larsen et al.: reconstruction is measured in the maps of an inner convolution of D, the
  encoder adds the KL, the generator what D says of reconstructions and of samples. Of the second convolution here: the
  mean over the features that D's last layer judges by, though weighed 100, was outweighed by what D says three to one.
- Which of its two encoders it joins to the GAN it does not say: the early one, which it found better.
- D is that of `dcgan`, without labels, but its convolutions have stride 2 in place of max-pooling, which let pass a
  fixed pattern of sharp noise: all pictures came to show it, even starting from a trained autoencoder. It has as many
  weights, and its convolutions a quarter of the work. Its pixels here are in [0, 1], the decoder's range.
- The document prints neither weights of the losses nor rates. All are ours: 3e-4 for all three networks,
  and beta1 0.5, since with the rates of its GAN, 1e-3 for the generator and 1e-4 for D, the generator outran D;
  reconstruction, summed over the maps, weighs so much more than what D says that G cannot please D alone.
- D pays for its slope at real images (R1, Mescheder et al. 2018), which the document's does not: without it D told
  every picture of the decoder by its blur and led it nowhere, or was outrun into stripes: docs/reproductions.md.
- Encoder and generator are first an autoencoder of pixels alone, as in `cvae_early`, for 9,000 steps: from scratch, in
  the 600 steps that were measured, without that penalty, D led the generator to stains before it drew pizzas; and after
  3,000 the pictures came out less sharp.
- These settings were tried with a smaller D, for 2,400 steps: docs/reproductions.md.
- The same places as in `cvae_late`, for the same reasons: data, batch and initial weights, the order of ingredients,
  counted random streams. The document shows 64×64: `--set data.size=64`.

Its checkpoints weigh 300 MB each, and a run keeps up to 13 of them.
"""

RECIPE = {
    "name": "cvae_gan",
    "summary": "CVAE and GAN in one, of the pizza articles, 32x32 colour; large and slow",
    "family": "cvae_gan",
    "data": {
        "dataset": "pizza",
        "fallback": "pizza",
        "size": 32,
        "channels": 3,
        "classes": 28,
        "places": 9,
        "clusters": 0,
        "pixel_range": [0.0, 1.0],
        "rotate_and_mirror": True,
    },
    "latent": {"size": 512, "distribution": "normal"},
    "encoder": {
        "network": "conv_encoder",
        "label_place": "early",
        "widths": [32, 16],
        "kernel_size": 3,
        "dense_width": 1024,
        "initializer": "glorot_uniform",
    },
    "generator": {
        "network": "conv_decoder",
        "dense_width": 1024,
        "start_channels": 16,
        "widths": [16, 32],
        "kernel_size": 3,
        "initializer": "glorot_uniform",
    },
    "discriminator": {
        "network": "conv_discriminator",
        "widths": [128, 256, 512],
        "strides": [2, 2, 2],
        "kernel_size": 5,
        "slope": 0.3,
        "pooling": "none",
        "dropout_rate": 0.0,
        "dense_widths": [2048],
        "first_initializer": "glorot_uniform",
        "initializer": "glorot_uniform",
    },
    "optimizer_encoder": {
        "learning_rate": 3e-4,
        "decay_rate": 1.0,
        "decay_steps": 1,
        "beta1": 0.5,
        "beta2": 0.999,
        "epsilon": 1e-7,
    },
    "optimizer_generator": {
        "learning_rate": 3e-4,
        "decay_rate": 1.0,
        "decay_steps": 1,
        "beta1": 0.5,
        "beta2": 0.999,
        "epsilon": 1e-7,
    },
    "optimizer_discriminator": {
        "learning_rate": 3e-4,
        "decay_rate": 1.0,
        "decay_steps": 1,
        "beta1": 0.5,
        "beta2": 0.999,
        "epsilon": 1e-7,
    },
    "updates": {
        "reconstruction_layer": 2,
        "reconstruction_weight": 15.0,
        "kl_weight": 0.03,
        "gamma": 1.0,
        "penalised": 8,
        "pretraining_steps": 9000,
    },
    "average": {"decay": 0.0},
    "scores": {"every_epochs": 0, "images": 2000, "held_out": 0},
    "schedule": {"batch_size": 32, "sampling": "replacement", "steps_per_epoch": 100, "epochs": 100},
    "sheet": {"rows": 4, "columns": 8, "above_real": True},
}
