"""Labels, titles and captions in any script: by a font of the machine, else by number, and at no cost to other text."""

from __future__ import annotations

import numpy as np
import pytest
from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen
from fontTools.ttLib import TTCollection, TTFont
from matplotlib import font_manager
from PIL import Image

from ms_gan.evaluation import curves, fonts, plots, score_picture
from ms_gan.evaluation.scores import Scores
from ms_gan.evaluation.sheets import Sheets
from ms_gan.labels import LabelNames
from ms_gan.schema.recipe import Latent

SCRIPTS = {
    "Chinese": "猫狗",
    "Japanese": "いぬ",
    "Korean": "고양이",
    "Thai": "แมว",
    "Devanagari": "हिन्दी",
    "emoji": "🍕🥑",
    "beyond the first plane": "𠀋",
    "with Latin letters": "cat 猫 · é",
    "private": "\ue000",
}
NOTE = (
    "Labels with # are numbered in the order in which they stand here: no font here has their characters; "
    "installing one, such as Debian's fonts-noto-cjk for Chinese, Japanese and Korean, shows them"
)
IN_VOCABULARY = NOTE.replace(
    "in the order in which they stand here",
    "by their places in the vocabulary, which settings.json, or a bundle's contract.json, lists",
)
IN_METRICS = NOTE.replace("in which they stand here", "of the classes in metrics.json")


def images(count):
    return np.random.default_rng(0).random((count, 1, 28, 28), dtype=np.float32)


def make_font(path, characters, name="Made Sans", height=700):
    """Write a font with the characters, each a filled box of this height, and return its path as text."""
    pen = TTGlyphPen(None)
    for corner, go in (
        ((50, 0), pen.moveTo),
        ((50, height), pen.lineTo),
        ((950, height), pen.lineTo),
        ((950, 0), pen.lineTo),
    ):
        go(corner)
    pen.closePath()
    box = pen.glyph()
    names = [f"g{ord(character):x}" for character in characters]
    builder = FontBuilder(1000, isTTF=True)
    builder.setupGlyphOrder([".notdef", *names])
    builder.setupCharacterMap(dict(zip(map(ord, characters), names)))
    builder.setupGlyf(dict.fromkeys([".notdef", *names], box))
    builder.setupHorizontalMetrics(dict.fromkeys([".notdef", *names], (1000, 50)))
    builder.setupHorizontalHeader(ascent=800, descent=-200)
    builder.setupNameTable(
        {"familyName": name, "styleName": "Regular", "fullName": name, "psName": name.replace(" ", "")}
    )
    builder.setupOS2()
    builder.setupPost()
    path.parent.mkdir(exist_ok=True)
    builder.save(path)
    return str(path)


def make_collection(path, *paths):
    collection = TTCollection()
    collection.fonts = [TTFont(one) for one in paths]
    collection.save(path)
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


def text_of(text, **how):
    return np.asarray(plots.text_block(text, 40, **how))


def filled(text):
    """The share of dark pixels in a text: that of a box is large."""
    return (text_of(text) < 128).mean()


@pytest.mark.parametrize("text", ["plain", "été · 12 × – “x”", "Ωμέγα, кошка", "سلام", "tab\tand\x07"])
def test_text_that_the_usual_font_has_looks_for_no_other(tmp_path, machine, text):
    plots.sheet(tmp_path / "sheet.png", images(2), 2, text, text, [text], [text, text])
    plots.captioned(tmp_path / "captioned.png", images(1), 1, [text], text, text)
    curves.losses(tmp_path / "losses.png", {"step": [1], "epoch": [1], "loss_d": [1.0]}, text)
    assert machine.looked == 0


