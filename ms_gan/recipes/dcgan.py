"""The pizza articles' GAN: large convolutional networks for 32×32 colour.

Source: "Учим робота готовить пиццу. Часть 2: Состязание нейронных сетей" (Habr), in Keras, after
Radford et al. 2016, "Unsupervised Representation Learning with Deep Convolutional GANs".

Where this departs from the document, and why:
- Adam's beta1 is 0.5 (Radford et al. 2016), and both rates are a fifth of the document's 1e-3 for G and 1e-4 for D. As
  published, on drawn pizzas, 6,000 or one, G turns white within 30 batches, D knows every image, and that is the end
  of it; neither beta1 nor the rates alone mend that: docs/reproductions.md.
- D ends in a logit and the loss is a softplus of it: the document's sigmoid and binary cross-entropy, without the
  clipping at 1e-7 that Keras needs.
- The document's photographs are not ours: the data set is drawn pizzas, 6,000 different ones, also turned and mirrored
  as the document turns its 20 photographs, of which its GAN sees one. `--dataset folder` takes your own; 64×64 is
  `--set data.size=64`; MNIST is `--dataset mnist --set data.size=28 --set data.channels=1
  --set data.rotate_and_mirror=False`, where G draws 32×32 and keeps the middle, 28 being no multiple of 8.
- The document does not print how it scales pixels: [-1, 1], G's range, is ours.
- The sheets show the same latents after each epoch, by which change is seen; the document draws new ones every 10
  batches.
- The document gives neither batch size nor length, and calls a batch an epoch: 32 images a batch, 100 batches
  an epoch and 100 epochs are ours.
- Everything random comes from counted streams (seed, step), so that a run can be resumed exactly.

Its checkpoints weigh 300 MB each, and a run keeps up to 13 of them.

Keras' constants are written out: Glorot-uniform weights and biases of 0, LeakyReLU's slope 0.3, Adam's epsilon 1e-7.
Average pooling, which readers of the document recommend, is `--set discriminator.pooling=average`.
"""

RECIPE = {
    "name": "dcgan",
    "summary": "convolutional GAN of the pizza articles, 32x32 colour; large and slow",
    "family": "gan",
    "data": {
        "dataset": "pizza",
        "fallback": "pizza",
        "size": 32,
        "channels": 3,
        "classes": 0,
        "places": 0,
        "clusters": 0,
        "pixel_range": [-1.0, 1.0],
        "rotate_and_mirror": True,
    },
    "latent": {"size": 512, "distribution": "uniform"},
    "generator": {
        "network": "conv_generator",
        "start_channels": 256,
        "widths": [256, 128, 64],
        "strides": [2, 2, 2, 1],
        "kernel_size": 5,
        "slope": 0.0,
        "batch_norm": {"place": "none", "first_layer": True, "momentum": 0.99, "epsilon": 1e-3},
        "output": "tanh",
        "first_initializer": "glorot_uniform",
        "initializer": "glorot_uniform",
    },
    "discriminator": {
        "network": "conv_discriminator",
        "widths": [128, 256, 512],
        "strides": [1, 1, 1],
        "kernel_size": 5,
        "slope": 0.3,
        "pooling": "max",
        "dropout_rate": 0.0,
        "dense_widths": [2048],
        "first_initializer": "glorot_uniform",
        "initializer": "glorot_uniform",
    },
    "optimizer_generator": {
        "learning_rate": 2e-4,
        "decay_rate": 1.0,
        "decay_steps": 1,
        "beta1": 0.5,
        "beta2": 0.999,
        "epsilon": 1e-7,
    },
    "optimizer_discriminator": {
        "learning_rate": 2e-5,
        "decay_rate": 1.0,
        "decay_steps": 1,
        "beta1": 0.5,
        "beta2": 0.999,
        "epsilon": 1e-7,
    },
    "updates": {
        "discriminator_steps": 1,
        "discriminator_update": "mean",
        "half_batches": False,
        "fakes": "inference",
        "generator_latents": "new",
        "generator_loss": "non_saturating",
        "target_real": [1.0, 1.0],
        "target_fake": [0.0, 0.0],
        "shared_counters": False,
        "pretraining_steps": 0,
    },
    "average": {"decay": 0.0},
    "scores": {"every_epochs": 0, "images": 2000, "held_out": 0},
    "schedule": {"batch_size": 32, "sampling": "replacement", "steps_per_epoch": 100, "epochs": 100},
    "sheet": {"rows": 5, "columns": 5, "above_real": False},
}
