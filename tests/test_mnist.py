"""MNIST: folders as people have them, and downloads as networks are."""

from __future__ import annotations

import functools
import gzip
import hashlib
import http.server
import multiprocessing
import os
import socket
import threading

import numpy as np
import pytest
from helpers.idx_files import NAMES, contents, fill, idx_bytes
from helpers.refusals import refused

import ms_gan.data
from ms_gan.data.description import NoTestSplit
from ms_gan.data.mnist import NoMirror, load_mnist
from ms_gan.data.mnist import download as mnist
from ms_gan.data.mnist.download import download_mnist
from ms_gan.data.mnist.files import find_mnist
from ms_gan.errors import UserError


@pytest.fixture(autouse=True)
def cache(own_cache, monkeypatch):
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    return own_cache / "mnist"


def refusal(folder, split="train"):
    message = refused(load_mnist, split, folder, but=NoMirror)
    assert str(folder) in message
    return message


# Folders


@pytest.mark.parametrize("suffix", ["", ".gz"])
@pytest.mark.parametrize("mark", ["-", "."])
@pytest.mark.parametrize("nested", [False, True])
def test_every_layout_is_read(tmp_path, suffix, mark, nested):
    files = contents()
    for name, content in files.items():
        place = {"train": "train", "t10k": "test"}[name[:5].rstrip("-")] + "/" if nested else ""
        fill(tmp_path, {place + name.replace("-idx", mark + "idx") + suffix: content})
    assert sorted(find_mnist(tmp_path).paths) == ["test-images", "test-labels", "train-images", "train-labels"]
    for split, count, prefix in (("train", 12, "train"), ("test", 5, "t10k")):
        data = load_mnist(split, str(tmp_path))
        assert data.images.shape == (count, 1, 28, 28) and data.images.dtype == np.uint8
        assert data.images.tobytes() == files[f"{prefix}-images-idx3-ubyte"][16:]
        assert data.labels.dtype == np.int32 and data.labels.tolist() == [i % 10 for i in range(count)]
        assert (data.name, data.split, data.source) == ("idx", split, f"the folder {tmp_path}")
        data.require(28, 1, 10)


def test_only_the_split_asked_for_has_to_be_there(tmp_path):
    fill(tmp_path, {name: content for name, content in contents().items() if name.startswith("train")})
    assert len(load_mnist("train", tmp_path).images) == 12
    assert "test images are missing; expected t10k-images-idx3-ubyte or " in refusal(tmp_path, "test")
    with pytest.raises(NoTestSplit):  # so eval can draw pictures all the same
        load_mnist("test", tmp_path)


@pytest.mark.parametrize("place, named", [("MNIST/raw", "{}/MNIST/raw"), ("train", "{0} or its test/"), ("", "{}")])
def test_what_is_missing_is_wanted_where_it_would_be_found(tmp_path, place, named):
    files = contents()
    fill(tmp_path, {f"{place}/{name}".lstrip("/"): each for name, each in files.items() if name.startswith("train")})
    assert refusal(tmp_path, "test").endswith(f", in {named.format(tmp_path)}")
    home = tmp_path / "test" if place == "train" else tmp_path / place
    home.mkdir(exist_ok=True)
    for name, each in files.items():
        if name.startswith("t10k"):
            (home / name).write_bytes(each)
    assert [len(load_mnist(split, tmp_path).images) for split in ("train", "test")] == [12, 5]


@pytest.mark.parametrize(
    "name, array, complaint",
    [
        (NAMES[0], np.zeros((0, 28, 28)), "0 images"),
        (NAMES[1], np.zeros(11), "11 labels for 12 images"),
        (NAMES[0], np.zeros((12, 28, 27)), "28x27, not 28x28"),
        (NAMES[0], np.zeros((12, 784)), "784, not 28x28"),
        (NAMES[1], np.zeros((12, 1)), "12x1 labels, not one for each image"),
        (NAMES[0], np.zeros((12, 28, 28), ">i4"), "pixels are not bytes"),
    ],
)
def test_bad_data_are_named(tmp_path, name, array, complaint):
    fill(tmp_path, {**contents(), name: idx_bytes(array)})
    assert complaint in refusal(tmp_path)


def test_no_images_are_refused(tmp_path):
    fill(tmp_path, contents(train=0))
    assert "holds no images" in refusal(tmp_path)


