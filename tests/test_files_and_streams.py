"""Files are whole or absent; random numbers, latents and images depend on what they are asked for alone."""

from __future__ import annotations

import os
import stat
import subprocess
from pathlib import Path

import numpy as np
import pytest
from helpers.refusals import refused

from ms_gan import files, runtime
from ms_gan.latents import DISTRIBUTIONS, draw_latents, interpolate
from ms_gan.randomness import random_stream
from ms_gan.sampling import draw_images, require_finite, seeded_chunks, seeded_inputs
from ms_gan.schema.recipe import Latent


@pytest.fixture(autouse=True)
def umask():
    before = os.umask(0o022)
    yield
    os.umask(before)


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


class Broken(Exception):
    pass


def fail(*_arguments, **_options):
    raise Broken


def found(folder):
    """The files below a folder, by path, and what is in them."""
    return {path.relative_to(folder).as_posix(): path.read_text() for path in folder.rglob("*") if path.is_file()}


def fill(folder, *names, text="x"):
    """Write a text into files below a folder; return the folder."""
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


# files


@pytest.mark.parametrize("mask, expected", [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664)])
def test_a_written_file_is_whole_and_has_the_mode_that_the_user_chose(tmp_path, mask, expected):
    os.umask(mask)
    files.write_file(tmp_path / "file", b"old")
    files.write_file(tmp_path / "file", b"new content")
    assert (tmp_path / "file").read_bytes() == b"new content"
    assert mode(tmp_path / "file") == expected
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("function", ["fsync", "chmod", "replace", None])
def test_a_failing_write_leaves_the_old_file_only(tmp_path, monkeypatch, function):
    fill(tmp_path, "file", text="old")
    if function:
        monkeypatch.setattr(files.os, function, fail)
    with pytest.raises(Broken), files.new_file(tmp_path / "file") as file:
        file.write(b"new")
        assert found(tmp_path)["file"] == "old"
        if function is None:
            raise Broken
    assert found(tmp_path) == {"file": "old"}


def test_a_new_folder_appears_whole_and_readable(tmp_path):
    path = tmp_path / "parents" / "bundle"
    with files.new_folder(path) as hidden:
        for name in ("a", "inner/b"):
            (fill(hidden, name) / name).chmod(0o400)
        assert not path.exists()
        assert hidden.parent == path.parent and hidden.name.startswith(".bundle.")
    assert [entry.name for entry in path.parent.iterdir()] == ["bundle"]
    assert [mode(path / name) for name in ("a", "inner/b", "inner", "")] == [0o644, 0o644, 0o755, 0o755]


@pytest.mark.parametrize("function", ["fsync", "chmod", "replace"])
def test_a_folder_that_cannot_be_finished_leaves_nothing(tmp_path, monkeypatch, function):
    with pytest.raises(Broken), files.new_folder(tmp_path / "bundle") as hidden:
        fill(hidden, "file")
        monkeypatch.setattr(files.os, function, fail)
    monkeypatch.undo()
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_holds_something_is_not_replaced(tmp_path):
    fill(tmp_path / "bundle", "precious")
    with pytest.raises(OSError, match=f"not empty: '{tmp_path}/bundle'"), files.new_folder(tmp_path / "bundle"):
        pytest.fail("what follows may take hours")
    assert found(tmp_path) == {"bundle/precious": "x"}


@pytest.mark.parametrize("made", ["a/b/bundle", "a/bundle", "bundle"])
@pytest.mark.parametrize("there", ["", "a"])
def test_a_failing_body_leaves_none_of_the_parents_that_were_made_for_it(tmp_path, made, there):
    (tmp_path / there).mkdir(exist_ok=True)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(Broken), files.new_folder(tmp_path / made) as hidden:
        fill(hidden, "file")
        raise Broken
    assert sorted(tmp_path.rglob("*")) == before


