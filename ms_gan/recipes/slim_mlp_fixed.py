"""`slim_mlp` with its likely faults mended; what each does alone is in docs/reproductions.md.

Source: as `slim_mlp`, the article on "Generative Adversarial Nets" with a TF-slim listing (yundeesoft.com/16237).

Where this departs from the article, and why:
- Pixels are scaled to [-1, 1], the range of G's tanh; the article leaves them in [0, 1]. (Alone, with the rate decaying
  as published, this made it worse.)
- G's hidden layer has BatchNorm, as the article's notes recommend and its code forgets; that it stands behind the
  activation, its momentum of 0.9 and its epsilon of 1e-3 are ours.
- Each player has an Adam of its own with beta1 0.5 (Radford et al. 2016), and a learning rate that does not decay; the
  article's falls to a hundredth in 22 epochs, and training stands still from there.
- And all that is said in `slim_mlp`: logits, fixed latents for the sheets, counted random streams.

Networks' widths, the learning rate 1e-4, the batch of 128 and the queue are the article's.
"""

RECIPE = {
    "name": "slim_mlp_fixed",
    "summary": "the TF-slim article's GAN with its faults mended, 28x28 grey",
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
        "widths": [256],
        "slope": 0.2,
        "batch_norm": {"place": "after", "first_layer": True, "momentum": 0.9, "epsilon": 1e-3},
        "output": "tanh",
        "initializer": "glorot_uniform",
    },
    "discriminator": {"network": "mlp_discriminator", "widths": [512], "slope": 0.2, "initializer": "glorot_uniform"},
    "optimizer_generator": {
        "learning_rate": 1e-4,
        "decay_rate": 1.0,
        "decay_steps": 1,
        "beta1": 0.5,
        "beta2": 0.999,
        "epsilon": 1e-8,
    },
    "optimizer_discriminator": {
        "learning_rate": 1e-4,
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
        "generator_latents": "new",
        "generator_loss": "non_saturating",
        "target_real": [1.0, 1.0],
        "target_fake": [0.0, 0.0],
        "shared_counters": False,
        "pretraining_steps": 0,
    },
    "average": {"decay": 0.0},
    "scores": {"every_epochs": 5, "images": 2000, "held_out": 0},
    "schedule": {"batch_size": 128, "sampling": "continuous", "steps_per_epoch": 470, "epochs": 200},
    "sheet": {"rows": 10, "columns": 10, "above_real": False},
}
