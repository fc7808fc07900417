"""The TF-slim GAN whose samples stayed blurred, as published: fully connected networks on MNIST.

Source: the article on "Generative Adversarial Nets" with a TF-slim listing (yundeesoft.com/16237), whose
author asks readers why its digits are blurred after 200 epochs. `slim_mlp_fixed` mends what is
likely to be at fault; docs/reproductions.md has the experiments.

As published, and not mended: pixels in [0, 1] against a tanh output; one Adam object for both players, so that
its powers of beta and its global step advance twice in an iteration, and the learning rate, 1e-4 × 0.9^(step / 470),
falls twice as fast as it seems to; no BatchNorm.

Where this departs from the article, and why:
- D ends in a logit and the loss is a softplus of it: the article's −mean(log D(x) + log(1 − D(G(z)))) without the
  log of 0.
- 200 epochs of its 470 iterations are 94,000 steps, whole epochs; the article's queue ends after 93,750
  (`--steps 93750`).
- The sheets show the same latents each time, and show pixels from 0 to 1 as black to white; the article
  draws new latents and stretches each picture's own range, which no two pictures share.
- Everything random comes from counted streams (seed, step), so that a run can be resumed exactly.

The saturating loss of the paper is `--set updates.generator_loss=saturating`; its k is `updates.discriminator_steps`.
"""

RECIPE = {
    "name": "slim_mlp",
    "summary": "fully connected GAN of the TF-slim article as published, blurred; 28x28 grey",
    "family": "gan",
    "data": {
        "dataset": "mnist",
        "fallback": "digits",
        "size": 28,
        "channels": 1,
        "classes": 0,
        "places": 0,
        "clusters": 0,
        "pixel_range": [0.0, 1.0],
        "rotate_and_mirror": False,
    },
    "latent": {"size": 100, "distribution": "normal"},
    "generator": {
        "network": "mlp_generator",
        "widths": [256],
        "slope": 0.2,
        "batch_norm": {"place": "none", "first_layer": False, "momentum": 0.9, "epsilon": 1e-3},
        "output": "tanh",
        "initializer": "glorot_uniform",
    },
    "discriminator": {"network": "mlp_discriminator", "widths": [512], "slope": 0.2, "initializer": "glorot_uniform"},
    "optimizer_generator": {
        "learning_rate": 1e-4,
        "decay_rate": 0.9,
        "decay_steps": 470,
        "beta1": 0.9,
        "beta2": 0.999,
        "epsilon": 1e-8,
    },
    "optimizer_discriminator": {
        "learning_rate": 1e-4,
        "decay_rate": 0.9,
        "decay_steps": 470,
        "beta1": 0.9,
        "beta2": 0.999,
        "epsilon": 1e-8,
    },
    "updates": {
        "discriminator_steps": 1,
        "discriminator_update": "sum",
        "half_batches": False,
        "fakes": "training",
        "generator_latents": "new",
        "generator_loss": "non_saturating",
        "target_real": [1.0, 1.0],
        "target_fake": [0.0, 0.0],
        "shared_counters": True,
        "pretraining_steps": 0,
    },
    "average": {"decay": 0.0},
    "scores": {"every_epochs": 5, "images": 2000, "held_out": 0},
    "schedule": {"batch_size": 128, "sampling": "continuous", "steps_per_epoch": 470, "epochs": 200},
    "sheet": {"rows": 10, "columns": 10, "above_real": False},
}
