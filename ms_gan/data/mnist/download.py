"""MNIST's files from the first mirror that has them, checked against their published checksums."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import urlsplit

from ms_gan.errors import Setting, UserError
from ms_gan.files import sha256_of_file

FILES = {
    "train-images-idx3-ubyte.gz": "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
    "train-labels-idx1-ubyte.gz": "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
    "t10k-images-idx3-ubyte.gz": "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
    "t10k-labels-idx1-ubyte.gz": "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
}
MIRRORS = (
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
    "https://raw.githubusercontent.com/fgnt/mnist/master/",
    "https://azureopendatastorage.blob.core.windows.net/mnist/",
)
STALL_SECONDS = 7.0  # without a byte until a mirror is given up: on a dead network, half a minute for all of them
OF_THE_DISK = {errno.EDQUOT, errno.EFBIG, errno.EIO, errno.ENOSPC}  # no other mirror helps
OWN_FOLDER = ("name a folder that holds MNIST with ", Setting("data_path"))


class NoMirror(UserError):
    """The network is the reason: a mirror, or each of them, does not answer, or stopped."""


def download_mnist(folder: str | Path, mirrors: Sequence[str], files: Mapping[str, str]) -> None:
    """Fetch into `folder` each of `files` (name -> SHA-256) that is not there whole, from one mirror after the other.

    A file takes its name only after its SHA-256 is checked, so other processes may read or download at the same time.
    Raises NoMirror when the network is the reason, UserError for wrong bytes or a folder that cannot be written.
    """
    folder = Path(folder)
    missing = [name for name, digest in files.items() if not is_whole(folder / name, digest)]
    failures: dict[str, list[str]] = {}
    kind: type[UserError] = NoMirror
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for mirror in mirrors:
            try:
                for name in list(missing):
                    _fetch(mirror + name, folder / name, files[name])
                    missing.remove(name)
            except UserError as error:
                failures.setdefault(str(error), []).append(urlsplit(mirror).netloc)
                kind = kind if isinstance(error, NoMirror) else UserError
    except OSError as error:
        reason = error.strerror or error
        mend = ("set MS_GAN_CACHE to a folder that can, or ", *OWN_FOLDER)
        raise UserError(f"{folder}: cannot be written ({reason})", *mend) from error
    if missing:
        reasons = "; ".join(f"{', '.join(hosts)}: {reason}" for reason, hosts in failures.items())
        raise kind(f"no mirror has MNIST ({reasons})", "go online, or ", *OWN_FOLDER)


def is_whole(path: Path, digest: str) -> bool:
    """Tell whether a file is there and has this SHA-256."""
    return path.is_file() and sha256_of_file(path) == digest


def _fetch(url: str, path: Path, digest: str) -> None:
    """Download a file, and let it take its name when its SHA-256 is the right one. Raises UserError, OSError."""
    temporary = Path(tempfile.mkdtemp(dir=path.parent, prefix=".download."))
    try:
        _download(url, temporary / path.name)
        if not is_whole(temporary / path.name, digest):
            raise UserError(f"{path.name} is not the published file (its SHA-256 differs)")
        os.replace(temporary / path.name, path)
        print(f"MNIST: fetched {url}", file=sys.stderr)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _download(url: str, path: Path) -> None:
    """Download with a progress bar on stderr; give up when nothing comes for STALL_SECONDS.

    It runs in a thread that can be left behind: name look-ups and `download` have no time limit for reading.
    """
    from download import download

    errors: list[BaseException] = []

    def run() -> None:
        try:
            download(url, str(path), progressbar=True, verbose=False)
        except Exception as error:
            errors.append(error)

    thread = threading.Thread(target=run, daemon=True)
    size, before, since = 0, 0, time.monotonic()
    with contextlib.redirect_stdout(sys.stderr):
        thread.start()
        while thread.is_alive():
            thread.join(0.1)
            with contextlib.suppress(OSError):
                size = path.with_name(f"{path.name}.part").stat().st_size
            if size != before:
                before, since = size, time.monotonic()
            elif time.monotonic() - since > STALL_SECONDS and thread.is_alive():
                raise NoMirror(f"nothing came for {STALL_SECONDS:g} s")
    for error in errors:
        while error.__context__ is not None:  # `download` wraps what happened, sometimes twice
            error = error.__context__
        if isinstance(error, OSError) and error.errno in OF_THE_DISK:
            raise error
        raise NoMirror(" ".join(str(error).split()))
