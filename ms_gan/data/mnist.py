"""MNIST from a folder, from the cache, or from the first mirror that answers."""

from __future__ import annotations

import contextlib
import errno
import os
import queue
import shutil
import socket
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from urllib.parse import urlsplit

from ms_gan.data.description import ImageData
from ms_gan.data.idx import read_idx
from ms_gan.data.mnist_files import FITTING, PREFIXES, STEMS, find_mnist, missing_files
from ms_gan.data.words import one_line, user_error
from ms_gan.errors import UserError
from ms_gan.files import cache_folder, sha256_of_file

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
# Together the bound on a dead network: 10 s for an answer, then 4 mirrors that stall for 5 s each.
ANSWER_SECONDS = 10.0
STALL_SECONDS = 5.0

SIZE = 28
CLASSES = tuple("0123456789")


class NoMirror(UserError):
    """The network is the reason: no mirror answered, or those that did stopped."""


class _WrongBytes(Exception):
    """A mirror delivered a whole file, but not the published one."""


class _Broken(Exception):
    """A mirror stopped, refused, or delivered a part."""


def load_mnist(split: str, data_path: str | Path | None = None) -> ImageData:
    """Load one split ("train" or "test") of MNIST: images uint8 N x 1 x 28 x 28, labels int32 (N,).

    With `data_path`, only that folder is read, and checked for structure, not
    for being the published bytes. Otherwise the cache is, after a download of
    whatever it lacks; its files are used only if their SHA-256 is the published one.
    Raises UserError for data that are absent or bad, NoMirror for a dead network.
    """
    if data_path is not None:
        return _read_split(data_path, split, one_line(f"the folder {data_path}"))
    cache = cache_folder() / "mnist"
    needed = [name for name in FILES if name.startswith(PREFIXES[split])]
    if not all(_is_whole(cache / name, FILES[name]) for name in needed):
        download_mnist(cache, MIRRORS, FILES)
    return _read_split(cache, split, f"the cache {cache}")


def download_mnist(folder: str | Path, mirrors: Sequence[str] = MIRRORS, files: Mapping[str, str] = FILES) -> None:
    """Fetch into `folder` each of `files` (name -> SHA-256) that is not there whole.

    All mirrors are asked at once and used in the order in which they answer. A
    file takes its name only after its SHA-256 is checked, so other processes may
    read or download at the same time. Raises NoMirror when the network is the
    reason, UserError for wrong bytes or a folder that cannot be written.
    """
    folder = Path(folder)
    missing = [name for name, digest in files.items() if not _is_whole(folder / name, digest)]
    if not missing:
        return
    try:
        folder.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(dir=folder, prefix=".download."))
    except OSError as error:
        raise _cannot_write(folder, error) from error

    failures: list[str] = []
    wrong_bytes = False
    try:
        for mirror in _answering(mirrors, missing[0], failures):
            try:
                while missing:
                    name = missing[0]
                    print(f"MNIST: fetching {mirror}{name}", file=sys.stderr)
                    fetched = _fetch(mirror + name, Path(tempfile.mkdtemp(dir=temporary)) / name)
                    if not _is_whole(fetched, files[name]):
                        raise _WrongBytes(f"{name} is not the published file (its SHA-256 differs)")
                    os.replace(fetched, folder / name)
                    missing.pop(0)
                return
            except (_Broken, _WrongBytes) as error:
                wrong_bytes |= isinstance(error, _WrongBytes)
                failures.append(f"{urlsplit(mirror).netloc}: {error}")
    except OSError as error:
        raise _cannot_write(folder, error) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)

    reasons = "; ".join(dict.fromkeys(failures))
    mend = "go online, or name a folder that holds MNIST with --data-path"
    if wrong_bytes:
        raise UserError(f"MNIST could not be fetched ({reasons}); try again later, or {mend}")
    raise NoMirror(f"no mirror of MNIST answers ({reasons}); {mend}")


