"""Draw letters in MNIST's format, to see what recipes make of images that are no digits.

    python benchmarks/letters.py OUTPUT

26 classes, A to Z, each as a capital or a small letter, in OpenCV's Hershey fonts: 60,000 training and 10,000 test
images, uint8, 28×28, from seed 1: the same files each time with the same OpenCV. Train with --dataset mnist
--data-path OUTPUT --set data.classes=26.
"""

import string
import sys
from pathlib import Path

import clone  # noqa: F401 - makes the package importable
import cv2
import numpy as np
from mnist_format import write_split

COUNTS = {"train": 60_000, "test": 10_000}
SIZE, CANVAS = 28, 112
FONTS = (
    cv2.FONT_HERSHEY_SIMPLEX,
    cv2.FONT_HERSHEY_DUPLEX,
    cv2.FONT_HERSHEY_COMPLEX,
    cv2.FONT_HERSHEY_TRIPLEX,
    cv2.FONT_HERSHEY_SCRIPT_SIMPLEX,
    cv2.FONT_HERSHEY_SCRIPT_COMPLEX,
)


def letter(number: int, random: np.random.Generator) -> np.ndarray:
    """Return an image, uint8 (28, 28), of letter `number`, 0 to 25."""
    text = (string.ascii_uppercase, string.ascii_lowercase)[random.integers(2)][number]
    font, thickness = FONTS[random.integers(len(FONTS))], int(random.integers(5, 12))
    canvas = np.zeros((CANVAS, CANVAS), np.uint8)
    (width, height), below = cv2.getTextSize(text, font, 2.6, thickness)
    place = (CANVAS - width) // 2, (CANVAS + height - below) // 2
    cv2.putText(canvas, text, place, font, 2.6, 255, thickness, cv2.LINE_AA)
    moments = cv2.moments(canvas)
    centre = np.array([moments["m10"], moments["m01"]]) / moments["m00"]
    angle, slant = random.normal(0, 0.12), random.normal(0, 0.15)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    matrix = turn @ np.array([[1, slant], [0, 1]]) @ np.diag(random.uniform(0.8, 1.1, 2))
    middle = np.array([CANVAS / 2, CANVAS / 2]) + random.normal(0, 2, 2)
    warped = cv2.warpAffine(canvas, np.column_stack([matrix, middle - matrix @ centre]), (CANVAS, CANVAS))
    return cv2.resize(warped, (SIZE, SIZE), interpolation=cv2.INTER_AREA)


def main() -> None:
    from ms_gan.randomness import random_stream

    if len(sys.argv) != 2 or sys.argv[1].startswith("-") or Path(sys.argv[1]).exists():
        raise SystemExit("usage: python benchmarks/letters.py OUTPUT, a folder that is not there yet")
    output = Path(sys.argv[1])
    output.mkdir(parents=True)
    for split, count in COUNTS.items():
        random = random_stream(1, f"letters {split}")
        labels = random.integers(0, 26, count).astype(np.uint8)
        write_split(output, split, np.stack([letter(number, random) for number in labels]), labels)
    (output / "label_names.txt").write_text("\n".join(string.ascii_uppercase) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