@pytest.mark.skipif("MS_GAN_MNIST" not in os.environ, reason="MS_GAN_MNIST does not name a folder with MNIST")
def test_the_real_mnist():
    for split, count in (("train", 60_000), ("test", 10_000)):
        data = load_mnist(split, os.environ["MS_GAN_MNIST"])
        assert data.name == "mnist" and data.images.shape == (count, 1, 28, 28)
        assert np.bincount(data.labels, minlength=10).min() > count * 0.085
        assert 32 < data.images.mean() < 35


# Downloads


class Handler(http.server.BaseHTTPRequestHandler):
    def __init__(self, files, asked, cut, stall, *arguments):
        self.files, self.asked, self.cut, self.stall = files, asked, cut, stall
        super().__init__(*arguments)

    def do_HEAD(self):
        self.answer()

    def do_GET(self):
        content = self.answer()
        try:
            self.wfile.write(content[: len(content) // 2])
            if self.stall:
                self.stall.wait(20)
            if not self.cut:
                self.wfile.write(content[len(content) // 2 :])
        except OSError:
            pass  # the client has given up, as it should

    def answer(self):
        name = self.path.lstrip("/")
        self.asked.append((self.command, name))
        content = self.files.get(name)
        self.send_response(200 if content is not None else 404)
        self.send_header("Content-Length", str(len(content or b"")))
        self.end_headers()
        return content or b""

    def log_message(self, *_):
        pass


@pytest.fixture
def serve():
    """Start mirrors on this machine; returns (address, list of requests)."""
    servers, release = [], threading.Event()

    def start(files, cut=False, stall=False):
        asked = []
        handler = functools.partial(Handler, files, asked, cut, release if stall else None)
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        servers.append(server)
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        return f"http://127.0.0.1:{server.server_port}/", asked

    yield start
    release.set()
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture
def published(monkeypatch):
    """Publish a tiny MNIST, whose checksums stand in for the real: returns the files' bytes by name."""
    files = {f"{name}.gz": gzip.compress(content) for name, content in contents().items()}
    monkeypatch.setattr(mnist, "FILES", {name: hashlib.sha256(files[name]).hexdigest() for name in files})
    return files


def assert_whole(folder, published):
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == published


@pytest.fixture
def closed_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{probe.getsockname()[1]}/"  # bound, not listening: refuses


@pytest.fixture
def silent():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(20)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/"


def test_a_good_mirror_fills_the_cache(cache, serve, published, closed_port, monkeypatch, capsys):
    mirror, asked = serve(published)
    monkeypatch.setattr(mnist, "MIRRORS", (closed_port, mirror))
    data = ms_gan.data.load_default("mnist", "digits", pytest.fail)
    assert (data.name, data.source, len(data.images)) == ("mnist", f"the cache {cache}", 12)
    assert_whole(cache, published)
    assert "train-images-idx3-ubyte.gz" in capsys.readouterr().err
    asked.clear()
    assert len(load_mnist("test").images) == 5
    assert asked == []


@pytest.mark.parametrize("name", ["train-labels-idx1-ubyte.gz", "t10k-labels-idx1-ubyte.gz"])  # both tell the classes
def test_a_damaged_file_in_the_cache_is_fetched_again(name, cache, serve, published, closed_port, monkeypatch):
    mirror, asked = serve(published)
    monkeypatch.setattr(mnist, "MIRRORS", (mirror,))
    load_mnist("train")
    other = gzip.compress(idx_bytes(np.zeros(12)))  # well-formed, but not the published one
    (cache / name).write_bytes(other)
    asked.clear()
    with monkeypatch.context() as offline, pytest.raises(NoMirror):
        offline.setattr(mnist, "MIRRORS", (closed_port,))
        load_mnist("train")
    assert load_mnist("train").labels.tolist() == [i % 10 for i in range(12)]
    assert_whole(cache, published)
    assert {asked_name for _, asked_name in asked} == {name}


@pytest.mark.parametrize("fault", ["wrong", "cut", "half of the files", "silent"])
def test_a_bad_mirror_gives_way_to_a_good_one(tmp_path, serve, published, silent, fault, monkeypatch):
    bad = {
        "wrong": lambda: serve({name: content[:-1] + b"?" for name, content in published.items()})[0],
        "cut": lambda: serve(published, cut=True)[0],
        "half of the files": lambda: serve({name: published[name] for name in published if "train" in name})[0],
        "silent": lambda: silent,
    }[fault]()
    monkeypatch.setattr(mnist, "STALL_SECONDS", 0.5 if fault == "silent" else 7.0)
    good, asked = serve(published)
    download_mnist(tmp_path / "new", (bad, good), mnist.FILES)
    assert_whole(tmp_path / "new", published)
    assert asked


def test_a_dying_network_ends_in_time_and_leaves_nothing(tmp_path, serve, published, silent, closed_port, monkeypatch):
    assert len(mnist.MIRRORS) * mnist.STALL_SECONDS <= 30, "half a minute for all of them"
    monkeypatch.setattr(mnist, "STALL_SECONDS", 0.5)
    mirrors = [serve(published, cut=True)[0], serve(published, stall=True)[0], silent, closed_port]
    message = refused(download_mnist, tmp_path, mirrors, mnist.FILES, error=NoMirror)
    assert message.count("nothing came for 0.5 s") == 1, "mirrors that fail for one reason are named together"
    assert "refused" in message and "data_path" in message and list(tmp_path.iterdir()) == []


def test_a_download_that_no_socket_ends_is_left_behind(tmp_path, serve, published, monkeypatch):
    import download

    release = threading.Event()
    monkeypatch.setattr(download, "download", lambda *_, **__: release.wait(10))  # as in a name look-up
    monkeypatch.setattr(mnist, "STALL_SECONDS", 0.3)
    with pytest.raises(NoMirror, match="nothing came for 0.3 s"):
        download_mnist(tmp_path, (serve(published)[0],), mnist.FILES)
    release.set()


@pytest.mark.parametrize("number", sorted(mnist.OF_THE_DISK))
def test_a_full_disk_is_no_dead_network(cache, serve, published, number, monkeypatch):
    import download

    def fail(*_arguments, **_options):
        try:
            raise OSError(number, os.strerror(number))
        except OSError as error:
            raise RuntimeError("as `download` wraps what happened") from error

    monkeypatch.setattr(download, "download", fail)
    monkeypatch.setattr(mnist, "MIRRORS", (serve(published)[0],))
    with pytest.raises(UserError, match=f"cannot be written .{os.strerror(number)}.*MS_GAN_CACHE") as caught:
        ms_gan.data.load_default("mnist", "digits", pytest.fail)
    assert not isinstance(caught.value, NoMirror) and list(cache.iterdir()) == []


def test_two_downloads_at_once(tmp_path, serve, published):
    mirror, _ = serve(published)
    spawn = multiprocessing.get_context("spawn")
    arguments = (tmp_path, (mirror,), mnist.FILES)
    processes = [spawn.Process(target=download_mnist, args=arguments) for _ in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(30)
    assert [process.exitcode for process in processes] == [0, 0]
    assert_whole(tmp_path, published)


def test_a_cache_that_cannot_be_written(cache, published):
    cache.parent.write_text("a file where the folder should be")
    with pytest.raises(UserError, match="MS_GAN_CACHE") as caught:
        load_mnist("train")
    assert str(cache) in str(caught.value) and not isinstance(caught.value, NoMirror)


# By name


def test_only_a_dead_network_falls_back_and_says_so(closed_port, published, monkeypatch):
    from ms_gan.data.synthetic import digits

    monkeypatch.setattr(mnist, "MIRRORS", (closed_port,))
    monkeypatch.setattr(digits, "COUNTS", {"train": 30, "test": 10})
    said = []
    assert ms_gan.data.load_default("mnist", "digits", said.append).name == "digits"
    (line,) = said
    assert "digits" in line and "\n" not in line
    with pytest.raises(NoMirror):
        ms_gan.data.load("mnist", "train")


def test_wrong_bytes_do_not_fall_back(cache, serve, published, monkeypatch):
    monkeypatch.setattr(mnist, "MIRRORS", (serve(dict.fromkeys(published, b"?"))[0],))
    with pytest.raises(UserError, match="SHA-256"):
        ms_gan.data.load_default("mnist", "digits", pytest.fail)
    assert list(cache.iterdir()) == []


def test_unknown_names_are_refused():
    with pytest.raises(UserError, match="'fashion'.*mnist, digits"):
        ms_gan.data.load("fashion", "train")
