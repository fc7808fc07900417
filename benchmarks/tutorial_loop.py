"""The MindSpore tutorial's procedure (document "GAN图像生成"), in graph mode: its own data pipeline,
two `value_and_grad` functions called one after the other from Python, the generator run forward twice.
"""

import os
import tempfile

import mindspore as ms
import mindspore.dataset
import numpy as np
import timing
from mindspore import nn, ops


def player(layers, name):
    network = nn.SequentialCell(layers)
    network.update_parameters_name(name)
    return network


def main() -> None:
    ms.set_context(mode=ms.GRAPH_MODE)
    ms.set_device("CPU")
    widths = [128, 256, 512, 1024]
    layers = [nn.Dense(timing.LATENT, widths[0]), nn.ReLU()]
    for before, width in zip(widths, widths[1:]):
        layers += [nn.Dense(before, width), nn.BatchNorm1d(width), nn.ReLU()]
    g = player(layers + [nn.Dense(widths[-1], 784), nn.Tanh()], "generator")
    d = player(
        [nn.Dense(784, 512), nn.LeakyReLU(), nn.Dense(512, 256), nn.LeakyReLU(), nn.Dense(256, 1), nn.Sigmoid()],
        "discriminator",
    )
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
        # its reader takes plain IDX files only
        pixels, _ = timing.mnist()
        with open(os.path.join(folder, "train-images-idx3-ubyte"), "wb") as file:
            file.write(np.array([2051, len(pixels), 28, 28], ">i4").tobytes() + pixels.tobytes())
        with open(os.path.join(folder, "train-labels-idx1-ubyte"), "wb") as file:
            file.write(np.array([2049, len(pixels)], ">i4").tobytes() + bytes(len(pixels)))
        source = mindspore.dataset.MnistDataset(folder)
        pairs = mindspore.dataset.GeneratorDataset(
            source, ["image", "label"], shuffle=True, python_multiprocessing=False
        )
        pairs = pairs.map(
            operations=lambda image: (image.astype("float32"), np.random.normal(size=timing.LATENT).astype("float32")),
            input_columns=["image"],
            output_columns=["image", "latents"],
        )
        batches = iter(pairs.project(["image", "latents"]).batch(timing.BATCH, True).create_tuple_iterator())

        def step():
            image, latents = next(batches)
            real = ((image - 127.5) / 127.5).reshape((image.shape[0], 1, 28, 28))
            loss_d, gradients = gradient_d(real, latents)
            adam_d(gradients)
            loss_g, gradients = gradient_g(latents)
            adam_g(gradients)
            return loss_d.asnumpy(), loss_g.asnumpy()

        timing.report(step)


if __name__ == "__main__":
    main()
