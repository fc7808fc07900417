"""The bundle's page on a host of files alone: the same page as the server's, and what draws in the browser."""

from __future__ import annotations

import os
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path

from ms_gan.delivery.contract import read_contract
from ms_gan.errors import UserError
from ms_gan.files import cache_folder, new_folder, read_checksums, write_checksums, write_file

PAGE, IN_BROWSER = Path(__file__).with_name("page.html"), Path(__file__).with_name("in_browser.js")
INDEX = "index.html"
PACKAGE = "onnxruntime-web@1.30.0"
RUNTIME = {  # files of its folder dist/, and their names beside the page: many hosts do not know what an .mjs is
    "ort.wasm.min.mjs": "ort.wasm.min.js",
    "ort-wasm-simd-threaded.mjs": "ort-wasm-simd-threaded.js",
    "ort-wasm-simd-threaded.wasm": "ort-wasm-simd-threaded.wasm",
}
# In a folder of its own Triton would take them for a model.
WRITES = (INDEX, IN_BROWSER.name, *RUNTIME.values())
VARIABLE = "MS_GAN_ORT_WEB"  # names the folder of the package, where npm is not to fetch it


def write_page(folder: Path, runtime: Path | None) -> None:
    """Write the page into a bundle's folder, and with `runtime`, the folder of the package, also what it runs on."""
    files = {INDEX: PAGE, IN_BROWSER.name: IN_BROWSER}
    if runtime is not None:
        files.update({beside: runtime / "dist" / name for name, beside in RUNTIME.items()})
    for name, source in files.items():
        write_file(folder / name, source.read_bytes())


def add_page(folder: Path) -> None:
    """Let the page of a bundle that is there already draw without a server.

    Raises UserError for a folder that is no bundle, or holds no ONNX, and as `web_runtime` does.
    """
    contract = read_contract(folder)
    if "onnx" not in contract.generator.files:
        raise UserError(f"{folder}: holds no ONNX, which the page runs", "export its run again")
    read_checksums(folder)
    write_page(folder, web_runtime())
    write_checksums(folder, WRITES)


def web_runtime() -> Path:
    """Return the folder of the package onnxruntime-web: the one that VARIABLE names, or one that npm fetches, once.

    Raises UserError where it is in neither place.
    """
    named = os.environ.get(VARIABLE)
    place = Path(named) if named else cache_folder() / PACKAGE
    if not named and not place.is_dir():
        _fetch(place)
    missing = [name for name in RUNTIME if not (place / "dist" / name).is_file()]
    if missing:
        raise UserError(f"{place}: holds no dist/{missing[0]}", f"let {VARIABLE} name the folder of npm's {PACKAGE}")
    return place


def _fetch(place: Path) -> None:
    npm = shutil.which("npm")
    if npm is None:
        raise UserError(
            "npm, which fetches onnxruntime-web for the page, is not installed",
            f"install it, or let {VARIABLE} name the unpacked folder of {PACKAGE}",
        )
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run([npm, "pack", "--silent", PACKAGE], cwd=folder, capture_output=True, text=True)
        packed = list(Path(folder).glob("*.tgz"))
        if done.returncode or len(packed) != 1:
            said = (done.stderr.strip() or "it said nothing").splitlines()[-1]
            raise UserError(f"npm could not fetch {PACKAGE}: {said}", f"or let {VARIABLE} name its unpacked folder")
        with new_folder(place) as hidden, tarfile.open(packed[0]) as archive:
            (hidden / "dist").mkdir()
            for name in RUNTIME:
                try:
                    content = archive.extractfile(f"package/dist/{name}")
                except KeyError as error:
                    raise UserError(f"{PACKAGE}, as npm fetched it, holds no dist/{name}") from error
                assert content is not None, "a file"
                (hidden / "dist" / name).write_bytes(content.read())
