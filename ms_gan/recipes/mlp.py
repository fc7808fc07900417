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
    "data": {"dataset": "mnist", "fallback": "digits", "size": 28, "channels": 1, "pixel_range": [-1.0, 1.0]},
    "latent": {"size": 100, "distribution": "normal"},
    "generator": {"network": "mlp_generator", "widths": [128, 256, 512, 1024]},
    "discriminator": {"network": "mlp_discriminator", "widths": [512, 256], "slope": 0.2},
    "optimizer_generator": {"learning_rate": 2e-4, "beta1": 0.5, "beta2": 0.999, "epsilon": 1e-8},
    "optimizer_discriminator": {"learning_rate": 2e-4, "beta1": 0.5, "beta2": 0.999, "epsilon": 1e-8},
    "schedule": {"batch_size": 128, "epochs": 200},
}
