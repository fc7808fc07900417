"""How a bundle gets what its page needs to draw without a server. In a browser it is tested by test_page."""

from __future__ import annotations

import io
import json
import re
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest
from helpers.bundles import write_conditional
from helpers.commands import HANGS, NEEDED, here, refused_here

from ms_gan.delivery import web_page
from ms_gan.errors import UserError
from ms_gan.files import read_checksums, sha256_of_file
from ms_gan.labels import LabelNames
from ms_gan.latents import DISTRIBUTIONS
from ms_gan.sampling import seeded_inputs
from ms_gan.schema.recipe import Latent


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.delenv(web_page.VARIABLE, raising=False)
    monkeypatch.setenv("MS_GAN_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_released_bundles_have_the_page_of_this_version():
    pages = list((Path(__file__).parent.parent / "ckpt").glob("*/index.html"))
    assert pages
    for page in pages:
        for source in (web_page.PAGE, web_page.IN_BROWSER):
            held = page if source is web_page.PAGE else page.with_name(source.name)
            assert held.read_bytes() == source.read_bytes(), f"copy {source} to {held}, and mend its SHA256SUMS"


def npm(folder, monkeypatch, program):
    """Put a program named npm on the path, and no other."""
    folder.mkdir()
    (folder / "npm").write_text(f"#!{sys.executable}\nimport sys\n{program}\n")
    (folder / "npm").chmod(0o755)
    monkeypatch.setenv("PATH", str(folder))


def packed(folder):
    """What npm's registry holds, as far as it is used, and more."""
    with tarfile.open(folder / "package.tgz", "w:gz") as archive:
        for name in (
            *(f"package/dist/{name}" for name in web_page.RUNTIME),
            "package/dist/other.js",
            "package/LICENSE",
        ):
            facts = tarfile.TarInfo(name)
            facts.size = len(name)
            archive.addfile(facts, io.BytesIO(name.encode()))
    return folder / "package.tgz"


def test_npm_fetches_the_pinned_version_once(cache, tmp_path, monkeypatch):
    file, calls = packed(tmp_path), tmp_path / "calls"
    program = f"open({str(calls)!r}, 'a').write(' '.join(sys.argv[1:]) + '\\n')\n"
    program += f"open('x.tgz', 'wb').write(open({str(file)!r}, 'rb').read())"
    npm(tmp_path / "bin", monkeypatch, program)
    for _ in range(2):
        place = web_page.web_runtime()
    assert calls.read_text().splitlines() == [f"pack --silent {web_page.PACKAGE}"]
    assert re.fullmatch(r"onnxruntime-web@\d+\.\d+\.\d+", web_page.PACKAGE)
    assert {path.name for path in (place / "dist").iterdir()} == set(web_page.RUNTIME)
    assert cache in place.parents


@pytest.mark.parametrize("program", ["sys.exit('npm error: no network')", "pass"], ids=["fails", "writes nothing"])
def test_where_npm_fails_its_last_line_is_told_and_nothing_is_left(program, cache, tmp_path, monkeypatch):
    npm(tmp_path / "bin", monkeypatch, program)
    with pytest.raises(UserError, match="npm could not fetch onnxruntime-web@") as caught:
        web_page.web_runtime()
    assert ("no network" in caught.value.problem) == ("network" in program)
    assert not cache.exists() or not any(cache.iterdir())


def test_without_npm_the_folder_can_be_named(cache, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match="npm, which fetches onnxruntime-web for the page, is not installed"):
        web_page.web_runtime()
    monkeypatch.setenv(web_page.VARIABLE, str(tmp_path / "package"))
    with pytest.raises(UserError, match="holds no dist/"):
        web_page.web_runtime()
    (tmp_path / "package" / "dist").mkdir(parents=True)
    for name in web_page.RUNTIME:
        (tmp_path / "package" / "dist" / name).write_text(name)
    assert web_page.web_runtime() == tmp_path / "package"


def test_a_bundle_holds_the_page_and_what_it_runs_on(cache, device, tmp_path):
    (tmp_path / "package" / "dist").mkdir(parents=True)
    for name in web_page.RUNTIME:
        (tmp_path / "package" / "dist" / name).write_text(name)
    folder = write_conditional(tmp_path / "bundle", formats=("onnx",), web_runtime=tmp_path / "package")
    for name, beside in web_page.RUNTIME.items():
        assert (folder / beside).read_text() == name
    assert not list(folder.glob("*.mjs")), "many hosts do not know what that is"
    assert (folder / "index.html").read_bytes() == web_page.PAGE.read_bytes(), "the page of the server"
    folders = {path.name for path in folder.iterdir() if path.is_dir()}
    assert folders == {"generator"}, "Triton takes every folder for a model"
    listed = (folder / "SHA256SUMS").read_text()
    assert all(f"  {name}\n" in listed for name in web_page.WRITES)


def test_a_bundle_that_is_there_gets_what_its_page_runs_on(cache, device, tmp_path, monkeypatch, capsys):
    folder = write_conditional(tmp_path / "bundle", formats=("onnx",))
    before = read_checksums(folder)
    (tmp_path / "package" / "dist").mkdir(parents=True)
    for name in web_page.RUNTIME:
        (tmp_path / "package" / "dist" / name).write_text(name)
    monkeypatch.setenv(web_page.VARIABLE, str(tmp_path / "package"))
    for option in (("--output-dir", tmp_path / "x"), ("--weights", "int8"), ("--overwrite",)):
        assert f"leave out {option[0]}" in refused_here(capsys, "export", folder, "--page", *option)
    here("export", folder, "--page")
    assert f"{folder}: its page draws without a server now" in capsys.readouterr().out
    after = read_checksums(folder)
    assert after == {**before, **{name: sha256_of_file(folder / name) for name in web_page.WRITES}}
    assert len(after) == len(before) + len(web_page.RUNTIME)
    (folder / "golden.json").write_text("{}")
    here("export", folder, "--page")
    assert read_checksums(folder) == after, "damage gets no new checksum"
    mindir = write_conditional(tmp_path / "mindir", formats=("mindir",))
    assert "holds no ONNX, which the page runs" in refused_here(capsys, "export", mindir, "--page")


def test_a_page_needs_the_onnx(cache, capsys):
    line = refused_here(capsys, "export", "--page", "--format", "mindir", *NEEDED.get("export", ()))
    assert line == "error: the page runs the ONNX; leave out --page, or add onnx to --format\n"


def test_the_latents_of_the_browser_have_the_key_of_python():
    import zlib

    from ms_gan.sampling import SAMPLE

    text = web_page.IN_BROWSER.read_text(encoding="utf-8")
    assert f"{zlib.crc32(SAMPLE.encode())}n" in text


NODE = shutil.which("node")
with_node = pytest.mark.skipif(not NODE, reason="the page's program is also tested in Node, which is not here")


def in_node(folder, expression):
    """What an expression of the functions of the page's program gives, read from JSON."""
    shutil.copy(web_page.IN_BROWSER, folder / "in_browser.mjs")
    names = "latentsOf, labelsOf"
    program = f"import {{{names}}} from './in_browser.mjs'; console.log(JSON.stringify({expression}))"
    (folder / "program.mjs").write_text(program)
    done = subprocess.run([NODE, "program.mjs"], cwd=folder, capture_output=True, text=True, timeout=HANGS)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@with_node
@pytest.mark.parametrize("distribution", DISTRIBUTIONS)
def test_the_browser_makes_the_latents_of_numpy(distribution, tmp_path):
    """100,000 numbers of a seed, among which some hundreds are in a layer's edge and some tens in the tail."""
    for seed in (0, 5, 2**32 - 1):
        found = in_node(tmp_path, f"Array.from(latentsOf({seed}, 1000, 100, '{distribution}'))")
        due = seeded_inputs(Latent(size=100, distribution=distribution), 1000, seed)[0]
        np.testing.assert_allclose(np.reshape(np.float32(found), due.shape), due, rtol=0, atol=1e-6)


@with_node
def test_the_browser_numbers_labels_as_python_does(tmp_path):
    names = ("cat", "dog", "owl")
    for most, texts in ((0, ["owl", "cat"]), (1, ["dog", ""]), (3, ["owl,cat", "", "dog"])):
        found = in_node(
            tmp_path, f"Array.from(labelsOf({json.dumps(texts)}, {json.dumps(names)}, {most or 'undefined'}))"
        )
        due = np.array([LabelNames(names, most).label(text) for text in texts])
        assert np.array_equal(np.reshape(found, due.shape), due)
