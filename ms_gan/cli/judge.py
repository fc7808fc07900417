"""`judge`: train the classifiers that score generated images."""

from __future__ import annotations

import argparse
from pathlib import Path

from ms_gan import data
from ms_gan.cli.options import LARGEST_SEED, add_device, add_seed, free_folder, positive


def add_arguments(command: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    command.add_argument(
        "--dataset", choices=tuple(data.DATASETS), default="mnist", help="images with labels (default: mnist)"
    )
    command.add_argument(
        "--data-path", metavar="PATH", help="the folder, or the .npz file, that holds them (default: mnist is fetched)"
    )
    command.add_argument(
        "--size",
        type=positive,
        default=28,
        metavar="N",
        help="the size that images of a folder are scaled to, or pizzas drawn in (default: 28)",
    )
    command.add_argument(
        "--channels",
        type=int,
        choices=(1, 3),
        default=1,
        help="1 for grey, 3 for colour images of a folder, or pizzas (default: 1)",
    )
    command.add_argument(
        "--max-tags",
        type=positive,
        metavar="N",
        help="the most tags of an image of a folder (default: each image has one class; pizzas have up to 9 tags)",
    )
    add_seed(command, "of the first network; the second network takes the next seed", LARGEST_SEED - 1)
    command.add_argument("--output-dir", required=True, metavar="DIR", help="the judge's folder, which must be new")
    add_device(command)


def run(options: argparse.Namespace) -> int:
    """Train the judge and write its folder; return the exit status."""
    from ms_gan import runtime
    from ms_gan.data.description import DataRequest

    folder = free_folder(Path(options.output_dir), (), overwrite=False)
    runtime.set_up(options.device_target, options.device_id)
    request = DataRequest(options.size, options.channels, classes=2, max_tags=options.max_tags or 0)
    train, test = (data.load(options.dataset, split, options.data_path, request) for split in ("train", "test"))

    from ms_gan.evaluation.judge import save_judge
    from ms_gan.evaluation.judge_training import train_judge

    command = f"python -m ms_gan judge --dataset {options.dataset}"
    command += " --data-path DIR" if options.data_path else ""
    for name, default in (("size", 28), ("channels", 1), ("max_tags", None)):
        if getattr(options, name) != default:
            command += f" --{name.replace('_', '-')} {getattr(options, name)}"
    command += f" --seed {options.seed} --output-dir DIR"
    judge = train_judge(train, test, options.seed, command, lambda line: print(line, flush=True))
    save_judge(judge, folder)
    if judge.weakness:
        print(f"note: {judge.weakness}")
    print(folder)
    return 0
