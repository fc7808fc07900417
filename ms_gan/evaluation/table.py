"""Scores as lines of text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence


def table(columns: Sequence[tuple[str, Mapping[str, float]]]) -> list[str]:
    """Return columns of scores, each a heading and scores by their names, as lines of equal width.

    A line has the name of a score, and the score of each column; – where a column does not have it.
    """
    names = dict.fromkeys(name for _, scores in columns for name in scores)
    rows = [["", *(heading for heading, _ in columns)]]
    rows += [[name, *(number(scores[name]) if name in scores else "–" for _, scores in columns)] for name in names]
    first, *others = (max(map(len, column)) for column in zip(*rows))
    widths = [max(12, width) for width in others]
    return [
        " ".join([f"{row[0]:{first}}", *(f"{cell:>{width}}" for cell, width in zip(row[1:], widths))]) for row in rows
    ]


def number(score: float) -> str:
    """Return a score with the digits that mean something."""
    return f"{score:,.1f}" if abs(score) >= 100 else f"{score:.4f}" if abs(score) < 10 else f"{score:.2f}"
