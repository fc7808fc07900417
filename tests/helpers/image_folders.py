"""Folders of small images, for the tests of what is read from them."""

from __future__ import annotations

import shutil
from dataclasses import replace

from PIL import Image

from helpers.refusals import refused
from ms_gan import data
from ms_gan.data.description import DataRequest

WANTED = DataRequest(size=4, channels=3)


def fill(home, names, files=None):
    """Write an image of its own colour under each name, an empty folder where that ends in a slash, and files."""
    for number, name in enumerate(names):
        path = home / name
        if name.endswith("/"):
            path.mkdir(parents=True, exist_ok=True)
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (4, 4), (number % 256, number // 256, 7)).save(path)
    for name, text in (files or {}).items():
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        (home / name).write_text(text, "utf-8")
    return home


def afresh(home, names, files=None):
    """The same in a folder that held something else before."""
    shutil.rmtree(home, ignore_errors=True)
    return fill(home, names, files)


def load(home, split="train", classes=0, **wanted):
    """Load a split of a folder as a recipe without labels does, or one with classes."""
    return data.load("folder", split, home, replace(WANTED, classes=classes, **wanted))


def refusal(home, *parts, split="train", classes=0, **wanted):
    """Return the one line with which the folder is refused; it has these parts."""
    message = refused(load, home, split, classes, **wanted)
    assert "; " in message
    for part in parts:
        assert str(part) in message, message
    return message