@pytest.mark.parametrize("text", SCRIPTS.values(), ids=SCRIPTS)
def test_labels_that_no_font_has_become_numbers_and_the_caption_says_so(tmp_path, machine, text):
    plots.sheet(tmp_path / "a.png", images(8), 2, "title", "about", [text, "cat", text + text, text], ["a", text])
    plots.sheet(tmp_path / "b.png", images(8), 2, "title", f"about. {NOTE}", ["#1", "cat", "#3", "#1"], ["a", "#1"])
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    plots.captioned(tmp_path / "c.png", images(3), 2, ["cat", text, "cat"], "title")
    plots.captioned(tmp_path / "d.png", images(3), 2, ["cat", "#2", "cat"], "title", NOTE)
    assert (tmp_path / "c.png").read_bytes() == (tmp_path / "d.png").read_bytes()
    assert machine.looked == 1, "the machine is asked once"


@pytest.mark.parametrize("text", SCRIPTS.values(), ids=SCRIPTS)
def test_titles_and_captions_that_no_font_has_are_escaped(machine, text):
    escaped = "".join(
        character if character in "cat · é" else character.encode("ascii", "backslashreplace").decode()
        for character in text
    )
    assert "\\u" in escaped.lower() and np.array_equal(text_of(text), text_of(escaped))
    assert fonts.in_matplotlib(text) == (escaped, {})


@pytest.mark.parametrize("text", [text for name, text in SCRIPTS.items() if name != "with Latin letters"])
def test_a_font_of_the_machine_writes_what_the_usual_one_lacks(tmp_path, machine, text):
    machine.append(make_font(tmp_path / "fonts" / "made.ttf", sorted(set(text))))
    assert filled(text) > 0.4, "boxes, as the font draws them"
    assert fonts.legible([text], "nowhere") == ([text], None)
    mixed = text_of(f"cat {text}")
    assert mixed.shape[1] == pytest.approx(text_of("cat ").shape[1] + text_of(text).shape[1], abs=2)


def test_the_letters_between_stay_in_the_usual_font(tmp_path, machine):
    machine.append(make_font(tmp_path / "fonts" / "made.ttf", "猫cat "))
    assert [piece for piece, _ in fonts.runs("a cat 猫猫 é")] == ["a cat ", "猫猫", " é"]
    letters = text_of("cat ")
    both = text_of("cat 猫")
    assert any(
        np.array_equal(both[top : top + letters.shape[0], : letters.shape[1] - 2], letters[:, :-2])
        for top in range(both.shape[0] - letters.shape[0] + 1)
    )


def test_the_right_face_of_a_collection_is_taken(tmp_path, machine):
    parts = [
        make_font(tmp_path / "parts" / "one.ttf", "犬", "One Sans"),
        make_font(tmp_path / "parts" / "two.ttf", "猫", "Two Sans"),
    ]
    machine.append(make_collection(tmp_path / "both.ttc", *parts))
    assert [face.index for _, face in fonts.runs("猫") + fonts.runs("犬")] == [1, 0]
    assert filled("猫") > 0.4 and fonts.legible(["猫", "犬"], "nowhere") == (["猫", "犬"], None)
    assert fonts.legible(["猫", "犬"], "here", matplotlib=True)[0] == ["#1", "犬"], (
        "matplotlib knows the first face alone"
    )


@pytest.mark.parametrize(
    "worse", ["Made Serif", "Made Sans Bold", "Made Sans Mono", "Made Mincho", "Made Sans Italic", "Made"]
)
def test_a_plain_face_without_serifs_comes_first(tmp_path, machine, worse):
    machine += [
        make_font(tmp_path / "a" / "a.ttf", "猫", worse),
        make_font(tmp_path / "b" / "b.ttf", "猫", "Other Sans"),
    ]
    assert fonts.runs("猫")[0][1].path.endswith("b.ttf")


def test_of_equal_fonts_the_first_path_is_taken_in_whatever_order_they_are_found(tmp_path, machine):
    machine += [make_font(tmp_path / folder / "made.ttf", "猫") for folder in "cab"]
    assert fonts.runs("猫")[0][1].path == str(tmp_path / "a" / "made.ttf")