def _read_split(folder: str | Path, split: str, source: str) -> ImageData:
    found = find_mnist(folder)
    prefix = PREFIXES[split]
    for content in STEMS:
        if f"{prefix}-{content}" not in found:
            raise user_error(missing_files(Path(folder), split, content))
    images_path, labels_path = (found[f"{prefix}-{content}"] for content in STEMS)

    images = read_idx(images_path)
    if images.ndim != 3:
        raise user_error(f"{images_path}: has {images.ndim} dimension(s), not 3; get another copy")
    if images.shape[1:] != (SIZE, SIZE):
        height, width = images.shape[1:]
        raise user_error(f"{images_path}: images are {height}x{width}, not {SIZE}x{SIZE}; get another copy")
    labels = read_idx(labels_path)
    if labels.ndim != 1:
        raise user_error(f"{labels_path}: has {labels.ndim} dimensions, not 1; get another copy")
    if len(images) != len(labels):
        raise user_error(
            f"{labels_path}: has {len(labels)} labels, but {images_path} has {len(images)} images; "
            "get copies that belong together"
        )
    if len(images) == 0:
        raise user_error(f"{images_path}: holds no images; get another copy")
    if labels.max() >= len(CLASSES):
        raise user_error(f"{labels_path}: has a label {labels.max()}, not 0 to 9; get another copy ({FITTING})")
    return ImageData("mnist", split, source, images[:, None], labels.astype("int32"), CLASSES)


def _is_whole(path: Path, digest: str) -> bool:
    try:
        return sha256_of_file(path) == digest
    except OSError:
        return False


def _cannot_write(folder: Path, error: OSError) -> UserError:
    return UserError(
        f"{folder}: cannot be written ({error.strerror or error}); set MS_GAN_CACHE to a folder that can, "
        "or name a folder that holds MNIST with --data-path"
    )


def _answering(mirrors: Sequence[str], name: str, failures: list[str]) -> Iterator[str]:
    """Yield the mirrors that have the file `name`, in the order in which they answer.

    Adds to `failures` why the others are left out. Name look-ups know no time
    limit, hence the threads, which are left behind when the time is over.
    """
    answers: queue.Queue = queue.Queue()

    def ask(mirror: str) -> None:
        request = urllib.request.Request(mirror + name, method="HEAD")
        try:
            with urllib.request.urlopen(request, timeout=ANSWER_SECONDS):
                answers.put((mirror, None))
        except Exception as error:  # whatever it is, this mirror is of no use
            answers.put((mirror, error))

    deadline = time.monotonic() + ANSWER_SECONDS
    for mirror in mirrors:
        threading.Thread(target=ask, args=(mirror,), daemon=True).start()
    for _ in mirrors:
        try:
            mirror, error = answers.get(timeout=max(0.0, deadline - time.monotonic()))
        except queue.Empty:
            failures.append(f"no answer within {ANSWER_SECONDS:g} s")
            return
        if error is None:
            yield mirror
        else:
            failures.append(_one_line(getattr(error, "reason", error)))


def _fetch(url: str, path: Path) -> Path:
    """Download `url` to `path` with a progress bar on stderr; give up when nothing comes for STALL_SECONDS.

    `path` must be in a folder of its own: `download` appends to whatever part it
    finds there. It also has no limit on reading, so it runs in a thread that
    can be left behind, and whose sockets end by themselves.
    """
    from download import download

    outcome: list[Exception | None] = []

    def run() -> None:
        try:
            download(url, str(path), progressbar=True, verbose=False, timeout=STALL_SECONDS)
            outcome.append(None)
        except Exception as error:
            outcome.append(error)

    thread = threading.Thread(target=run, daemon=True)
    with _socket_timeout(STALL_SECONDS), contextlib.redirect_stdout(sys.stderr):
        thread.start()
        size, since = -1, time.monotonic()
        while thread.is_alive():
            thread.join(0.1)
            grown = _size(path.with_name(path.name + ".part"))
            if grown != size:
                size, since = grown, time.monotonic()
            elif time.monotonic() - since > STALL_SECONDS:
                raise _Broken(f"nothing came for {STALL_SECONDS:g} s")
    error = outcome[0]
    if error is None:
        return path
    cause: BaseException = error
    while cause.__context__ is not None:  # `download` wraps what happened, sometimes twice
        cause = cause.__context__
    if isinstance(cause, OSError) and cause.errno in (errno.ENOSPC, errno.EDQUOT):
        raise cause
    raise _Broken(_one_line(cause))


@contextlib.contextmanager
def _socket_timeout(seconds: float) -> Iterator[None]:
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(seconds)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _one_line(error: object) -> str:
    return " ".join(str(error).split())
