"""The pizza articles' conditional variational autoencoder; the label joins after the first convolution.

Source: "Учим робота готовить пиццу. Часть 2: Состязание нейронных сетей" (Habr), in Keras.

Where this departs from the document, and why:
- The same places as in `cvae_late`, for the same reasons: data, loss, optimizer, batch and initial weights, the order
  of ingredients, counted random streams.

The label's 261 numbers are repeated and cut to fill one more channel of 32×32. A latent of 64, which the document also
shows, is `--set latent.size=64`.
"""

RECIPE = {
    "name": "cvae_early",
    "summary": "conditional variational autoencoder of the pizza articles, the label early, 32x32 colour",
    "family": "cvae",
    "data": {
        "dataset": "pizza",
        "fallback": "pizza",
        "size": 32,
        "channels": 3,
        "classes": 28,
        "places": 9,
        "clusters": 0,
        "pixel_range": [0.0, 1.0],
        "rotate_and_mirror": True,
    },
    "latent": {"size": 512, "distribution": "normal"},
    "encoder": {
        "network": "conv_encoder",
        "label_place": "early",
        "widths": [32, 16],
        "kernel_size": 3,
        "dense_width": 1024,
        "initializer": "glorot_uniform",
    },
    "generator": {
        "network": "conv_decoder",
        "dense_width": 1024,
        "start_channels": 16,
        "widths": [16, 32],
        "kernel_size": 3,
        "initializer": "glorot_uniform",
    },
    "optimizer_encoder": {
        "learning_rate": 1e-3,
        "decay_rate": 1.0,
        "decay_steps": 1,
        "beta1": 0.9,
        "beta2": 0.999,
        "epsilon": 1e-7,
    },
    "optimizer_generator": {
        "learning_rate": 1e-3,
        "decay_rate": 1.0,
        "decay_steps": 1,
        "beta1": 0.9,
        "beta2": 0.999,
        "epsilon": 1e-7,
    },
    "updates": {"reconstruction": "squared", "kl_weight": 0.05},
    "average": {"decay": 0.0},
    "scores": {"every_epochs": 0, "images": 2000, "held_out": 0},
    "schedule": {"batch_size": 64, "sampling": "replacement", "steps_per_epoch": 225, "epochs": 40},
    "sheet": {"rows": 4, "columns": 8, "above_real": True},
}
