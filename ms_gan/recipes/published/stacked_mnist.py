"""The house recipe on Stacked MNIST: three digits as the colours of one image, 1,000 modes to be found.

Source: Che et al. 2017, "Mode Regularized Generative Adversarial Networks", for the data; Lin et al. 2018, "PacGAN: The
power of two samples in generative adversarial networks", for the protocol: 128,000 images to train on, 26,000 samples,
each channel read by a classifier of digits. The system is that of the recipe rpgan.

Where this departs from them, and why:
- Networks are fully connected; the papers' are convolutional.
- Unlabelled images are put into 20 clusters; the cluster ids take the place of classes in training. When drawing, the
  latent's first number chooses a cluster (Sage et al. 2018, "Logo Synthesis and Manipulation with Clustered Generative
  Adversarial Networks").
- The classifier is the project's judge of digits, which `eval --metrics` uses for other recipes, too.
"""

from ms_gan.recipes.published import rpgan

RECIPE = rpgan.RECIPE.but(
    {
        "data.dataset": "stacked_mnist",
        "data.fallback": "stacked_digits",
        "data.channels": 3,
        "generator.widths": (512, 512, 512),
        "optimizer_generator.decay_steps": 30000,
        "optimizer_discriminator.decay_steps": 30000,
        "schedule.epochs": 30,
        "scores.every_epochs": 0,
    },
    name="stacked_mnist",
    summary="rpgan on three digits in one image, 1,000 modes, 28x28 colour",
)
