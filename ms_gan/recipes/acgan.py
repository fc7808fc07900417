"""The conditional GAN whose discriminator also names the digit: convolutional networks on MNIST.

Source: "Улучшения для генеративно-состязательных сетей (GAN)" (Habr), in Keras; the idea is that of
Odena et al. 2017, "Conditional Image Synthesis with Auxiliary Classifier GANs".

In the document one number, its "complexity", sets the size of each network: 80 for G (start_channels is half of it,
each of widths is it), 70 for D (a quarter, a half, once, twice, once); here each layer has its own.

Where this departs from the document, and why:
- D ends in logits and the losses are taken of these, which does not overflow: the document's sigmoid, softmax and
  cross-entropies.
- The transposed convolutions of stride 1 are plain ones: the same with the kernel turned round, and faster.
- The document names SGD for G, but its G is trained only through the model that Adam is compiled into: Adam.
- The document gives D's fakes a label of zeros, whose cross-entropy is 0; here its gradient is 0, too, where Keras'
  fused softmax and cross-entropy would push all class logits of the fakes down: what a library does with targets that
  are no distribution is no part of the document, its formula is.
- BatchNorm behind the Dense layer keeps the unbiased variance, 128/127 of the document's, as everywhere in MindSpore.
- How often G fools D is a mean of ten steps in history.csv, to be plotted; the document prints it every 12 epochs.
- loss_d and loss_g are the adversarial parts, loss_d_class and loss_g_class the others, to be read apart; a player
  minimises both.
- Dropout masks are drawn outside the graph, from the same counted streams (seed, step) as everything random, so that
  a run can be resumed exactly; D's rate of 0.2 is 13107/65536.

Keras' constants are written out: Glorot-uniform weights and biases of 0, BatchNorm's momentum 0.99 and epsilon
1e-3, Adam's epsilon 1e-7. An epoch is 40 batches. Latents on the sphere, which the document found slower, are
`--set latent.distribution=sphere`.
"""

RECIPE = {
    "name": "acgan",
    "summary": "conditional GAN with a classifying discriminator, 28x28 grey, ten classes",
    "family": "acgan",
    "data": {
        "dataset": "mnist",
        "fallback": "digits",
        "size": 28,
        "channels": 1,
        "classes": 10,
        "places": 0,
        "clusters": 0,
        "pixel_range": [0.0, 1.0],
        "rotate_and_mirror": False,
    },
    "latent": {"size": 100, "distribution": "normal"},
    "generator": {
        "network": "conv_generator",
        "start_channels": 40,
        "widths": [80, 80, 80, 80],
        "strides": [2, 1, 1, 1, 2],
        "kernel_size": 5,
        "slope": 0.2,
        "batch_norm": {"place": "before", "first_layer": True, "momentum": 0.99, "epsilon": 1e-3},
        "output": "sigmoid",
        "first_initializer": "normal_0.02",
        "initializer": "glorot_uniform",
    },
    "discriminator": {
        "network": "conv_discriminator",
        "widths": [17, 35, 70, 140, 70],
        "strides": [2, 2, 2, 1, 1],
        "kernel_size": 5,
        "slope": 0.2,
        "pooling": "none",
        "dropout_rate": 0.2,
        "dense_widths": [],
        "first_initializer": "normal_0.02",
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
        "discriminator_update": "mean",
        "half_batches": False,
        "fakes": "inference",
        "generator_latents": "new",
        "generator_loss": "non_saturating",
        "target_real": [0.8, 1.0],
        "target_fake": [0.0, 0.2],
        "shared_counters": False,
        "pretraining_steps": 0,
    },
    "average": {"decay": 0.0},
    "scores": {"every_epochs": 5, "images": 2000, "held_out": 0},
    "schedule": {"batch_size": 128, "sampling": "replacement", "steps_per_epoch": 40, "epochs": 500},
    "sheet": {"rows": 2, "columns": 8, "above_real": True},
}
