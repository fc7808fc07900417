"""Scores of a trained model on its run's own data, as text, as a record and as a picture."""

from __future__ import annotations

import textwrap
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from ms_gan import data, runtime
from ms_gan.data.description import ImageData
from ms_gan.errors import Command, Setting, UserError
from ms_gan.evaluation import judge as judges
from ms_gan.evaluation import score_picture, scores
from ms_gan.evaluation.judge import Judge
from ms_gan.evaluation.judge_training import judge_for
from ms_gan.evaluation.modes import STACKED, add_modes
from ms_gan.evaluation.protocol import Subject, among_training_images, as_shown, enough
from ms_gan.evaluation.scores import Say, Scores
from ms_gan.runs.model import Model
from ms_gan.runs.records import write_json
from ms_gan.runs.run_folder import validation_split

REFERENCES = {"test": "of the test split", "train": "training images", "held_out": "that were held out from training,"}


@dataclass(frozen=True)
class ScoreRequest:
    """What to score, and how.

    Attributes:
        options: the seed, and which scores are computed on request.
        against: "test" to report a model; "train" to choose among models: the run's validation images, or else
            training images.
        judge: the folder of a judge; None for the one that belongs to the data.
        data_path: where the data set is; None if it is drawn or fetched.
    """

    options: scores.Options
    against: str = "test"
    judge: Path | None = None
    data_path: str | None = None


@dataclass(frozen=True)
class ScoredData:
    """The data of a comparison: both splits, and what is taken of them.

    Attributes:
        train, test: the splits.
        other: training images, without those in `reference`.
        reference: the images to compare with.
        judge: the one that was asked for by its folder.
    """

    train: ImageData
    test: ImageData
    other: ImageData
    reference: ImageData
    judge: Judge | None

    @classmethod
    def choose(cls, model: Model, train: ImageData, test: ImageData, request: ScoreRequest) -> ScoredData:
        """Choose the reference images. Raises UserError for too few, or an impossible judge or score."""
        other, reference = train, test
        if request.against == "train":
            other, held_out = validation_split(model.settings, train)
            if held_out is None:
                other, reference = among_training_images(train, test, request.options.seed)
            else:
                reference = replace(held_out, split="held_out")
        enough(other, reference)
        scores.refuse_labelled(model.conditional, train, request.options)
        judge = None if request.judge is None else _named_judge(request.judge, *_judged(train, test, request))
        return cls(train, test, other, reference, judge)

    @property
    def no_judge(self) -> str | None:
        """Why there can be no judge of these data; None if there can."""
        return judges.why_no_judge(self.train) or judges.why_no_judge(self.test)


@dataclass(frozen=True)
class ScoreReport:
    """Scores of a model, with all that explains them."""

    scores: Scores
    model: Model
    data: ScoredData
    judge: Judge | None

    @property
    def title(self) -> str:
        """What was scored."""
        return f"scores of {self.model.name} at step {self.model.step:,}"

    @property
    def caption(self) -> str:
        """What was compared with what, and by which judge."""
        protocol, split = self.scores.protocol, self.data.reference.split
        count = protocol["generated"]
        text = (
            f"{count:,} generated images of seed {protocol['seed']} against {count:,} {REFERENCES[split]} of "
            f'{self.data.test.called}. The column "real" holds what {count:,} {"other " if split == "train" else ""}'
            "training images score in their place; for memorisation, and for what the judge reads, the images compared "
            "with."
        )
        draws = protocol.get("fd_of_real_draws", [])
        if len(draws) > 1:
            text += f" Their Fréchet distance is the mean of {len(draws)} draws, {min(draws):.2f} to {max(draws):.2f}."
        if self.judge is None:
            return f"{text} No judge: {self.data.no_judge}; so the scores that need one are left out."
        return f"{text} Judge: {_described(self.judge)}."

    @property
    def notes(self) -> list[str]:
        """What else a reader should know, one sentence each."""
        notes: list[str | None] = [self.model.maturity.note()]
        if self.judge is not None:
            notes.append(self.judge.weakness)
            learned, train = self.judge.data, self.data.train
            if learned.name == train.name and learned.train_sha256 != train.sha256:
                notes.append(
                    "the judge was trained on another copy of these data: the test split and the training labels are "
                    "the same, but training images have other bytes"
                )
        changed = self.model.recipe.data.changed
        if changed:
            only = ", of turns by whole quarters" if self.model.recipe.data.rotate_and_mirror else ""
            notes.append(
                f"the model was trained on {changed} images; scores compare with the images as they are, memorisation "
                f"with each of these ways{only}"
            )
        if self.scores.protocol["real_as_labelled"] is False:
            notes.append('the training images of some class are too few: the column "real" has its images as they come')
        return list(filter(None, notes))

    def lines(self) -> list[str]:
        """Return the report as lines of text."""
        left_out = [f"left out: {name}: {reason}" for name, reason in self.scores.left_out.items()]
        notes = [f"note: {note}" for note in self.notes]
        return [self.title, *textwrap.wrap(self.caption, 110), *self.scores.table(), *left_out, *notes]

    def record(self) -> dict[str, Any]:
        """Return the report for a JSON file."""
        return {
            "model": {
                "recipe": self.model.name,
                "step": self.model.step,
                "checkpoint": str(self.model.checkpoint),
                "dataset": self.data.train.name,
                "source": self.data.train.source,
                "train_sha256": self.data.train.sha256,
                "test_sha256": self.data.test.sha256,
            },
            "protocol": self.scores.protocol,
            "judge": self.judge and _record_of(self.judge),
            "generated": self.scores.generated,
            "real": self.scores.real,
            "left_out": self.scores.left_out,
            "class_shares": self.scores.shares,
            "classes": self.data.train.classes,
            "notes": self.notes,
            "versions": runtime.environment(),
        }

    def write(self, to_json: Path, to_picture: Path) -> tuple[Path, Path]:
        """Write the record, and a picture of the scores; return both paths."""
        write_json(to_json, self.record())
        score_picture.picture(to_picture, self.scores, self.data.train.classes, self.title, self.caption)
        return to_json, to_picture


