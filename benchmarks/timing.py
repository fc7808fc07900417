"""What the contenders share: reading the images, and timing a step."""

import json
import statistics
import sys
import time

import clone  # noqa: F401 - makes the package importable

WARM_UP = 5
BATCH, LATENT = 128, 100


def data():
    """The training split named on the command line, an ImageData."""
    from ms_gan.data.mnist import load_mnist

    return load_mnist("train", sys.argv[1])


def images():
    """Its images: uint8, (N, 784)."""
    return data().images.reshape(-1, 784)


def images_and_labels():
    """Its images, uint8, (N, 784), and its labels, int32, (N,)."""
    split = data()
    return split.images.reshape(-1, 784), split.labels


def report(step) -> None:
    """Call `step()` as often as the command line says; print the median time as JSON."""
    seconds = []
    for _ in range(WARM_UP + int(sys.argv[2])):
        started = time.perf_counter()
        step()
        seconds.append(time.perf_counter() - started)
    print(json.dumps({"milliseconds_per_step": 1000 * statistics.median(seconds[WARM_UP:])}))
