"""The MindSpore tutorial's GAN: fully connected networks on MNIST.

Source: MindSpore tutorial "GAN图像生成" (mindspore.cn, application tutorials, generative), after
Goodfellow et al. 2014, "Generative Adversarial Nets".

Where this departs from the tutorial, and why:
- D ends in a logit and the loss is a softplus of it, where the tutorial takes BCELoss of a sigmoid:
  the same function, without overflow.
- The generator runs forward once a step and not twice: the same losses and weights, faster;
  BatchNorm's moving statistics advance once a step instead of twice.
- Grids are drawn in inference mode, as an exported generator draws; the tutorial draws them in training mode.
- Latents are drawn from counted streams (seed, step), so that a run can be resumed exactly.
"""

RECIPE = {
    "name": "mlp",
    "summary": "fully connected GAN of the MindSpore tutorial, 28x28 grey",
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
        "widths": [128, 256, 512, 1024],
        "slope": 0.0,
        "batch_norm": {"place": "before", "first_layer": False, "momentum": 0.9, "epsilon": 1e-5},
        "output": "tanh",
        "initializer": "mindspore",
    },
    "discriminator": {"network": "mlp_discriminator", "widths": [512, 256], "slope": 0.2, "initializer": "mindspore"},
    "optimizer_generator": {
        "learning_rate": 2e-4,
        "decay_rate": 1.0,
        "decay_steps": 1,
        "beta1": 0.5,
        "beta2": 0.999,
        "epsilon": 1e-8,
    },
    "optimizer_discriminator": {
        "learning_rate": 2e-4,
        "decay_rate": 1.0,
        "decay_steps": 1,
        "beta1": 0.5,
        "beta2": 0.999,
        "epsilon": 1e-8,
    },
    "updates": {
        "discriminator_steps": 1,
        "discriminator_update": "sum",
        "half_batches": False,
        "fakes": "training",
        "generator_latents": "shared",
        "generator_loss": "non_saturating",
        "target_real": [1.0, 1.0],
        "target_fake": [0.0, 0.0],
        "shared_counters": False,
        "pretraining_steps": 0,
    },
    "average": {"decay": 0.0},
    "scores": {"every_epochs": 5, "images": 2000, "held_out": 0},
    "schedule": {"batch_size": 128, "sampling": "epochs", "steps_per_epoch": 0, "epochs": 200},
    "sheet": {"rows": 5, "columns": 5, "above_real": False},
}
