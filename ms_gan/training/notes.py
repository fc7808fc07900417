"""What a run prints when it begins or goes on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from ms_gan import runtime
from ms_gan.data.description import ImageData
from ms_gan.data.faults import one_line
from ms_gan.errors import UserError
from ms_gan.evaluation.protocol import enough
from ms_gan.kernels.build import MINDSPORE
from ms_gan.recipes import registry
from ms_gan.steps.ema import warm_up_steps
from ms_gan.training.kernels import RECORD, RECORD_BEFORE

if TYPE_CHECKING:
    from ms_gan.training.session import Session

OF_ONES_OWN = ("folder", "idx", "arrays")  # data sets


def of_copies(among: Sequence[tuple[str, str]], in_test: Sequence[tuple[str, str]]) -> Iterator[str]:
    """Give the lines about training images that look the same as others, and about test images that do."""
    for pairs, kind, what in (
        (among, "", "another, such as {0} as {1}; all count"),
        (in_test, "test ", "a training image, such as {0} as {1}; scores may be too good"),
    ):
        if pairs:
            yield one_line(f"note: {len(pairs):,} {kind}image(s) look the same as " + what.format(*pairs[0]))


def of_new_run(session: Session, images: ImageData, test: ImageData | None) -> Iterator[str]:
    """Give the lines with which a new run begins.

    `images` are all training images, also those held out; `test` is the test split, if it was looked at: it tells what
    eval cannot do later.
    """
    settings, source = session.settings, session.provenance.data
    recipe = settings.recipe
    turned = f", {recipe.data.changed} at random" if recipe.data.changed else ""
    clusters = f", in {recipe.clusters} clusters of similar images" if recipe.clusters else ""
    begun = f", beginning with the networks of {settings.warm_start}" if settings.warm_start else ""
    yield (
        f"recipe {recipe.name}, seed {settings.seed}, {session.device}, {len(session.images.images):,} images from "
        f"{images.source}{turned}{clusters}, {settings.steps:,} steps{begun}; all in {session.run.path}"
    )
    yield from images.notes
    known = images.labelled()
    takes_labels = registry.family(recipe.family).label_requirement != "none"
    if settings.dataset in OF_ONES_OWN and len(known.classes) > 1 and takes_labels and not recipe.data.classes:
        count = len(known.classes)
        yield (
            f"note: the images have {count} classes, which are not used; with the setting data.classes={count} you can "
            f"ask for one"
        )
    if source.instead_of:
        yield f"note: the data set is {images.name}, because {source.instead_of} could not be fetched"
    asked, held = recipe.scores.held_out, 0 if session.held_out is None else len(session.held_out.images)
    if held < asked:
        yield f"note: {held:,} of {asked:,} validation images were kept out: the rest are the only ones of their class"
    yield from _of_every_run(session)
    warm_up = warm_up_steps(recipe.ema.decay) if recipe.ema.decay and not settings.warm_start else 0
    if (
        not recipe.schedule.steps_per_epoch
        and settings.steps == recipe.schedule.epochs * session.steps_per_epoch < warm_up
    ):
        epochs = f"{recipe.schedule.epochs} epoch{'s' * (recipe.schedule.epochs > 1)}"
        yield (
            f"note: {epochs} of {len(session.images.images):,} images are {settings.steps:,} steps; the averaged "
            f"weights (EMA), which draw, average over their full length only after {warm_up:,}; "
            f"{warm_up + 10:,} steps would do"
        )
    if test is not None and recipe.data.classes and test.labels is None:
        yield (
            f"note: eval will only draw samples: the test images have no labels ({test.why_unlabelled}), so it can "
            f"neither compare with them nor score; label them like the training images, or remove them"
        )
    elif test is not None:
        try:
            enough(session.images, test)
        except UserError as error:
            yield f"note: eval will give no scores: {error}"


def of_resumed_run(session: Session) -> Iterator[str]:
    """Give the lines with which a run goes on."""
    state, settings = session.state, session.settings
    yield f"resumed {session.run.path} at step {state.step:,} of {settings.steps:,}, {session.device}"
    devices = state.settings.device_num
    if devices != settings.device_num:
        yield (
            f"note: before, {devices} device{'s' * (devices > 1)} trained it. Images and noise stay as they were, and "
            f"weights but for rounding; what is taken of a share of a batch, as BatchNorm's statistics are, differs"
        )
    starts, now = session.provenance.starts, {**runtime.environment(), **session.kernels}
    now[RECORD_BEFORE] = now.get(RECORD, "")
    for name, before in (starts[-1].versions if starts else {}).items():
        if now.get(name) != before and not (before.startswith(MINDSPORE) and now.get(RECORD, "").startswith(MINDSPORE)):
            yield f"note: {name} was {before} and is now {now.get(name)}; the bytes may differ from here on"
    if state.step == settings.steps:
        yield "note: its schedule is at its end; more epochs or steps make it longer"
    yield from _of_every_run(session)


def _of_every_run(session: Session) -> Iterator[str]:
    why_none = session.record.scorer.why_none
    if why_none:
        yield f"note: no scores on the way: {why_none}"
    kernels = session.kernels.get(RECORD, "")
    if kernels.startswith(MINDSPORE):
        slow = runtime.slow_convolutions(session.device, runtime.environment()["mindspore"])
        yield f"note: layers are computed by {kernels}; {slow or 'a step takes up to three times as long'}"
