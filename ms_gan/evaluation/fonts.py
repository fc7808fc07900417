"""Fonts for what matplotlib's own, DejaVu Sans, cannot write: Chinese, Japanese, Korean, Thai and others.

DejaVu Sans, which has Latin, Greek, Cyrillic and Arabic letters, is the same on every machine, so a picture that needs
no other font has the same bytes everywhere. Another text is written in a font of the machine that has all of its
characters; where there is none, labels become numbers.
"""

from __future__ import annotations

import functools
import importlib.util
import re
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import Any

UNUSABLE = re.compile("last ?resort|blank|color", re.I)  # these draw a box, or nothing, or colours alone
NOT_PLAIN = re.compile("serif|mincho|ming|song|kai|mono|bold|black|light|thin|italic|oblique|condensed", re.I)
IN_DEJAVU = {*range(0xA1, 0x100)} - {0xAD}  # accents, "·" and "×": known without an import of matplotlib
NO_FONT = (
    "no font here has their characters; installing one, such as Debian's fonts-noto-cjk for Chinese, Japanese "
    "and Korean, shows them"
)


@functools.cache
def dejavu(bold: bool = False) -> str:
    """Return the path of DejaVu Sans."""
    home = Path(importlib.util.find_spec("matplotlib").origin).parent / "mpl-data"  # type: ignore[union-attr,arg-type]
    if not home.is_dir():  # a Linux distribution may have it elsewhere; to ask takes an import
        import matplotlib

        home = Path(matplotlib.get_data_path())
    return f"{home}/fonts/ttf/DejaVuSans{'-Bold' if bold else ''}.ttf"


def written(text: str, bold: bool = False) -> tuple[str, str]:
    """Return a text as it can be written, and the path of the font to write it in.

    Characters that the font does not have, as no font of the machine has all, become escapes, such as \\u732b. Other
    spaces become plain ones, and characters that nothing shows, such as controls, are left out.
    """
    path = _font_of(text, bold) or dejavu(bold)
    strange = {one for one in text if not one.isascii() and not _has(path, {ord(one)})}
    for one in strange:
        escaped = "" if _has_no_look(one) else one.encode("ascii", "backslashreplace").decode()
        text = text.replace(one, " " if one.isspace() else escaped)
    return text, path


def in_matplotlib(text: str) -> tuple[str, dict[str, Any]]:
    """Return a text as `written` does, and the arguments of matplotlib that choose its fonts."""
    text, path = written(text)
    return text, {} if path == dejavu() else {"family": ["DejaVu Sans", _family(path)]}


def legible(labels: Sequence[str], where: str) -> tuple[list[str], str | None]:
    """Return labels as they can be written, and a note about those that cannot.

    Those that need a character that no font of the machine has become numbers, "#1" for the first of the different
    ones; `where` says of what order the numbers are.
    """
    places = {
        label: f"#{number}" for number, label in enumerate(dict.fromkeys(labels), 1) if _font_of(label, False) is None
    }
    return [places.get(label, label) for label in labels], f"Labels with # {where}: {NO_FONT}" if places else None


def forget() -> None:
    """Forget the machine's fonts: they are looked for again when the next text needs one."""
    _others.cache_clear()


def _font_of(text: str, bold: bool) -> str | None:
    """Return the path of the first font that has every character of a text that has a look; None if there is none."""
    needed = {ord(one) for one in text if not (one.isascii() or one.isspace() or _has_no_look(one))}
    if _has(dejavu(bold), needed):
        return dejavu(bold)
    return next((path for path in _others() if _has(path, needed)), None)


def _has_no_look(character: str) -> bool:
    """Return whether a character controls others, or chooses among their looks."""
    return unicodedata.category(character) in ("Cc", "Cf", "Zl", "Zp") or "\ufe00" <= character <= "\ufe0f"


@functools.cache
def _others() -> list[str]:
    """Return the paths of this machine's fonts: plain ones without serifs first, always in one order."""
    from matplotlib import font_manager

    usable = [path for path in font_manager.findSystemFonts() if not UNUSABLE.search(Path(path).stem)]
    return sorted(usable, key=lambda path: (NOT_PLAIN.search(Path(path).stem) is not None, path))


def _has(path: str, needed: set[int]) -> bool:
    known = IN_DEJAVU if path in (dejavu(False), dejavu(True)) else set()
    return needed <= known or needed <= _characters(path)


@functools.cache
def _characters(path: str) -> frozenset[int]:
    from matplotlib.ft2font import FT2Font

    try:
        return frozenset(FT2Font(path).get_charmap())
    except (OSError, RuntimeError):  # no font, or one that cannot be scaled
        return frozenset()


@functools.cache
def _family(path: str) -> str:
    """Return the name under which matplotlib finds a font."""
    from matplotlib import font_manager
    from matplotlib.ft2font import FT2Font

    font_manager.fontManager.addfont(path)
    return FT2Font(path).family_name
