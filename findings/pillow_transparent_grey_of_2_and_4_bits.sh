#!/usr/bin/env bash
# Pillow 13.0.0: in grey PNGs of 2 and 4 bits nothing is transparent; in colour ones of 16 bits the wrong colours are.
#
# Guess, written down before: convert("RGBA") makes the pixels transparent that have the number, or the colour, of the
# chunk tRNS, and no others, as the PNG standard says and as libvips does.
# Seen: Pillow brings pixels to 8 bits, so that of 2 bits 3 becomes 255, and compares them with the number as the file
# has it, here 3. Only 0 is found. Colours of 16 bits lose their lower half, and are compared with whole ones: 0 makes 1
# transparent, too, and 1 nothing. Grey of 1 and 8 bits, and colour of 8, is right.
# Seen beside this script: the same in 11.3.0, where 1 bit is wrong as well.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet pillow==13.0.0 pyvips==3.2.0 pyvips-binary==8.18.7 numpy==1.26.4
cat >"$folder/look.py" <<'PYTHON'
import io
import struct
import zlib

import numpy
import PIL
import pyvips
from PIL import Image

GREY, COLOUR = 0, 2


def png(bits, kind, numbers, transparent):
    """A PNG of one row: a pixel for each number, in colour three times the number; one of them is transparent."""
    channels = 3 if kind == COLOUR else 1
    row = "".join(format(number, f"0{bits}b") * channels for number in numbers)
    row += "0" * (-len(row) % 8)
    chunks = (
        (b"IHDR", struct.pack(">IIBBBBB", len(numbers), 1, bits, kind, 0, 0, 0)),
        (b"tRNS", struct.pack(f">{channels}H", *[transparent] * channels)),
        (b"IDAT", zlib.compress(b"\0" + int(row, 2).to_bytes(len(row) // 8, "big"))),
        (b"IEND", b""),
    )
    told = (struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in chunks)
    return b"\x89PNG\r\n\x1a\n" + b"".join(told)


print("Pillow", PIL.__version__, "and libvips", *(pyvips.version(part) for part in range(3)))
right = {}
for bits, kind in ((1, GREY), (2, GREY), (4, GREY), (8, GREY), (8, COLOUR), (16, COLOUR)):
    numbers = [0, 2**bits - 1] if bits == 1 else [0, 1, 2**bits - 2, 2**bits - 1]
    for transparent in numbers:
        file = png(bits, kind, numbers, transparent)
        wanted = [number == transparent for number in numbers]
        alpha = numpy.asarray(Image.open(io.BytesIO(file)).convert("RGBA"))[0, :, 3]
        by_vips = pyvips.Image.new_from_buffer(file, "").numpy()[0, :, -1]
        found = right.setdefault((bits, kind), [])
        found.append((alpha == 0).tolist() == wanted)
        print(f"{bits:2} bits, {'colour' if kind else 'grey'}, {transparent} of {numbers} is transparent: Pillow's alpha {alpha}")
        assert (by_vips == 0).tolist() == wanted, "libvips"
for case in ((1, GREY), (8, GREY), (8, COLOUR)):
    assert all(right.pop(case)), case
print({case: found for case, found in right.items()})
grey, colour = [True, False, False, False], [False] * 4
raise SystemExit(right != {(2, GREY): grey, (4, GREY): grey, (16, COLOUR): colour})
PYTHON
"$folder/venv/bin/python" "$folder/look.py"