def score(model: Model, chosen: ScoredData, request: ScoreRequest, say: Say) -> ScoreReport:
    """Score a model on its run's own data. `say` gets a line about each long computation."""
    judge = chosen.judge or _judge_of(chosen, request, say)
    trained_on = validation_split(model.settings, chosen.train)[0].images
    if model.recipe.clusters:
        say(f"finding the run's {model.recipe.clusters} clusters of {len(trained_on):,} images")
    discriminate, why_none = model.discriminator(chosen.train)
    updates: Any = model.recipe.updates
    ways = as_shown(trained_on, model.recipe.data)
    subject = Subject(model.draw, model.latent, model.conditional, discriminate, str(why_none), updates.threshold, ways)
    of_data = None if chosen.no_judge else judge
    found = scores.measure(subject, chosen.other, chosen.reference, of_data, chosen.no_judge, request.options, say)
    if chosen.train.channels_from and judge is not None:
        say(f"drawing {STACKED:,} images, and counting the modes among them")
        add_modes(found, subject, judge, chosen.reference, request.options.seed)
    return ScoreReport(found, model, chosen, judge)


def _judge_of(chosen: ScoredData, request: ScoreRequest, say: Say) -> Judge | None:
    """Return the judge of the data, or of their channels: a stored one, or a new one; None if there can be none."""
    train, test = _judged(chosen.train, chosen.test, request)
    if judges.why_no_judge(train) or judges.why_no_judge(test):
        return None
    return judge_for(train, test, say)


def _judged(train: ImageData, test: ImageData, request: ScoreRequest) -> tuple[ImageData, ImageData]:
    """Return the splits whose images a judge reads: these, or the ones their channels come from."""
    if train.channels_from:
        train, test = (data.load(train.channels_from, split, request.data_path) for split in ("train", "test"))
    return train, test


def _named_judge(folder: Path, train: ImageData, test: ImageData) -> Judge:
    """Load the judge in a folder. Raises UserError if it is missing, or of other data, or if there can be none."""
    no_judge = judges.why_no_judge(train) or judges.why_no_judge(test)
    if no_judge:
        raise UserError(f"there can be no judge: {no_judge}", "leave out ", Setting("judge"))
    if not (folder / judges.FILE).is_file():
        raise UserError(f"{folder}: no judge (no {judges.FILE} in it)", "train one: ", Command("judge", folder))
    judge = judges.load_judge(folder)
    if not judge.fits(train, test):
        problem = f"{folder}: a judge of other data ({judge.data.name})"
        raise UserError(problem, "leave out ", Setting("judge"), ": the judge of these data is trained once, and kept")
    return replace(judge, classes=train.classes)


def _described(judge: Judge) -> str:
    name = "kept in memory only" if judge.home is None else judge.home.name
    return f"{name} ({judge.sha256[:12]}), which {judge.quality}"


def _record_of(judge: Judge) -> dict[str, Any]:
    return {
        "folder": judge.home and str(judge.home),
        "sha256": judge.sha256,
        **judge.measured,
        "data": asdict(judge.data),
        "training": judge.training,
        "text": _described(judge),
    }