def test_a_parent_that_somebody_else_uses_stays(tmp_path):
    with pytest.raises(Broken), files.new_folder(tmp_path / "a" / "b" / "bundle"):
        fill(tmp_path, "a/thesis.txt")
        raise Broken
    assert found(tmp_path) == {"a/thesis.txt": "x"} and os.listdir(tmp_path / "a") == ["thesis.txt"]


@pytest.mark.parametrize("replace", [False, True])
def test_a_folder_that_is_there_is_filled_and_stays_the_same_folder(tmp_path, monkeypatch, replace):
    path = tmp_path / "bundle"
    path.mkdir(0o700)
    if replace:
        fill(path, "inner/old", "old", "b", ".hidden", text="old")
    before = path.stat()
    monkeypatch.chdir(path)
    with files.new_folder(path, replace) as hidden:
        fill(hidden, "a", "b", "inner/c")
    assert found(tmp_path) == {"bundle/a": "x", "bundle/b": "x", "bundle/inner/c": "x"}
    assert sorted(os.listdir(".")) == ["a", "b", "inner"], "whoever stands in it sees what is new"
    assert path.stat()[:3] == before[:3]


def test_a_folder_is_filled_also_where_the_working_folder_is_gone(tmp_path, monkeypatch):
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    for replace in (False, True):
        with files.new_folder(tmp_path / "bundle", replace) as hidden:
            fill(hidden, f"file_{replace}")
    assert found(tmp_path) == {"bundle/file_True": "x"}


@pytest.mark.parametrize("how", ["fails", "is followed by a signal"])
@pytest.mark.parametrize("inside, nth", [(False, 1), (False, 2), (True, 1), (True, 2), (True, 3), (True, 4)])
def test_a_folder_that_cannot_be_replaced_stays_as_it_was(tmp_path, monkeypatch, inside, nth, how):
    """It is renamed, in two moves; the working folder stays, and its two files are moved out, and two others in."""
    path, calls, real = fill(tmp_path / "bundle", "a", "b", text="old"), [], os.replace
    monkeypatch.chdir(path if inside else tmp_path)

    def replace(*arguments):
        calls.append(arguments)
        if len(calls) == nth and how == "fails":
            raise OSError(28, "No space left on device")
        real(*arguments)
        if len(calls) == nth:
            raise KeyboardInterrupt

    monkeypatch.setattr(files.os, "replace", replace)
    with pytest.raises((OSError, KeyboardInterrupt)), files.new_folder(path, True) as hidden:
        fill(hidden, "b", "c", text="new")
    assert len(calls) >= nth
    assert found(path) == {"a": "old", "b": "old"}
    assert os.listdir(tmp_path) == ["bundle"]


def test_a_folder_is_filled_also_where_nothing_can_be_put_beside_it(tmp_path, monkeypatch):
    """As where a disk is mounted, or the parent is somebody else's."""
    monkeypatch.chdir(tmp_path)
    path = Path("bundle")  # Python may give the hidden folder's whole path
    path.mkdir()
    monkeypatch.setattr(files.os.path, "ismount", lambda place: True)
    with files.new_folder(path) as hidden:
        assert hidden.parent.samefile(path)
        fill(hidden, "file")
    assert os.listdir(path) == ["file"]
    with pytest.raises(Broken), files.new_folder(path, replace=True):
        raise Broken
    assert os.listdir(path) == ["file"]


@pytest.mark.parametrize("name", ["n" * 255, "é" * 127, "猫" * 85, "🙂" * 63], ids=lambda name: name[0])
def test_a_name_as_long_as_names_may_be_is_written(name, tmp_path):
    files.write_file(tmp_path / name, b"x")
    assert os.listdir(tmp_path) == [name]
    (tmp_path / name).unlink()
    for replace in (False, True):
        with files.new_folder(tmp_path / name, replace) as hidden:
            fill(hidden, f"file_{replace}")
    assert found(tmp_path) == {f"{name}/file_True": "x"}


