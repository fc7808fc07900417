"""One way to draw images from a bundle, in a process of its own: images a second, as one line of JSON.

python -m benchmarks.inferring BUNDLE WAY BATCH [--seconds S]
"""

import argparse
import json
import statistics
import time
from pathlib import Path

WARM_UP = 8  # batches; in the eighth, a bundle finds out how many rows it may compute at once


def opened(way, folder):
    """Return a function of a bundle's inputs, arrays, that draws images."""
    from ms_gan.delivery.bundle import Bundle
    from ms_gan.delivery.contract import read_contract

    contract = read_contract(folder)
    if way == "onnxruntime":
        import onnxruntime

        file = folder / contract.generator.files["onnx"]
        session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
        names = [tensor.name for tensor in session.get_inputs()]
        return lambda inputs: session.run(None, dict(zip(names, inputs)))[0]
    from ms_gan.delivery.choice import choose_format

    asked = "mindir" if way == "MindIR, GraphCell" else None
    file_format = choose_format(folder, contract, asked, None, None).file_format
    if file_format == "mindir":  # only then, as `infer` does
        from ms_gan import runtime

        runtime.set_up("CPU")
    return Bundle(folder, file_format).draw


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bundle", type=Path)
    parser.add_argument("way", choices=("infer", "MindIR, GraphCell", "onnxruntime"))
    parser.add_argument("batch", type=int)
    parser.add_argument("--seconds", type=float, default=5.0)
    options = parser.parse_args()
    from ms_gan.delivery.contract import example_inputs, read_contract

    contract = read_contract(options.bundle)
    inputs = example_inputs(contract.generator, contract.label_names, options.batch, 1)
    draw = opened(options.way, options.bundle)
    for _ in range(WARM_UP):
        draw(inputs)
    times, started = [], time.perf_counter()
    while not times or time.perf_counter() - started < options.seconds:
        before = time.perf_counter()
        draw(inputs)
        times.append(time.perf_counter() - before)
    print(json.dumps({"images_a_second": options.batch / statistics.median(times), "batches": len(times)}))


if __name__ == "__main__":
    main()
