#!/usr/bin/env bash
# OpenCV 4.11.0: imread multiplies the colours of an 8-bit TIFF with alpha by it, also with IMREAD_UNCHANGED, although
# the file says that they are not multiplied yet (unassociated alpha), as Pillow writes it. The same image as PNG or
# WebP it reads as it is.
#
# Guess, written down before: Pillow and OpenCV read the same pixels from lossless files, where both convert to RGB of
# 8 bits and alpha is dropped.
# Seen: 200 with an alpha of 51 (a fifth) is read as 40, from TIFF alone. A data set that holds such TIFFs gets darker
# edges than the same images as PNG. Seen beside this script: 5.0.0 does so, and MindSpore 2.8.0's
# dataset.vision.Decode. Run with Python 3.11.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet opencv-python-headless==4.11.0.86 pillow==11.3.0 numpy==1.26.4
cat >"$folder/look.py" <<'PYTHON'
import cv2
import numpy
import PIL
from PIL import Image

EXTRA_SAMPLES, UNASSOCIATED = 338, 2  # as TIFF numbers them
pixels = numpy.zeros((4, 4, 4), numpy.uint8)
pixels[..., :3], pixels[..., 3] = 200, 51
print("OpenCV", cv2.__version__, "Pillow", PIL.__version__)
seen = {}
for name, options in (("image.tif", {}), ("image.png", {}), ("image.webp", {"lossless": True, "exact": True})):
    Image.fromarray(pixels).save(name, **options)
    colour, all_four = (cv2.imread(name, how)[0, 0, 0] for how in (cv2.IMREAD_COLOR, cv2.IMREAD_UNCHANGED))
    by_pillow = numpy.asarray(Image.open(name).convert("RGB"))[0, 0, 0]
    seen[name] = (int(by_pillow), int(colour), int(all_four))
    print(name, "Pillow, OpenCV's colour, OpenCV's unchanged:", *seen[name])
assert Image.open("image.tif").tag_v2[EXTRA_SAMPLES] == (UNASSOCIATED,)
plain = (200, 200, 200)
raise SystemExit(seen != {"image.tif": (200, 40, 40), "image.png": plain, "image.webp": plain})
PYTHON
cd "$folder" && "$folder/venv/bin/python" "$folder/look.py"
