#!/usr/bin/env bash
# albumentations 2.0.8: SafeRotate moves each image by half a pixel down and right, and so blurs it, whatever the angle,
# 0 among them. Rotate does not.
#
# Guess, written down before: a turn by 90 degrees of a square image is that of numpy.rot90 to one grey level, as with
# the other functions that were tried (Rotate, Affine, those of Pillow, OpenCV, scikit-image and SciPy).
# Seen: all of those are exact. SafeRotate by 90 degrees is off by up to 190 levels in an image of random pixels; by 0
# degrees, too. A pixel is the mean of four neighbours. With the nearest pixel in place of the mean the image is moved,
# by one pixel or none. So a network that is trained on images that are turned in this way learns blurred ones.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet albumentations==2.0.8 opencv-python-headless==4.11.0.86 numpy==1.26.4 \
    scipy==1.13.1
cat >"$folder/look.py" <<'PYTHON'
import os

os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"
import albumentations
import cv2
import numpy

image = numpy.random.default_rng(1).integers(0, 256, (32, 32, 3), numpy.uint8)
four = [image[down : 31 + down, right : 31 + right].astype(float) for down in (0, 1) for right in (0, 1)]
half_a_pixel_on = sum(four) / 4
print("albumentations", albumentations.__version__, "with OpenCV", cv2.__version__)
as_seen = []
for angle in (0, 90, 180):
    right = numpy.rot90(image, angle // 90).astype(float)
    for kind in (albumentations.Rotate, albumentations.SafeRotate):
        off = numpy.abs(kind((angle, angle), p=1)(image=image)["image"] - right).max()
        print(f"{kind.__name__} by {angle} degrees: off by {off:.0f} of 255")
        as_seen.append(off <= 1 if kind is albumentations.Rotate else off > 100)
at_zero = albumentations.SafeRotate((0, 0), p=1)(image=image)["image"]
far = numpy.abs(at_zero[1:, 1:] - half_a_pixel_on).max()
print(f"SafeRotate by 0 degrees is the mean of four neighbours to {far:.1f} levels")
raise SystemExit(not (all(as_seen) and far <= 1))
PYTHON
"$folder/venv/bin/python" "$folder/look.py"
