"""Time a recipe against PyTorch eager doing the same, and `mlp` also against the MindSpore tutorial's own loop.

    python benchmarks/compare.py --data-path DIR [--recipe mlp|acgan] [--rounds 5] [--steps 200] [--only ms_gan,pytorch]

Each contender trains the same networks on MNIST, batch 128, with everything that it takes to
train: batches, latents, both updates, and the losses read. Each runs in a process of its own; the
contenders take turns, so that what else the machine does falls on all of them; the ratios are
taken within a round. ms_gan has the environment that the scripts give it, which asks for huge pages;
PyTorch is no faster with them. PyTorch comes from requirements-bench.txt.
"""

import argparse
import json
import statistics
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
CONTENDERS = {
    "mlp": {
        "ms_gan": ("ms_gan_loop.py", "mlp"),
        "pytorch": ("pytorch_mlp.py",),
        "pytorch_dataloader": ("pytorch_mlp.py", "dataloader"),
        "tutorial": ("tutorial_loop.py",),
    },
    "acgan": {
        "ms_gan": ("ms_gan_loop.py", "acgan"),
        "ms_gan_mindspore_kernels": ("ms_gan_loop.py", "acgan", "mindspore_kernels"),
        "pytorch": ("pytorch_acgan.py",),
        "pytorch_channels_last": ("pytorch_acgan.py", "channels_last"),
    },
}


def milliseconds_per_step(recipe: str, contender: str, data_path: str, steps: int) -> float:
    """Run one contender in a fresh process; return the median time of a step after the warm-up."""
    script, *arguments = CONTENDERS[recipe][contender]
    command = [sys.executable, str(HERE / script), data_path, str(steps), *arguments]
    if contender.startswith("ms_gan"):
        command = ["bash", "-c", 'source "$0" && exec "$@"', str(HERE.parent / "scripts" / "environment.sh"), *command]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{contender} failed:\n{done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])["milliseconds_per_step"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-path", required=True)
    parser.add_argument("--recipe", choices=tuple(CONTENDERS), default="mlp")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=200, help="steps that are timed in each round")
    parser.add_argument("--only", help="contenders, joined by commas (default: all)")
    options = parser.parse_args()
    contenders = options.only.split(",") if options.only else list(CONTENDERS[options.recipe])

    rounds = []
    for number in range(options.rounds):
        times = {
            name: milliseconds_per_step(options.recipe, name, options.data_path, options.steps) for name in contenders
        }
        rounds.append(times)
        told = ", ".join(f"{name} {value:.1f} ms" for name, value in times.items())
        print(f"round {number + 1}: {told}", flush=True)
    for name in contenders:
        values = [times[name] for times in rounds]
        line = f"{name}: median {statistics.median(values):.1f} ms a step"
        if name != "ms_gan" and "ms_gan" in contenders:
            ratios = sorted(times[name] / times["ms_gan"] for times in rounds)
            line += f", {statistics.median(ratios):.2f} times ms_gan (rounds {ratios[0]:.2f} to {ratios[-1]:.2f})"
        print(line)


if __name__ == "__main__":
    main()
