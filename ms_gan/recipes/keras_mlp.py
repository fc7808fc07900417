"""The lecture's GAN in Keras: fully connected networks on MNIST, D learning from half batches in two updates.

Source: "Лекция 8. Модель нейронной сети GAN", its listing `class GAN()`, built on Keras.

Where this departs from the lecture, and why:
- G and D have one Adam each: the lecture compiles one Adam object into three models, of which two train, and what
  such models share of it depends on the version of Keras, which it does not give.
- D ends in a logit and the loss is a softplus of it: the same function as Keras' sigmoid and binary
  cross-entropy, without the clipping at 1e-7 that Keras needs.
- The sheets show the same latents each time, the first before training, and are named by epoch, with the step below;
  the lecture draws new ones for each, by which nothing can be seen to change, and names them by step.
- D's accuracy is logged for real and for generated images; the lecture logs the mean of the two, which hides which one
  D mistakes.
- BatchNorm's moving variance is the unbiased one, as everywhere in MindSpore; some versions of Keras keep the biased
  one, of which it is 32/31.
- Everything random comes from counted streams (seed, step), so that a run can be resumed exactly.

Keras' constants are written out: Glorot-uniform weights and biases of 0, BatchNorm's epsilon 1e-3, Adam's 1e-7.
An "epoch" here is the 200 steps between two of the lecture's pictures, which calls a step an epoch.
The lecture's advice to train D alone first is `--set updates.pretraining_steps=N`; to hold a player's weights still for
a while, a run with `--set optimizer_discriminator.learning_rate=0`, from which another goes on with `--warm-start`, its
Adams beginning anew.
"""

RECIPE = {
    "name": "keras_mlp",
    "summary": "fully connected GAN of the Keras lecture, 28x28 grey",
    "family": "gan",
    "data": {
        "dataset": "mnist",
        "fallback": "digits",
        "size": 28,
        "channels": 1,
        "classes": 0,
        "places": 0,
        "clusters": 0,
        "pixel_range": [-1.0, 1.0],
        "rotate_and_mirror": False,
    },
    "latent": {"size": 100, "distribution": "normal"},
    "generator": {
        "network": "mlp_generator",
        "widths": [256, 512, 1024],
        "slope": 0.2,
        "batch_norm": {"place": "after", "first_layer": True, "momentum": 0.8, "epsilon": 1e-3},
        "output": "tanh",
        "initializer": "glorot_uniform",
    },
    "discriminator": {
        "network": "mlp_discriminator",
        "widths": [512, 256],
        "slope": 0.2,
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
        "learning_rate": 2e-4,
        "decay_rate": 1.0,
        "decay_steps": 1,
        "beta1": 0.5,
        "beta2": 0.999,
        "epsilon": 1e-7,
    },
    "updates": {
        "discriminator_steps": 1,
        "discriminator_update": "separate",
        "half_batches": True,
        "fakes": "inference",
        "generator_latents": "new",
        "generator_loss": "non_saturating",
        "target_real": [1.0, 1.0],
        "target_fake": [0.0, 0.0],
        "shared_counters": False,
        "pretraining_steps": 0,
    },
    "average": {"decay": 0.0},
    "scores": {"every_epochs": 5, "images": 2000, "held_out": 0},
    "schedule": {"batch_size": 32, "sampling": "replacement", "steps_per_epoch": 200, "epochs": 150},
    "sheet": {"rows": 5, "columns": 5, "above_real": False},
}
