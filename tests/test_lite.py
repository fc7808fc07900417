"""MindSpore Lite on a CPU draws a bundle's golden images, in Python and in C++, by the programs in docs/ascend.

They need a Python with mindspore-lite 2.0.0, which is another one than ours: MS_GAN_LITE_PYTHON names it.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from helpers.bundles import AUTOENCODER, CONVOLUTIONS, TAGS, write_bundle

LITE = os.environ.get("MS_GAN_LITE_PYTHON")
PROGRAMS = Path(__file__).parents[1] / "docs" / "ascend"
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not LITE, reason="MS_GAN_LITE_PYTHON names no Python with mindspore-lite 2.0.0"),
    pytest.mark.usefixtures("device"),
]
CONVERT = "import sys, mindspore_lite as m; m.Converter().convert(m.FmkType.ONNX, *sys.argv[1:])"
PLACE = "import mindspore_lite; print(mindspore_lite.__path__[0])"


@pytest.fixture(
    params=[
        ("mlp", ("generator.widths=[16, 32]",)),
        ("rpgan", ("generator.widths=[16, 32]", "data.classes=10")),
        ("rpgan_residual", ("generator.widths=[8, 6, 4]",)),
        ("acgan", CONVOLUTIONS),
        ("cvae_gan", (*AUTOENCODER, *TAGS)),
    ],
    ids=lambda of: of[0],
)
def bundle(request, tmp_path):
    name, settings = request.param
    return write_bundle(tmp_path / "bundle", name, *settings)


def lite(*arguments, place):
    return subprocess.run([LITE, *map(str, arguments)], cwd=place, capture_output=True, text=True, timeout=300)


def spoil(bundle):
    """Change one number that the golden file says is due."""
    document = json.loads((bundle / "golden.json").read_text())
    document["generator"]["outputs"]["image"]["data"][5] += 0.001
    (bundle / "golden.json").write_text(json.dumps(document))


def test_lite_draws_the_golden_images_and_says_so_where_it_does_not(bundle, tmp_path):
    done = lite(PROGRAMS / "lite.py", bundle, "cpu", 6, place=tmp_path)
    assert done.returncode == 0 and "is allowed" in done.stdout, done.stderr
    assert len(np.load(tmp_path / "images.npy")) == 6
    spoil(bundle)
    done = lite(PROGRAMS / "lite.py", bundle, place=tmp_path)
    assert done.returncode == 1 and "draws other images" in done.stderr


def test_so_does_the_program_in_c_plus_plus(bundle, tmp_path):
    if shutil.which("g++") is None:
        pytest.skip("there is no g++")
    place = Path(lite("-c", PLACE, place=tmp_path).stdout.strip())
    library = ["-l:libmindspore-extendrt_python.so", "-Wl,--allow-shlib-undefined", "-D_GLIBCXX_USE_CXX11_ABI=0"]
    source = [str(PROGRAMS / "lite.cc"), f"-I{place}", f"-L{place / 'lib'}", *library]  # the wheel's library and ABI
    subprocess.run(["g++", "-std=c++17", *source, "-o", str(tmp_path / "lite")], check=True, capture_output=True)
    assert lite("-c", CONVERT, bundle / "generator/1/generator.onnx", "converted", place=tmp_path).returncode == 0

    def compared():
        command, libraries = [tmp_path / "lite", "converted.mindir", bundle / "golden.json"], str(place / "lib")
        return subprocess.run(command, cwd=tmp_path, capture_output=True, env={"LD_LIBRARY_PATH": libraries}).returncode

    assert compared() == 0
    spoil(bundle)
    assert compared() == 1
