"""What looks on while a run trains: over which steps numbers are means, and how often something is said."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np

from ms_gan import recipes


def session(recipe=None, **of_step):
    """A session as far as these observers know one: it looks every second step, and keeps what is shown and said."""
    shown, said = [], []
    progress = SimpleNamespace(
        due=lambda: False, show=lambda done, means, speak: shown.append((done, means.tolist())), say=said.append
    )
    return SimpleNamespace(
        record=SimpleNamespace(progress=progress, history=SimpleNamespace(add=lambda step, row: None)),
        settings=SimpleNamespace(recipe=recipe, warm_start=None),
        state=SimpleNamespace(step=0, initial_share=1.0),
        looks_at=lambda done: done % 2 == 0,
        step=SimpleNamespace(**of_step),
        shown=shown,
        said=said,
    )


def scalars(value):
    return SimpleNamespace(asnumpy=lambda: np.float32([value]))


def test_means_are_of_the_steps_since_the_last_look():
    from ms_gan.training.observers import Scalars

    seen = session(scalars=("loss",), remark=lambda means: f"loss {means['loss']:.1f}")
    observer = Scalars(seen)
    for done, value in enumerate((1, 1, 3, 3, 3, 3), start=1):
        observer.after_step(done, scalars(value))
    assert seen.shown == [(2, [1.0]), (4, [3.0]), (6, [3.0])]
    assert seen.said == ["note: loss 1.0", "note: loss 3.0"], "a remark is not repeated"


def test_that_most_is_initial_is_noted_once():
    from ms_gan.training.observers import MaturityNotes

    seen = session(recipes.override(recipes.load("rpgan"), ["generator.batch_norm.momentum=0.999", "ema.decay=0"]))
    observer = MaturityNotes(seen)
    for done in range(1, 9):
        observer.after_step(done, None)
    assert len(seen.said) == 1 and "BatchNorm" in seen.said[0]