def test_checksums_are_those_of_sha256sum(tmp_path):
    (tmp_path / "abc").write_bytes(b"abc")
    (tmp_path / "two words").write_bytes(b"")
    files.write_checksums(tmp_path)
    digest = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"  # FIPS 180, example "abc"
    assert files.sha256_of_file(tmp_path / "abc") == digest
    assert files.verify_checksums(tmp_path)["abc"] == digest
    assert set(files.verify_checksums(tmp_path)) == {"abc", "two words"}
    subprocess.run(["sha256sum", "--check", "--strict", "--quiet", files.CHECKSUMS], cwd=tmp_path, check=True)


@pytest.mark.parametrize("command", ["sha256sum abc d/e", "sha256sum -b abc d/e", "find . -type f | xargs sha256sum"])
def test_checksums_that_the_shell_wrote_are_read(command, tmp_path):
    fill(tmp_path, "abc", "d/e")
    lines = subprocess.run(["bash", "-c", command], cwd=tmp_path, capture_output=True, check=True).stdout
    (tmp_path / files.CHECKSUMS).write_bytes(lines)
    digest = files.sha256_of_file(tmp_path / "abc")
    assert files.read_checksums(tmp_path) == {"abc": digest, "d/e": digest}


@pytest.mark.parametrize(
    "damage, named",
    [
        (lambda folder: (folder / "abc").write_bytes(b"abd"), "abc: damaged"),
        (lambda folder: (folder / "abc").unlink(), "abc: missing"),
        (lambda folder: (folder / "SHA256SUMS").unlink(), "SHA256SUMS"),
        (lambda folder: (folder / "SHA256SUMS").write_bytes(b""), "SHA256SUMS"),
        (lambda folder: (folder / "SHA256SUMS").write_bytes(b"no list\n"), "SHA256SUMS"),
        (lambda folder: (folder / "SHA256SUMS").write_bytes(b"\xff\xfe\n"), "SHA256SUMS"),
    ],
)
def test_checksums_name_what_is_wrong(tmp_path, damage, named):
    (tmp_path / "abc").write_bytes(b"abc")
    files.write_checksums(tmp_path)
    damage(tmp_path)
    assert f"{tmp_path}/{named}" in refused(files.verify_checksums, tmp_path)


def test_the_cache_is_where_the_user_says(monkeypatch, tmp_path):
    monkeypatch.setenv("MS_GAN_CACHE", str(tmp_path / "own"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "shared"))
    assert files.cache_folder() == tmp_path / "own"
    monkeypatch.delenv("MS_GAN_CACHE")
    assert files.cache_folder() == tmp_path / "shared" / "ms_gan"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert files.cache_folder() == tmp_path / ".cache" / "ms_gan"


# random streams


def numbers(*arguments, count=1000):
    return random_stream(*arguments).bit_generator.random_raw(count)


def test_streams_of_different_arguments_share_no_numbers():
    arguments = [
        (seed, purpose, counter)
        for seed in (0, 1, 2**32 - 1)
        for purpose in ("step", "sample", "real images")
        for counter in (0, 1, 2, 10**9)
    ]
    drawn = np.concatenate([numbers(*each) for each in arguments])
    assert len(np.unique(drawn)) == len(drawn) == 36_000


def test_a_stream_is_the_same_for_ever():
    assert numbers(1, "step", 2, count=2).tolist() == [3319476689448542039, 3573539764730257859]
    assert np.array_equal(numbers(7, "step", 0), numbers(7, "step"))


# latents


every_distribution = pytest.mark.parametrize("distribution", DISTRIBUTIONS)


@every_distribution
def test_the_first_latents_do_not_depend_on_how_many_follow(distribution):
    many = draw_latents(distribution, 65, 99, random_stream(1, "sample"))
    assert many.shape == (65, 99) and many.dtype == np.float32
    for count in (1, 5, 64):
        assert np.array_equal(draw_latents(distribution, count, 99, random_stream(1, "sample")), many[:count])


