"""The house recipe for photographs of one's own: some sixty to some thousand pictures of one thing, 32x32 colour.

Source: Zhao et al. 2020, "Differentiable Augmentation for Data-Efficient GAN Training", for what few images need:
D sees all images changed at random, by the paper's changes and strengths. The system is that of the recipe
rpgan_residual, without labels. docs/photographs.md goes through a training.
"""

from ms_gan.recipes.published import rpgan_residual

RECIPE = rpgan_residual.RECIPE.but(
    {
        "data.dataset": "folder",
        "data.classes": 0,
        "data.max_tags": 0,
        "data.rotate_and_mirror": False,
        "updates.augmentation.brightness": 0.5,
        "updates.augmentation.saturation": 1.0,
        "updates.augmentation.contrast": 0.5,
        "updates.augmentation.translation": 0.125,
        "updates.augmentation.cutout": 0.5,
        "updates.gamma_decay_steps": 20000,
        "optimizer_generator.decay_steps": 20000,
        "optimizer_discriminator.decay_steps": 20000,
        "schedule.epochs": 80,
        "schedule.steps_per_epoch": 250,
    },
    name="photographs",
    summary="rpgan_residual with augmentation, for photographs of your own, 32x32 colour",
)
