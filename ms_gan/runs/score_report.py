"""Scores of a trained model on its run's own data, as text, as a record and as a picture."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ms_gan import data, runtime
from ms_gan.data import ImageData
from ms_gan.errors import Setting, UserError
from ms_gan.evaluation import judge as judges
from ms_gan.evaluation import score_picture, scores
from ms_gan.evaluation.judge import Judge
from ms_gan.evaluation.judge_training import judge_for
from ms_gan.evaluation.scores import Say, Scores
from ms_gan.runs.model import Model
from ms_gan.runs.records import write_json

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
    """

    train: ImageData
    test: ImageData
    other: ImageData
    reference: ImageData

    @classmethod
    def choose(cls, model: Model, train: ImageData, test: ImageData, request: ScoreRequest) -> ScoredData:
        """Choose the reference images. Raises UserError for too few, or an impossible judge or score."""
        other, reference = train, test
        if request.against == "train":
            other, held_out = model.held_out(train)
            if held_out is None:
                other, reference = scores.among_training_images(train, test, request.options.seed)
            else:
                reference = replace(held_out, split="held_out")
        scores.enough(other, reference)
        scores.refuse_labelled(model.conditional, train, request.options)
        if request.judge is not None:
            _named_judge(request.judge, *_judged(train, test, request))
        return cls(train, test, other, reference)


@dataclass(frozen=True)
class ScoreReport:
    """Scores, with all that explains them.

    Attributes:
        scores: the numbers.
        title: one line.
        caption: what was compared with what.
        notes: what else a reader should know, one sentence each.
        about: the records `model`, `judge`, `classes`, and `versions`.
    """

    scores: Scores
    title: str
    caption: str
    notes: tuple[str, ...]
    about: dict[str, Any]

    def lines(self) -> list[str]:
        """Return the report as lines of text."""
        left_out = [f"left out: {name}: {reason}" for name, reason in self.scores.left_out.items()]
        notes = [f"note: {note}" for note in self.notes]
        return [self.title, *textwrap.wrap(self.caption, 110), *score_picture.table(self.scores), *left_out, *notes]

    def record(self) -> dict[str, Any]:
        """Return the report for a JSON file."""
        return {
            "model": self.about["model"],
            "protocol": self.scores.protocol,
            "judge": self.about["judge"],
            "generated": self.scores.generated,
            "real": self.scores.real,
            "left_out": self.scores.left_out,
            "class_shares": self.scores.shares,
            "classes": self.about["classes"],
            "notes": list(self.notes),
            "versions": self.about["versions"],
        }

    def write(self, to_json: Path, to_picture: Path) -> tuple[Path, Path]:
        """Write the record, and a picture of the scores; return both paths."""
        write_json(to_json, self.record())
        score_picture.picture(to_picture, self.scores, self.about["classes"], self.title, self.caption)
        return to_json, to_picture


def score(model: Model, chosen: ScoredData, request: ScoreRequest, say: Say) -> ScoreReport:
    """Score a model on its run's own data. `say` gets a line about each long computation."""
    no_judge = judges.why_no_judge(chosen.train) or judges.why_no_judge(chosen.test)
    judge = _judge_of(chosen, request, say)
    if model.recipe.clusters:
        say(f"finding the run's {model.recipe.clusters} clusters of {len(chosen.train.images):,} images")
    discriminate, why_none = model.discriminator(chosen.train)
    subject = scores.Subject(model.draw, model.latent, model.conditional, discriminate, str(why_none), model.threshold)
    of_data = None if no_judge else judge
    found = scores.measure(subject, chosen.other, chosen.reference, of_data, no_judge, request.options, say)
    if chosen.train.channels_from and judge is not None:
        say(f"drawing {scores.STACKED:,} images, and counting the modes among them")
        labels = chosen.reference.labels if model.conditional else None
        scores.add_modes(found, subject, judge, chosen.reference, labels, request.options.seed)
    by = None if judge is None else _record_of(judge)
    told = f"Judge: {by['text']}." if by else f"No judge: {no_judge}; so the scores that need one are left out."
    about = {
        "model": {
            "recipe": model.name,
            "step": model.step,
            "checkpoint": str(model.checkpoint),
            "dataset": chosen.train.name,
            "train_sha256": chosen.train.sha256,
            "test_sha256": chosen.test.sha256,
        },
        "judge": by,
        "classes": list(chosen.train.classes),
        "versions": runtime.environment(),
    }
    title = f"scores of {model.name} at step {model.step:,}"
    return ScoreReport(found, title, f"{_comparison(found, chosen)} {told}", _notes(model, chosen.train, judge), about)


def _judge_of(chosen: ScoredData, request: ScoreRequest, say: Say) -> Judge | None:
    """Return the judge of the data, or of their channels: the one asked for, or else a stored one, or a new one.

    None if there can be none.
    """
    train, test = _judged(chosen.train, chosen.test, request)
    if request.judge is not None:
        return _named_judge(request.judge, train, test)
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
    command = f"{runtime.python()} -m ms_gan judge"
    if not (folder / judges.FILE).is_file():
        raise UserError(f"{folder}: no judge (no {judges.FILE} in it)", f"train one: {command}")
    judge = judges.load_judge(folder)
    if not judges.fits(judge.about, train, test):
        raise UserError(
            f"{folder}: a judge of other data ({judge.about['data']['name']})",
            "leave out ",
            Setting("judge"),
            f", or train a judge of these data: {command}",
        )
    return judge


def _comparison(found: Scores, chosen: ScoredData) -> str:
    count, split = found.protocol["generated"], chosen.reference.split
    text = (
        f"{count:,} generated images of seed {found.protocol['seed']} against {count:,} {REFERENCES[split]} of "
        f'{chosen.test.name}. The column "real" holds what {count:,} {"other " if split == "train" else ""}training '
        f"images score in their place; for memorisation, and for what the judge reads, the images compared with."
    )
    draws = found.protocol.get("fd_of_real_draws", [])
    if len(draws) > 1:
        text += f" Their Fréchet distance is the mean of {len(draws)} draws, {min(draws):.2f} to {max(draws):.2f}."
    return text


def _record_of(judge: Judge) -> dict[str, Any]:
    correct = judge.about["accuracy_test"]
    name = "kept in memory only" if judge.home is None else judge.home.name
    return {
        "folder": judge.home and str(judge.home),
        "sha256": judge.sha256,
        "accuracy_test": correct,
        "data": judge.about["data"],
        "training": judge.about["training"],
        "text": f"{name} ({judge.sha256[:12]}), which reads {correct['features']:.2%} (features) and "
        f"{correct['classes']:.2%} (class accuracy) of the test split correctly",
    }


def _notes(model: Model, train: ImageData, judge: Judge | None) -> tuple[str, ...]:
    notes = [model.maturity.note()]
    if judge is not None:
        weak = [f"{share:.1%}" for share in judge.about["accuracy_test"].values() if share < judges.TRUSTED]
        if weak:
            notes.append(
                f"a network of this judge reads only {' and '.join(weak)} of the test split correctly: its scores "
                f"compare models on these data, and mean little elsewhere"
            )
        of_judge = judge.about["data"]
        if of_judge["name"] == train.name and of_judge["train_sha256"] != train.sha256:
            notes.append(
                "the judge was trained on another copy of these data: the test split and the training labels are the "
                "same, but training images have other bytes"
            )
    if model.recipe.data.rotate_and_mirror:
        notes.append("the model was trained on turned and mirrored images; scores compare with the images as they are")
    return tuple(note for note in notes if note)