def test_an_unknown_distribution_is_refused():
    with pytest.raises(ValueError, match="'cauchy'.*normal"):
        draw_latents("cauchy", 1, 1, random_stream(1, "sample"))


@pytest.mark.parametrize("distribution, variance, fourth", [("normal", 1, 3), ("uniform", 1 / 3, 1 / 5)])
def test_latents_have_the_moments_of_their_distribution(distribution, variance, fourth):
    latents = draw_latents(distribution, 1000, 100, random_stream(1, "sample"))
    assert abs(latents.mean()) < 0.01
    np.testing.assert_allclose([latents.var(), (latents**4).mean()], [variance, fourth], rtol=0.03)
    if distribution == "uniform":
        assert -1 <= latents.min() < -0.999 and 0.999 < latents.max() < 1


def test_latents_on_the_sphere_have_length_one_and_no_direction():
    latents = draw_latents("sphere", 1000, 100, random_stream(1, "sample"))
    np.testing.assert_allclose(np.linalg.norm(latents, axis=1), 1, rtol=1e-6)
    assert np.linalg.norm(latents.mean(axis=0)) < 0.05  # 1 / sqrt(1000) = 0.032 on average
    np.testing.assert_allclose((latents**2).mean(axis=0), 1 / 100, rtol=0.25)  # its standard deviation is 4.4%


@every_distribution
def test_a_walk_starts_and_ends_at_the_ends(distribution):
    start, end = draw_latents(distribution, 2, 100, random_stream(1, "sample"))
    walk = interpolate(distribution, start, end, 11)
    assert walk.shape == (11, 100) and walk.dtype == np.float32
    np.testing.assert_allclose(walk[[0, -1]], [start, end], rtol=1e-6)


@pytest.mark.parametrize("distribution", ["normal", "sphere"])
def test_a_walk_around_the_origin_keeps_the_length_and_the_pace(distribution):
    for seed in range(20):
        start, end = draw_latents(distribution, 2, 100, random_stream(seed, "sample"))
        end *= np.linalg.norm(start) / np.linalg.norm(end)
        walk = interpolate(distribution, start, end, 11)
        np.testing.assert_allclose(np.linalg.norm(walk, axis=1), np.linalg.norm(start), rtol=1e-5)
        strides = np.linalg.norm(np.diff(walk, axis=0), axis=1)
        np.testing.assert_allclose(strides, strides[0], rtol=1e-4)


def test_a_walk_through_the_cube_is_a_straight_line():
    walk = interpolate("uniform", np.float32([1, 0.5, 0]), np.float32([-1, 0.5, 1]), 5)
    np.testing.assert_allclose(
        walk, [[1, 0.5, 0], [0.5, 0.5, 0.25], [0, 0.5, 0.5], [-0.5, 0.5, 0.75], [-1, 0.5, 1]], atol=1e-7
    )


@pytest.mark.parametrize("distribution, factor", [("normal", 1.0), ("normal", 2.0), ("sphere", 1.0), ("uniform", 0.5)])
def test_a_walk_in_one_direction_is_a_straight_line(distribution, factor):
    start = draw_latents(distribution, 1, 100, random_stream(1, "sample"))[0]
    walk = interpolate(distribution, start, start * np.float32(factor), 5)
    np.testing.assert_allclose(walk, np.linspace(1, factor, 5)[:, None] * start, rtol=1e-5)


@pytest.mark.parametrize("seed", range(4))
def test_a_walk_to_the_opposite_goes_straight_since_every_circle_leads_there(seed):
    start = draw_latents("normal", 1, 100, random_stream(seed, "sample"))[0]
    np.testing.assert_allclose(
        interpolate("normal", start, -start, 5), np.linspace(1, -1, 5)[:, None] * start, atol=1e-6
    )


# images


