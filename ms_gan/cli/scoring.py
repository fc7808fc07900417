"""Scores of a trained model, printed and written: `eval --metrics`."""

from __future__ import annotations

import textwrap
import time
from dataclasses import dataclass, replace
from pathlib import Path

from ms_gan import data, runtime
from ms_gan.cli.trained import Trained
from ms_gan.data import ImageData
from ms_gan.errors import UserError
from ms_gan.evaluation import judges, score_picture, scores
from ms_gan.recipes import clusters_of
from ms_gan.training.run_folder import write_json
from ms_gan.training.scoring import hold_out


@dataclass(frozen=True)
class Wanted:
    """What is to be scored, and how: the options of `eval`."""

    seed: int
    against: str  # "test", or "train" to choose by
    judge: str | None  # its folder; None for the one that is found
    cas: bool
    nearest_neighbour: bool
    data_path: str | None

    def compared(self, trained: Trained, train: ImageData, test: ImageData) -> tuple[ImageData, ImageData]:
        """Return training images, and those to compare with: the test split, or others of the training split.

        Those are what the run held out, if anything. Raises UserError for too few.
        """
        if self.against == "test":
            return train, test
        learned, held_out = hold_out(trained.recipe, train, trained.settings["seed"])
        if held_out is not None:
            return learned, replace(held_out, split="held_out")
        return scores.among_training_images(train, test, self.seed)


COMPARED = {"test": "of the test split", "train": "training images", "held_out": "that were held out from training,"}


def refuse(trained: Trained, train: ImageData, test: ImageData, wanted: Wanted) -> None:
    """Raise UserError for what cannot be scored, such as too few images, before anything is drawn or trained."""
    scores.Real.choose(*wanted.compared(trained, train, test), wanted.seed)
    scores.refuse_labelled(trained.labels is not None, train, wanted.cas, wanted.nearest_neighbour)
    if wanted.judge:
        _judge_of(train, test, wanted)


def score(trained: Trained, train: ImageData, test: ImageData, wanted: Wanted, to_json: Path, to_picture: Path) -> None:
    """Score the model on its own data; print the scores, and write them and a picture.

    Raises UserError for a judge of other data.
    """
    started = time.perf_counter()
    no_judge = _why_no_judge(train, test)
    judge = None if no_judge else _judge_of(train, test, wanted)
    other, compared = wanted.compared(trained, train, test)
    if clusters_of(trained.recipe):
        say(f"finding the run's {clusters_of(trained.recipe)} clusters of {len(train.images):,} images")
    found = scores.measure(
        trained.draw,
        trained.recipe["latent"],
        trained.labels is not None,
        other,
        compared,
        wanted.seed,
        judge,
        no_judge,
        *trained.discriminator(train),
        trained.threshold,
        wanted.cas,
        wanted.nearest_neighbour,
        say,
    )
    if train.channels_from:
        say(f"drawing {scores.STACKED:,} images, and counting the modes among them")
        judge = _judge_of(train, test, wanted)
        scores.count_modes(
            found,
            trained.draw,
            trained.recipe["latent"],
            judge,
            compared,
            wanted.seed,
            None if trained.labels is None else compared.labels,
        )
    by = _about(judge) if judge else None
    count = found.protocol["generated"]
    title = f"scores of {trained.recipe['name']} at step {trained.step:,}"
    about = (
        f"{count:,} generated images of seed {wanted.seed} against {count:,} {COMPARED[compared.split]} of "
        f'{test.name}. The column "real" holds what {count:,} {"other " if compared.split == "train" else ""}'
        f"training images score in their place; for memorisation and the judge's reading, those compared with."
    )
    draws = found.protocol.get("fd_of_real_draws", [])
    if len(draws) > 1:
        about += f" Their Fréchet distance is the mean of {len(draws)} draws, {min(draws):.2f} to {max(draws):.2f}."
    told = f"Judge: {by['text']}." if by else f"No judge: {no_judge}; so there are no scores that need one."
    notes = _notes(trained, train, judge)
    print(f"\n{title}\n" + "\n".join(textwrap.wrap(f"{about} {told}", 110)))
    print("\n".join(score_picture.table(found)))
    for name, reason in found.left_out.items():
        print(f"left out: {name}: {reason}")
    for note in notes:
        print(f"note: {note}")
    write_json(
        to_json,
        {
            "model": {
                "recipe": trained.recipe["name"],
                "step": trained.step,
                "checkpoint": str(trained.checkpoint),
                "dataset": train.name,
                "train_sha256": train.sha256,
                "test_sha256": test.sha256,
            },
            "protocol": found.protocol,
            "judge": by,
            "generated": found.generated,
            "real": found.real,
            "left_out": found.left_out,
            "class_shares": found.shares,
            "classes": list(train.classes),
            "notes": notes,
            "versions": runtime.environment(),
        },
    )
    score_picture.picture(to_picture, found, train.classes, title, f"{about} {told}")
    print(to_json)
    print(to_picture)
    say(f"scored in {time.perf_counter() - started:.0f} s")


