"""`slim_mlp` with its likely faults fixed; what each fix does alone is in docs/reproductions.md.

Source: as `slim_mlp`, the article on "Generative Adversarial Nets" with a TF-slim listing (yundeesoft.com/16237).

Where this departs from the article, and why:
- Pixels are scaled to [-1, 1], the range of G's tanh; the article leaves them in [0, 1]. (Alone, with the rate decaying
  as published, this made it worse.)
- G's hidden layer has BatchNorm, as the article's notes recommend and its code forgets. Its place after the activation,
  its momentum of 0.9 and its epsilon of 1e-3 are ours.
- Each player has an Adam of its own with beta1 0.5 (Radford et al. 2016), and a learning rate that does not decay; the
  article's falls to a hundredth in 22 epochs, and training stands still from then on.
- The same departures as in `slim_mlp`: logits, fixed latents for the sheets, counted random streams.

Networks' widths, the learning rate 1e-4, the batch of 128 and the queue are the article's.
"""

from ms_gan.recipes.published import slim_mlp

RECIPE = slim_mlp.RECIPE.but(
    {
        "data.pixel_range": (-1.0, 1.0),
        "generator.batch_norm.place": "after",
        "generator.batch_norm.first_layer": True,
        "optimizer_generator.decay_rate": 1.0,
        "optimizer_generator.decay_steps": 1,
        "optimizer_generator.beta1": 0.5,
        "optimizer_discriminator.decay_rate": 1.0,
        "optimizer_discriminator.decay_steps": 1,
        "optimizer_discriminator.beta1": 0.5,
        "updates.shared_counters": False,
    },
    name="slim_mlp_fixed",
    summary="the TF-slim article's GAN with its faults mended, 28x28 grey",
)