def test_a_font_with_all_characters_is_preferred_else_several_are_joined(tmp_path, machine):
    machine += [make_font(tmp_path / "a" / "made.ttf", "猫"), make_font(tmp_path / "b" / "made.ttf", "猫犬")]
    assert [(piece, face.path) for piece, face in fonts.runs("猫犬")] == [("猫犬", machine[1])]
    machine[1] = make_font(tmp_path / "c" / "made.ttf", "犬")
    fonts.forget()
    assert [(piece, face.path) for piece, face in fonts.runs("猫犬")] == [("猫", machine[0]), ("犬", machine[1])]


def test_a_file_that_is_no_font_and_one_without_a_look_are_passed_over(tmp_path, machine):
    for name in ("broken.ttf", "broken.ttc", "empty.otf"):
        (tmp_path / name).write_bytes(b"no font" if name != "empty.otf" else b"")
    machine += [str(tmp_path / name) for name in ("broken.ttf", "broken.ttc", "empty.otf", "absent.ttf")]
    machine += [
        make_font(tmp_path / "a" / "flat.ttf", "猫", height=0),
        make_font(tmp_path / "a" / "last.ttf", "猫", "LastResort"),
    ]
    assert fonts.legible(["猫"], "here")[0] == ["#1"]


@pytest.mark.parametrize(
    "text, written", [("猫\ufe0f犬", "猫犬"), ("a\u3000b", "a b"), ("猫\u3000犬", "猫 犬"), ("a\U000e0101b", "ab")]
)
def test_characters_without_a_look_need_no_font(tmp_path, machine, text, written):
    machine.append(make_font(tmp_path / "made.ttf", "猫犬"))
    assert "".join(piece for piece, _ in fonts.runs(text)).replace("\ufe0f", "") == written
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
    about = f"about. {IN_VOCABULARY}"
    assert [call[1]["row_labels"] for call in calls[:2]] == [["#3", "cat"], ["#2"]]
    assert calls[2][0][3] == ["#2, #3", "cat"]
    assert [arguments[-1] for arguments, _ in calls] == [about] * 3


SCORES = dict(generated={"fd": 1.0}, real={"fd": 0.5}, left_out={}, protocol={}, nearest=None, logits=None)


@pytest.mark.filterwarnings("error:.*[Gg]lyph")
def test_pictures_of_scores_number_classes_that_no_font_has(tmp_path, machine):
    shares = {"generated": np.full(2, 0.5), "real": np.full(2, 0.5)}
    score_picture.picture(tmp_path / "a.png", Scores(**SCORES, shares=shares), ["猫", "cat"], "title", "about.")
    score_picture.picture(
        tmp_path / "b.png", Scores(**SCORES, shares=shares), ["#1", "cat"], "title", f"about. {IN_METRICS}."
    )
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    score_picture.picture(tmp_path / "c.png", Scores(**SCORES, shares=None), ["猫"], "title 猫", "about 犬.")
    score_picture.picture(tmp_path / "d.png", Scores(**SCORES, shares=None), ["猫"], "title \\u732b", "about \\u72ac.")
    assert (tmp_path / "c.png").read_bytes() == (tmp_path / "d.png").read_bytes()


@pytest.mark.filterwarnings("error:.*[Gg]lyph")
def test_pictures_of_scores_and_losses_are_written_in_a_font_of_the_machine(tmp_path, machine):
    history = {"step": [1, 2], "epoch": [1, 2], "loss_d": [1.0, 2.0]}
    shares = {"generated": np.full(2, 0.5), "real": np.full(2, 0.5)}
    machine.append(make_font(tmp_path / "made.ttf", "猫犬", "Made For Matplotlib Sans"))
    curves.losses(tmp_path / "losses.png", history, "猫 title")
    score_picture.picture(
        tmp_path / "scores.png", Scores(**SCORES, shares=shares), ["猫", "cat"], "title 猫", "about 犬"
    )
    for name in ("losses", "scores"):
        with Image.open(tmp_path / f"{name}.png") as picture:
            dark = np.asarray(picture.convert("L"))[:40] < 64
        rows = dark.sum(1)
        assert rows.max() > 10 and any(
            dark[row : row + 8, column : column + 8].all() for row in range(30) for column in range(dark.shape[1] - 8)
        ), "a box stands in the title"