def say(line: str) -> None:
    """Print a line at once: scoring takes a minute."""
    print(line, flush=True)


def _why_no_judge(train: ImageData, test: ImageData) -> str | None:
    """Say why there can be no judge of these data: it needs a class an image in both splits."""
    return judges.why_no_judge(train) or judges.why_no_judge(test)


def _judge_of(train: ImageData, test: ImageData, wanted: Wanted) -> judges.Judge:
    """Return the judge of the images, or of their channels, that was asked for, or the one that is found.

    Raises UserError for one of other data, or where there can be none.
    """
    if train.channels_from:
        train, test = (data.load(train.channels_from, split, wanted.data_path) for split in ("train", "test"))
    if wanted.judge is None:
        return judges.judge_for(train, test, say)
    no_judge = _why_no_judge(train, test)
    if no_judge:
        raise UserError(f"--judge: {no_judge}; leave it out")
    if not (Path(wanted.judge) / judges.FILE).is_file():
        raise UserError(
            f"--judge {wanted.judge}: no judge ({judges.FILE} is not there); train one: python -m ms_gan judge"
        )
    judge = judges.load_judge(Path(wanted.judge))
    if not judges.fits(judge.about, train, test):
        raise UserError(
            f"{wanted.judge}: a judge of other data ({judge.about['data']['name']}); leave --judge out, or "
            f"train one of these: python -m ms_gan judge"
        )
    return judge


def _about(judge: judges.Judge) -> dict:
    """Say which judge this is, for the record."""
    right = judge.about["accuracy_test"]
    name = "kept in memory alone" if judge.home is None else judge.home.name
    return {
        "folder": judge.home and str(judge.home),
        "sha256": judge.sha256,
        "accuracy_test": right,
        "data": judge.about["data"],
        "training": judge.about["training"],
        "text": f"{name} ({judge.sha256[:12]}), which reads {right['features']:.2%} (features) and "
        f"{right['classes']:.2%} (class accuracy) of the test split rightly",
    }


def _notes(trained: Trained, train: ImageData, judge) -> list:
    notes = [trained.maturity.note()] if trained.maturity.note() else []
    if judge is not None:
        weak = [f"{share:.1%}" for share in judge.about["accuracy_test"].values() if share < judges.TRUSTED]
        if weak:
            notes.append(
                f"a network of this judge reads only {' and '.join(weak)} of the test split rightly, so its "
                f"scores compare models on these data, and mean little beside others"
            )
        if judge.about["data"]["train_sha256"] != train.sha256:
            notes.append(
                "the judge was trained on another copy of these data: the same test split and training "
                "labels, training images with other bytes"
            )
    if trained.recipe["data"]["rotate_and_mirror"]:
        notes.append("the model was trained on turned and mirrored images; scores compare with the images as they are")
    return notes
