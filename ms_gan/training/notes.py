"""What a run prints when it begins or goes on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mindspore import nn

from ms_gan import runtime
from ms_gan.data.description import ImageData
from ms_gan.errors import UserError
from ms_gan.evaluation.scores import enough
from ms_gan.runs import fitting
from ms_gan.runs.run_folder import RunFolder

if TYPE_CHECKING:
    from ms_gan.training.session import Session


def of_new_run(session: Session, images: ImageData) -> list[str]:
    """Return the lines with which a new run begins; `images` are all training images."""
    settings, provenance = session.settings, session.provenance
    recipe = settings.recipe
    lines = [
        f"recipe {recipe.name}, seed {settings.seed}, {session.device}, {len(images.images):,} images from "
        f"{images.source}{fitting.described(recipe)}, {settings.steps:,} steps; all in {session.run.path}",
        *images.notes,
    ]
    if provenance.data.instead_of:
        lines.append(f"note: the data set is {images.name}, because {provenance.data.instead_of} could not be fetched")
    asked, held = recipe.scores.held_out, 0 if session.held_out is None else len(session.held_out.images)
    if held < asked:
        lines.append(
            f"note: {held:,} of {asked:,} validation images were kept out: the rest are the only images of their class"
        )
    return lines + _of_every_run(session)


def of_resumed_run(session: Session, folder: RunFolder) -> list[str]:
    """Return the lines with which a run goes on."""
    state, settings = session.state, session.settings
    lines = [f"resumed {folder.path} at step {state.step:,} of {settings.steps:,}, {session.device}"]
    starts, now = session.provenance.starts, runtime.environment()
    for name, before in (starts[-1].versions if starts else {}).items():
        if now.get(name) != before:
            lines.append(f"note: {name} was {before} and is now {now.get(name)}; the bytes may differ from here on")
    return lines + _of_every_run(session)


def limits(session: Session, test: ImageData | None) -> list[str]:
    """Return what will not be possible later with the data of a new run."""
    if test is None:
        return []
    if session.settings.recipe.data.classes and test.labels is None:
        return [
            f"note: eval will only draw samples: the test images have no labels ({test.why_unlabelled}), so it can "
            f"neither compare with them nor score; label them like the training images, or remove them"
        ]
    try:
        enough(session.images, test)
    except UserError as error:
        return [f"note: eval will give no scores: {error}"]
    return []


def _of_every_run(session: Session) -> list[str]:
    lines, scorer = [], session.record.scorer
    if scorer.why_none:
        lines.append(f"note: no scores on the way: {scorer.why_none}")
    warning = runtime.slow_convolutions(session.device, runtime.environment()["mindspore"])
    if warning and any(isinstance(cell, nn.Conv2d) for _, cell in session.step.cells_and_names()):
        lines.append(f"note: {warning}")
    return lines
