"""The house recipe on Stacked MNIST: three digits as the colours of one image, 1,000 modes to be found.

Source: Che et al. 2017, "Mode Regularized Generative Adversarial Networks", for the data; Lin et al. 2018, "PacGAN: The
power of two samples in generative adversarial networks", for the protocol: 128,000 images to train on, 26,000 samples,
each channel read by a classifier of digits. The system is that of the recipe rpgan.

Where this departs from them, and why:
- Networks are fully connected; the papers' are convolutional.
- Images are put into 20 groups of such as look alike, which take the place of classes while training; drawing, a
  number of the latent chooses the group (Sage et al. 2018, "Logo Synthesis and Manipulation with Clustered Generative
  Adversarial Networks").
- The classifier is the judge of the digits, which `eval --metrics` uses elsewhere.
"""

RECIPE = {
    "name": "stacked_mnist",
    "summary": "rpgan on three digits in one image, 1,000 modes, 28x28 colour",
    "family": "rpgan",
    "data": {
        "dataset": "stacked_mnist",
        "fallback": "stacked_digits",
        "size": 28,
        "channels": 3,
        "classes": 0,
        "places": 0,
        "clusters": 20,
        "pixel_range": [-1.0, 1.0],
        "rotate_and_mirror": False,
    },
    "latent": {"size": 64, "distribution": "normal"},
    "generator": {
        "network": "mlp_generator",
        "widths": [512, 512, 512],
        "slope": 0.2,
        "batch_norm": {"place": "before", "first_layer": False, "momentum": 0.9, "epsilon": 1e-5},
        "output": "tanh",
        "initializer": "mindspore",
    },
    "discriminator": {
        "network": "mlp_discriminator",
        "widths": [512, 512, 256],
        "slope": 0.2,
        "initializer": "mindspore",
    },
    "optimizer_generator": {
        "learning_rate": 1e-3,
        "decay_rate": 0.1,
        "decay_steps": 30000,
        "beta1": 0.0,
        "beta2": 0.99,
        "epsilon": 1e-8,
    },
    "optimizer_discriminator": {
        "learning_rate": 1e-3,
        "decay_rate": 0.1,
        "decay_steps": 30000,
        "beta1": 0.0,
        "beta2": 0.99,
        "epsilon": 1e-8,
    },
    "updates": {"gamma": 10.0, "penalised": 32, "class_weight": 0.02},
    "average": {"decay": 0.999},
    "scores": {"every_epochs": 0, "images": 2000, "held_out": 0},
    "schedule": {"batch_size": 128, "sampling": "epochs", "steps_per_epoch": 0, "epochs": 30},
    "sheet": {"rows": 5, "columns": 5, "above_real": False},
}
