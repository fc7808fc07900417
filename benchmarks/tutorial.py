"""The MindSpore tutorial's procedure (document "GAN图像生成"), in graph mode: its own data pipeline,
two `value_and_grad` functions called one after the other from Python, the generator run forward twice.
"""

import os
import tempfile

import mindspore as ms
import mindspore.dataset
import numpy as np
from mindspore import nn, ops


def player(layers, name):
    network = nn.SequentialCell(layers)
    network.update_parameters_name(name)
    return network


def players(latent_size):
    """Return its networks."""
    widths = [128, 256, 512, 1024]
    layers = [nn.Dense(latent_size, widths[0]), nn.ReLU()]
    for before, width in zip(widths, widths[1:]):
        layers += [nn.Dense(before, width), nn.BatchNorm1d(width), nn.ReLU()]
    generator = player(layers + [nn.Dense(widths[-1], 784), nn.Tanh()], "generator")
    layers = [nn.Dense(784, 512), nn.LeakyReLU(), nn.Dense(512, 256), nn.LeakyReLU(), nn.Dense(256, 1), nn.Sigmoid()]
    return generator, player(layers, "discriminator")


def pipeline(data, folder, batch_size, latent_size):
    """Return its batches of one epoch after the other. Its reader takes plain IDX files only."""
    pixels = data.images
    with open(os.path.join(folder, "train-images-idx3-ubyte"), "wb") as file:
        file.write(np.array([2051, len(pixels), 28, 28], ">i4").tobytes() + pixels.tobytes())
    with open(os.path.join(folder, "train-labels-idx1-ubyte"), "wb") as file:
        file.write(np.array([2049, len(pixels)], ">i4").tobytes() + bytes(len(pixels)))
    source = mindspore.dataset.MnistDataset(folder)
    pairs = mindspore.dataset.GeneratorDataset(source, ["image", "label"], shuffle=True, python_multiprocessing=False)
    pairs = pairs.map(
        operations=lambda image: (image.astype("float32"), np.random.normal(size=latent_size).astype("float32")),
        input_columns=["image"],
        output_columns=["image", "latents"],
    )
    batches = pairs.project(["image", "latents"]).batch(batch_size, True)
    while True:
        yield from batches.create_tuple_iterator()


def train(recipe, data, clock):
    """Train until the clock says that it is enough."""
    ms.set_context(mode=ms.GRAPH_MODE)
    ms.set_device("CPU")
    g, d = players(recipe.latent.size)
    loss = nn.BCELoss(reduction="mean")
    adam_g = nn.Adam(g.trainable_params(), learning_rate=2e-4, beta1=0.5, beta2=0.999)
    adam_d = nn.Adam(d.trainable_params(), learning_rate=2e-4, beta1=0.5, beta2=0.999)
    adam_g.update_parameters_name("optim_g")
    adam_d.update_parameters_name("optim_d")
    g.set_train()
    d.set_train()

    def generator_loss(latents):
        fooled = d(g(latents))
        return loss(fooled, ops.ones_like(fooled))

    def discriminator_loss(real, latents):
        on_fake, on_real = d(g(latents)), d(real.reshape((-1, 784)))
        return loss(on_real, ops.ones_like(on_real)) + loss(on_fake, ops.zeros_like(on_fake))

    gradient_g = ms.value_and_grad(generator_loss, None, g.trainable_params())
    gradient_d = ms.value_and_grad(discriminator_loss, None, d.trainable_params())
    with tempfile.TemporaryDirectory() as folder:
        batches = pipeline(data, folder, recipe.schedule.batch_size, recipe.latent.size)
        while not clock.stopped():
            image, latents = next(batches)
            real = ((image - 127.5) / 127.5).reshape((image.shape[0], 1, 28, 28))
            loss_d, gradients = gradient_d(real, latents)
            adam_d(gradients)
            loss_g, gradients = gradient_g(latents)
            adam_g(gradients)
            loss_d.asnumpy(), loss_g.asnumpy()
            clock.tick()
