#!/usr/bin/env bash
# Pillow 12.0.0: ImageOps.equalize makes a part of small images white, at 30 by 30 a seventh, at 22 by 22 nearly half.
#
# Guess, written down before: it gives what MindSpore's Equalize of the same image gives, which is cv2.equalizeHist.
# Seen: grey values that are spread evenly stay nearly as they are with OpenCV. Pillow divides the number of pixels by
# 255, drops the rest of that division, and so counts in steps that are too small: all pixels after the first 255 steps
# are white. At 16 by 16 and 32 by 32 hardly any rest is dropped, and both agree. In large images it is small beside the
# step.
# Seen beside this script: the same in 13.0.0. MindSpore 2.8.0's Equalize is Pillow's for Pillow images, OpenCV's for
# arrays. So one pipeline gives two results.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet pillow==12.0.0 opencv-python-headless==4.11.0.86 numpy==1.26.4
cat >"$folder/look.py" <<'PYTHON'
import cv2
import numpy
import PIL
from PIL import Image, ImageOps

print("Pillow", PIL.__version__, "and OpenCV", cv2.__version__)
white = {}
for size in (16, 22, 30, 32):
    evenly = numpy.linspace(0, 255, size * size).round().astype(numpy.uint8).reshape(size, size)
    by_opencv = cv2.equalizeHist(evenly)
    by_pillow = numpy.asarray(ImageOps.equalize(Image.fromarray(evenly)))
    white[size] = float((by_pillow == 255).mean())
    moved = int(numpy.abs(by_opencv.astype(int) - evenly).max())
    print(f"{size} by {size}: {white[size]:.0%} white, by OpenCV {(by_opencv == 255).mean():.0%}; OpenCV moves by {moved}")
    assert moved <= 3
raise SystemExit(not (white[16] < 0.02 and 0.45 < white[22] < 0.5 and 0.13 < white[30] < 0.16 and white[32] < 0.02))
PYTHON
"$folder/venv/bin/python" "$folder/look.py"
