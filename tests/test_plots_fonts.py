"""Labels, titles and captions in any script: by a font of the machine, else by number, and at no cost to other text."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen
from matplotlib import font_manager
from PIL import Image

from ms_gan.evaluation import curves, fonts, plots, score_picture
from ms_gan.evaluation.scores import Scores
from ms_gan.evaluation.sheets import Sheets
from ms_gan.labels import LabelNames
from ms_gan.schema.recipe import Latent

SCRIPTS = {
    "Chinese": "猫狗",
    "Thai": "แมว",
    "emoji": "🍕🥑",
    "beyond the first plane": "𠀋",
    "with Latin letters": "cat 猫 · é",
    "private": "\ue000",
}


def make_font(path, characters):
    """Write a font with the characters, each a filled box, and return its path as text."""
    pen = TTGlyphPen(None)
    pen.moveTo((50, 0))
    for corner in ((50, 700), (950, 700), (950, 0)):
        pen.lineTo(corner)
    pen.closePath()
    names = {character: f"g{ord(character):x}" for character in characters}
    glyphs, family = [".notdef", *names.values()], f"Made {path.stem}"
    builder = FontBuilder(1000, isTTF=True)
    builder.setupGlyphOrder(glyphs)
    builder.setupCharacterMap({ord(character): name for character, name in names.items()})
    builder.setupGlyf(dict.fromkeys(glyphs, pen.glyph()))
    builder.setupHorizontalMetrics(dict.fromkeys(glyphs, (1000, 50)))
    builder.setupHorizontalHeader(ascent=800, descent=-200)
    builder.setupNameTable({"familyName": family, "styleName": "Regular", "fullName": family, "psName": path.stem})
    builder.setupOS2()
    builder.setupPost()
    builder.save(path)
    return str(path)


@pytest.fixture
def machine(monkeypatch):
    """A machine without fonts; what is put into the list are its fonts. `looked` counts how often it was asked."""

    class Fonts(list):
        looked = 0

    found = Fonts()

    def look(*_, **__):
        found.looked += 1
        return list(found)

    fonts.forget()
    monkeypatch.setattr(font_manager, "findSystemFonts", look)
    yield found
    fonts.forget()


@pytest.mark.parametrize("bold", [False, True])
def test_the_usual_font_is_found_where_matplotlib_has_its_data_and_has_what_it_is_said_to(bold, tmp_path, monkeypatch):
    assert fonts.IN_DEJAVU <= fonts._characters(fonts.dejavu(bold))
    elsewhere = SimpleNamespace(origin=str(tmp_path / "__init__.py"))  # without mpl-data beside it
    monkeypatch.setattr(fonts.importlib.util, "find_spec", lambda name: elsewhere)
    assert fonts.IN_DEJAVU <= fonts._characters(fonts.dejavu.__wrapped__(bold))


def text_of(text):
    return np.asarray(plots.text_block(text, 40))


@pytest.mark.parametrize("text", ["plain", "été · 12 × – “x”", "Ωμέγα, кошка", "سلام", "tab\tand\x07"])
def test_text_that_the_usual_font_has_looks_for_no_other(tmp_path, machine, text):
    images = np.zeros((2, 1, 28, 28), np.float32)
    plots.sheet(tmp_path / "sheet.png", images, 2, text, text, [text], [text, text])
    plots.captioned(tmp_path / "captioned.png", images, 1, [text, text], text, text)
    curves.losses(tmp_path / "losses.png", {"step": [1], "epoch": [1], "loss_d": [1.0]}, text)
    assert fonts.legible([text], "nowhere") == ([text], None) and machine.looked == 0


@pytest.mark.parametrize("text", SCRIPTS.values(), ids=SCRIPTS)
def test_labels_that_no_font_has_become_numbers_and_other_text_is_escaped(machine, text):
    labels, note = fonts.legible([text, "cat", text + text, text], "are numbered here")
    assert labels == ["#1", "cat", "#3", "#1"]
    assert note.startswith("Labels with # are numbered here: no font here has their characters; installing one")
    escaped = "".join(
        one if one in "cat · é" else one.encode("ascii", "backslashreplace").decode() for one in text
    )  # fmt: skip
    assert "\\u" in escaped.lower() and np.array_equal(text_of(text), text_of(escaped))
    assert fonts.in_matplotlib(text) == (escaped, {})
    assert machine.looked == 1, "the machine is asked once"


@pytest.mark.parametrize("text", SCRIPTS.values(), ids=SCRIPTS)
def test_a_font_of_the_machine_with_all_characters_writes_what_the_usual_one_lacks(tmp_path, machine, text):
    machine.append(make_font(tmp_path / "some.ttf", text[:-1] + "犬"))
    machine.append(make_font(tmp_path / "whole.ttf", sorted(set(text))))
    assert fonts.written(text) == (text, machine[1])
    assert (text_of(text) < 128).mean() > 0.3, "boxes, as the font draws them"
    assert fonts.legible([text], "nowhere") == ([text], None)
    assert fonts.in_matplotlib(text) == (text, {"family": ["DejaVu Sans", "Made whole"]})


@pytest.mark.parametrize(
    "worse", ["b", "aSerif", "a-Bold", "aMono", "aMincho", "a-Italic", "aColorEmoji", "LastResort"]
)
def test_a_plain_font_without_serifs_is_taken_in_whatever_order_they_are_found(tmp_path, machine, worse):
    machine += [make_font(tmp_path / f"{name}.ttf", "猫") for name in (worse, "aa")]
    assert fonts.written("猫")[1] == machine[1]


def test_a_file_that_is_no_font_is_passed_over(tmp_path, machine):
    (tmp_path / "broken.ttf").write_bytes(b"no font")
    machine += [str(tmp_path / name) for name in ("broken.ttf", "absent.ttf")]
    assert fonts.legible(["猫"], "here")[0] == ["#1"]


@pytest.mark.parametrize(
    "text, written", [("猫\ufe0f犬", "猫犬"), ("a\u3000b", "a b"), ("猫\u3000犬", "猫 犬"), ("猫\u200d犬", "猫犬")]
)
def test_characters_without_a_look_need_no_font(tmp_path, machine, text, written):
    machine.append(make_font(tmp_path / "made.ttf", "猫犬"))
    assert fonts.written(text)[0] == written
    assert fonts.legible([text], "nowhere") == ([text], None)


def test_sheets_number_labels_by_their_places_in_the_vocabulary(tmp_path, machine, monkeypatch):
    calls = []
    for name in ("sheet", "captioned"):
        monkeypatch.setattr(plots, name, lambda *arguments, **named: calls.append((arguments, named)))
    names = LabelNames(("cat", "猫", "いぬ"))
    tags = LabelNames(("cat", "猫", "いぬ"), max_tags=2)

    def draw(inputs):
        return np.zeros((len(inputs[0]), 1, 4, 4), np.float32)

    of_names, of_tags = (Sheets(draw, Latent(size=5), 1, "about", vocabulary) for vocabulary in (names, tags))
    of_names.samples(tmp_path / "a.png", 2, 1, names.chosen(["いぬ", "cat"]))
    of_names.interpolation(tmp_path / "a.png", names.chosen(["猫"]))
    of_tags.one_of_each(tmp_path / "a.png", 2, 2, tags.chosen(["いぬ,猫", "cat"]))
    assert [call[1]["row_labels"] for call in calls[:2]] == [["#3", "cat"], ["#2"]]
    assert calls[2][0][3] == ["#2, #3", "cat"]
    for arguments, _ in calls:
        assert arguments[-1].startswith("about. Labels with # are numbered by their places in the vocabulary")


def draw_scores(path, classes, title, about):
    shares = {kind: np.full(2, 0.5) for kind in ("generated", "real")}
    score_picture.picture(path, Scores(generated={"fd": 1.0}, real={"fd": 0.5}, shares=shares), classes, title, about)
    return path.read_bytes()


@pytest.mark.filterwarnings("error:.*[Gg]lyph")
def test_pictures_of_scores_number_classes_that_no_font_has(tmp_path, machine):
    note = fonts.legible(["猫"], "are numbered in the order of the classes in metrics.json")[1]
    found = draw_scores(tmp_path / "a.png", ["猫", "cat"], "title 猫", "about 犬.")
    assert found == draw_scores(tmp_path / "b.png", ["#1", "cat"], "title \\u732b", f"about \\u72ac. {note}.")


@pytest.mark.filterwarnings("error:.*[Gg]lyph")
def test_pictures_of_scores_and_losses_are_written_in_a_font_of_the_machine(tmp_path, machine):
    history = {"step": [1, 2], "epoch": [1, 2], "loss_d": [1.0, 2.0]}
    machine.append(make_font(tmp_path / "made.ttf", "猫犬"))
    curves.losses(tmp_path / "losses.png", history, "猫 title")
    draw_scores(tmp_path / "scores.png", ["猫", "cat"], "title 猫", "about 犬")
    for name in ("losses", "scores"):
        with Image.open(tmp_path / f"{name}.png") as picture:
            dark = np.asarray(picture.convert("L"))[:40] < 64
        boxes = np.lib.stride_tricks.sliding_window_view(dark, (8, 8)).all((2, 3))
        assert boxes.any(), "a box stands in the title"