@pytest.fixture(scope="module")
def generator(device):
    from ms_gan import recipes
    from ms_gan.recipes.build import build_unit_range_generator

    return build_unit_range_generator(recipes.override(recipes.load("mlp"), ["generator.widths=[64, 128]"]))


def test_an_image_does_not_depend_on_how_many_are_drawn_with_it(generator):
    latent = Latent(size=100)
    (latents,) = seeded_inputs(latent, 129, seed=1)
    everything = draw_images(generator, (latents,))
    assert everything.shape == (129, 1, 28, 28) and everything.dtype == np.float32
    assert len(np.unique(everything.reshape(129, -1), axis=0)) == 129
    for count in (1, 2, 15, 16, 17, 128):
        assert np.array_equal(draw_images(generator, (latents[:count],)), everything[:count]), count
        assert np.array_equal(seeded_inputs(latent, count, seed=1)[0], latents[:count])
    assert np.array_equal(draw_images(generator, (latents[100:101],)), everything[100:101])


@pytest.mark.parametrize("rows", [1, 7, 16, 300])
@every_distribution
def test_inputs_in_chunks_are_those_of_all_at_once(distribution, rows):
    latent, labels = Latent(9, distribution), np.int32([[1, 0], [2, 3], [0, 0]])
    for given in (None, labels):
        whole = seeded_inputs(latent, 100, 5, None if given is None else given[np.arange(100) % 3])
        parts = [np.concatenate(each) for each in zip(*seeded_chunks(latent, 100, 5, given, rows))]
        assert len(whole) == len(parts)
        assert all(one.tobytes() == other.tobytes() for one, other in zip(whole, parts))


def test_inputs_have_a_label_each():
    with pytest.raises(ValueError, match="2 labels for 3 latents"):
        seeded_inputs(Latent(9), 3, 5, np.int32([0, 1]))
    assert [each.shape for each in seeded_inputs(Latent(9), 0, 5, np.int32([]))] == [(0, 9), (0,)]


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_images_that_are_not_finite_are_refused(bad):
    images = np.zeros((3, 1, 2, 2), np.float32)
    require_finite(images, "the generator")
    images[1, 0, 1, 0] = bad
    said = refused(require_finite, images, "the generator")
    assert said.startswith("the generator gives images with numbers that are not finite: ")


def test_a_generator_sees_one_shape_only_and_labels_beside_their_latents(device):
    shapes = set()

    def generator(latents, labels):
        shapes.add((latents.shape, labels.shape))
        return (latents + labels.reshape((-1, 1))).reshape((-1, 1, 2, 2))

    latents, labels = np.arange(4 * 65, dtype=np.float32).reshape(65, 4), np.arange(65, dtype=np.int32)
    for count in (1, 64, 65):
        images = draw_images(generator, (latents[:count], labels[:count]))
        assert np.array_equal(images.reshape(-1, 4), latents[:count] + labels[:count, None])
    assert shapes == {((16, 4), (16,))}


@pytest.mark.parametrize("version, slow", [("2.7.1", False), ("2.8.0", False), ("2.9.0", True), ("2.10.0rc1", True)])
def test_versions_with_slow_convolutions_get_quick_ones_unless_others_are_chosen(version, slow, monkeypatch):
    others = {name: value for name, value in os.environ.items() if name != runtime.ONEDNN_ISA}
    monkeypatch.setattr(os, "environ", others)
    runtime._choose_quick_convolutions(version)
    assert os.environ.get(runtime.ONEDNN_ISA) == ("AVX2" if slow else None)
    assert runtime.slow_convolutions(runtime.Device("CPU", 0), version) is None
    others[runtime.ONEDNN_ISA] = "AVX512_CORE"
    runtime._choose_quick_convolutions(version)
    warning = runtime.slow_convolutions(runtime.Device("CPU", 0), version)
    assert (version in warning and "AVX512_CORE" in warning) if slow else warning is None
    assert runtime.slow_convolutions(runtime.Device("Ascend", 0), version) is None
