"""Small colour images with up to three of four tags each, which a judge learns in some hundred steps."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ms_gan.data.description import ImageData

SIZE, MAX_TAGS = 12, 3
TAGS = ("checked", "flat", "lying", "upright")  # patterns of equal brightness, which blur makes alike
ROW, COLUMN = np.mgrid[:4, :4] % 2
PATTERNS = 240 * np.stack([ROW ^ COLUMN, ROW * 0 + 0.5, ROW, COLUMN])


def draw(labels: np.ndarray, seed: int) -> np.ndarray:
    """Return dark images, uint8 (N, 3, 12, 12), with a square of 4×4 of its pattern, somewhere, for each tag."""
    stream = np.random.default_rng(seed)
    images = stream.integers(0, 60, (len(labels), 3, SIZE, SIZE), dtype=np.uint8)
    corners = np.array([(0, 0), (0, 6), (6, 0), (6, 6)])  # so that none covers another
    for image, label in zip(images, labels):
        places = stream.permutation(corners) + stream.integers(0, 3, (4, 2))
        for tag in label[label > 0]:
            y, x = places[tag - 1]
            image[:, y : y + 4, x : x + 4] = PATTERNS[tag - 1]
    return images


def data(split: str, count: int) -> ImageData:
    """Return so many images of a split, with none to three tags."""
    seed = {"train": 1, "test": 2}[split]
    stream = np.random.default_rng(10 + seed)
    labels = np.zeros((count, MAX_TAGS), np.int32)
    for label in labels:
        tags = 1 + np.sort(stream.permutation(len(TAGS))[: stream.integers(MAX_TAGS + 1)])
        label[: len(tags)] = tags
    return ImageData("tagged", split, "the tagged images of a test", draw(labels, seed), labels, TAGS, MAX_TAGS)


def write(folder: Path, some: ImageData) -> None:
    """Write images and labels.csv to a new folder, as a user has them."""
    from PIL import Image

    folder.mkdir(parents=True)
    lines = ["file,tags"]
    for number, (image, label) in enumerate(zip(some.images, some.labels)):
        Image.fromarray(image.transpose(1, 2, 0)).save(folder / f"{number:04}.png")
        lines.append(f"{number:04}.png," + ";".join(TAGS[tag - 1] for tag in label if tag))
    (folder / "labels.csv").write_text("\n".join(lines) + "\n")
