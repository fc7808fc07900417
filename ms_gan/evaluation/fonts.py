"""Fonts for what matplotlib's own, DejaVu Sans, cannot write: Chinese, Japanese, Korean, Thai, emoji and others.

DejaVu Sans is the same on every machine, so a picture that needs no other font has the same bytes everywhere. Other
characters are written in a font of the machine, always the same one there; where it has none, labels become numbers.
"""

from __future__ import annotations

import functools
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from PIL.ImageFont import FreeTypeFont

UNUSABLE = re.compile("last ?resort|blank", re.I)  # these draw a box, or nothing, for every character
NOT_PLAIN = re.compile(
    "serif|mincho|ming|song|kai|batang|myungjo|mono|bold|black|heavy|medium|light|thin|italic|oblique|condensed|narrow",
    re.I,
)
SANS = re.compile("sans|gothic|hei", re.I)
NO_FONT = (
    "no font here has their characters; installing one, such as Debian's fonts-noto-cjk for Chinese, Japanese "
    "and Korean, shows them"
)


@dataclass(frozen=True)
class Face:
    """One face of a font file."""

    path: str
    index: int = 0  # in a collection

    @functools.cache  # noqa: B019 - faces are few, and kept by _faces anyway
    def load(self, size: int) -> FreeTypeFont:
        """Return the face as Pillow's font, with the shapes that a script asks for where Pillow knows them."""
        from PIL import ImageFont, features

        shaped = ImageFont.Layout.RAQM if features.check("raqm") else ImageFont.Layout.BASIC
        return ImageFont.truetype(self.path, size, self.index, layout_engine=shaped)


def dejavu(bold: bool = False) -> str:
    """Return the path of DejaVu Sans."""
    import matplotlib

    return f"{matplotlib.get_data_path()}/fonts/ttf/DejaVuSans{'-Bold' if bold else ''}.ttf"


def runs(text: str, bold: bool = False) -> list[tuple[str, Face | None]]:
    """Return a line of text in pieces, each with the face that has its characters; None is DejaVu Sans.

    Characters that no face has are written as escapes, such as \\u732b.
    """
    text = _visible(text)
    others = _faces_for(_lacking(text, bold))
    pieces: list[tuple[str, Face | None]] = []
    for character in text:
        before = pieces[-1][1] if pieces else None
        face = others.get(character)
        if character in others and face is None:
            character = _escaped(character)
        elif before and _invisible(character) and ord(character) in _characters(before):
            face = before  # it controls what stands around it
        if pieces and before == face:
            pieces[-1] = (pieces[-1][0] + character, face)
        else:
            pieces.append((character, face))
    return pieces or [("", None)]


def legible(labels: Sequence[str], where: str, matplotlib: bool = False) -> tuple[list[str], str | None]:
    """Return labels as they can be written, and a note about those that cannot.

    Those that need a character that no font of the machine has become numbers, "#1" for the first of the different
    ones; `where` says of what order the numbers are. `matplotlib` asks for fonts that matplotlib can use.
    """
    places = {
        label: f"#{number}"
        for number, label in enumerate(dict.fromkeys(labels), 1)
        if None in _faces_for(_lacking(label), matplotlib).values()
    }
    return [places.get(label, label) for label in labels], f"Labels with # {where}: {NO_FONT}" if places else None


def in_matplotlib(text: str) -> tuple[str, dict[str, Any]]:
    """Return a text as matplotlib can write it, and the arguments that choose its fonts.

    Characters that no font has are written as escapes.
    """
    text = _visible(text)
    others = _faces_for(_lacking(text), matplotlib=True)
    for character in (character for character, face in others.items() if face is None):
        text = text.replace(character, _escaped(character))
    families = [_family(face) for face in dict.fromkeys(filter(None, others.values()))]
    return text, {"family": ["DejaVu Sans", *families]} if families else {}


def forget() -> None:
    """Forget the machine's fonts: they are looked for again when the next text needs one."""
    _faces.cache_clear()
    _faces_for.cache_clear()


