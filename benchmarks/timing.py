"""What the contenders share: reading the images, and timing a step."""

import json
import statistics
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

WARM_UP = 20
BATCH, LATENT = 128, 100


def images():
    """The training images named on the command line: uint8, (N, 784)."""
    from ms_gan.data.mnist import load_mnist

    return load_mnist("train", sys.argv[1]).images.reshape(-1, 784)


def report(step) -> None:
    """Call `step()` as often as the command line says; print the median time as JSON."""
    seconds = []
    for _ in range(WARM_UP + int(sys.argv[2])):
        started = time.perf_counter()
        step()
        seconds.append(time.perf_counter() - started)
    print(json.dumps({"milliseconds_per_step": 1000 * statistics.median(seconds[WARM_UP:])}))
