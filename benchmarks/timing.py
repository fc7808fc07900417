"""What the contenders share: reading the images, and timing a step."""

import json
import statistics
import sys
import time

import clone  # noqa: F401 - makes the package importable

WARM_UP = 5
BATCH, LATENT = 128, 100


def mnist():
    """The training images in the folder that the command line names, uint8, (N, 784), and their labels, int32, (N,)."""
    from ms_gan.data.mnist import load_mnist  # the API reads no files of images

    split = load_mnist("train", sys.argv[1])
    return split.images.reshape(-1, 784), split.labels


def report(step) -> None:
    """Call `step()` as often as the command line says; print the median time as JSON."""
    seconds = []
    for _ in range(WARM_UP + int(sys.argv[2])):
        started = time.perf_counter()
        step()
        seconds.append(time.perf_counter() - started)
    print(json.dumps({"milliseconds_per_step": 1000 * statistics.median(seconds[WARM_UP:])}))