def _visible(text: str) -> str:
    """Return a text without the spaces and control characters that DejaVu Sans lacks."""
    if text.isascii():
        return text
    return "".join(
        character
        if character.isascii() or ord(character) in _of_dejavu(False)
        else " "
        if character.isspace()
        else ""
        if _invisible(character)
        else character
        for character in text
    )


def _lacking(text: str, bold: bool = False) -> frozenset[str]:
    """Return the characters of a text for which DejaVu Sans has no glyph."""
    if text.isascii():
        return frozenset()
    return frozenset(
        character for character in _visible(text) if not character.isascii() and ord(character) not in _of_dejavu(bold)
    )


def _invisible(character: str) -> bool:
    """Return whether a character has no look of its own: it controls others, or chooses among their looks."""
    return (
        unicodedata.category(character) in ("Cc", "Cf", "Zl", "Zp")
        or "\ufe00" <= character <= "\ufe0f"
        or "\U000e0100" <= character <= "\U000e01ef"
    )


def _escaped(character: str) -> str:
    return character.encode("ascii", "backslashreplace").decode()


@functools.cache
def _of_dejavu(bold: bool) -> frozenset[int]:
    from matplotlib.ft2font import FT2Font

    return frozenset(FT2Font(dejavu(bold)).get_charmap())


@functools.cache
def _faces_for(characters: frozenset[str], matplotlib: bool = False) -> dict[str, Face | None]:
    """Return a face for each of the characters, None where there is none.

    If one face has all of them, it is used for all; else each character gets the first face that has it.
    """
    if not characters:
        return {}
    singly: dict[str, Face | None] = dict.fromkeys(sorted(characters))
    for face in _faces():
        if matplotlib and (face.index or not _for_matplotlib(face)):  # which knows the first face of a file alone
            continue
        has = [character for character in singly if ord(character) in _characters(face)]
        if not has:
            continue
        font = face.load(16)
        has = [character for character in has if font.getmask(character).getbbox()]  # not of colour layers alone
        if len(has) == len(characters):
            return dict.fromkeys(singly, face)
        singly.update({character: face for character in has if singly[character] is None})
    return singly


@functools.cache
def _faces() -> tuple[Face, ...]:
    """Return the faces of this machine that can be scaled: plain ones without serifs first, then by their path."""
    from fontTools.ttLib import TTCollection, TTFont
    from matplotlib import font_manager

    found = []
    for path in sorted(set(font_manager.findSystemFonts())):
        try:
            collection = path.lower().endswith((".ttc", ".otc"))
            with (TTCollection if collection else TTFont)(path, lazy=True) as file:
                for index, font in enumerate(file.fonts if collection else [file]):
                    name = font["name"].getDebugName(4) or path
                    # colours alone, or pictures of one size, are nothing to write with
                    if (
                        {"glyf", "CFF ", "CFF2"} & set(font.keys())
                        and not {"CBDT", "sbix"} & set(font.keys())
                        and (not UNUSABLE.search(name))
                    ):
                        rank = len(set(map(str.lower, NOT_PLAIN.findall(name)))) + (SANS.search(name) is None)
                        Face(path, index).load(16)
                        found.append((rank, path, index))
        except Exception:  # a broken font may raise anything: skip it
            continue
    return (Face(dejavu()), *(Face(path, index) for _, path, index in sorted(found)))


@functools.cache
def _characters(face: Face) -> frozenset[int]:
    from fontTools.ttLib import TTFont

    try:
        with TTFont(face.path, fontNumber=face.index, lazy=True) as font:
            return frozenset(font.getBestCmap() or ())
    except Exception:  # as above
        return frozenset()


@functools.cache
def _for_matplotlib(face: Face) -> bool:
    from matplotlib.ft2font import FT2Font

    try:
        FT2Font(face.path)
        return True
    except (OSError, RuntimeError):
        return False


def _family(face: Face) -> str:
    """Return the name under which matplotlib finds a face."""
    from matplotlib import font_manager

    manager = font_manager.fontManager
    if all(entry.fname != face.path for entry in manager.ttflist):
        manager.addfont(face.path)
    return next(entry.name for entry in manager.ttflist if entry.fname == face.path)
