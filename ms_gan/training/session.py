"""A run while it trains: a new one, or one that goes on where it stood."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from ms_gan import runtime, signals
from ms_gan.data.changes import Fingerprint, copies
from ms_gan.data.description import ImageData, NoTestSplit
from ms_gan.errors import Interrupted, Setting, UserError
from ms_gan.evaluation import plots
from ms_gan.nets.unit_range import UnitRangeGenerator
from ms_gan.randomness import random_stream
from ms_gan.recipes.build import build_batches, build_step, knows_clusters, match_cluster_shares
from ms_gan.runs.checkpoints import load_cells, read_state
from ms_gan.runs.history import History, diverged
from ms_gan.runs.provenance import DataSource, Provenance
from ms_gan.runs.run_folder import RunFolder, find_checkpoint, load_recorded, validation_split
from ms_gan.runs.settings import RunSettings, refuse_changes
from ms_gan.runs.state import State
from ms_gan.sampling import Inputs, draw_images
from ms_gan.steps.ema import begin_ema, with_ema
from ms_gan.training import notes
from ms_gan.training.kernels import as_chosen, choose_kernels
from ms_gan.training.loop import Loop, Observer, across_devices, require_same_run, same_weights
from ms_gan.training.observers import PretrainingProgress, Record, observers_of
from ms_gan.training.progress import Progress
from ms_gan.training.request import ResumeRequest, TrainRequest
from ms_gan.training.stop_signals import StopSignals
from ms_gan.training.validation import STEPS_BETWEEN_LOOKS, ValidationScorer, spaced

REAL_SHOWN = 25


class Session:
    """A run on one of its devices. A new run is one that goes on from step 0.

    Make one with `Session.new` or `Session.open`; then `train` it, once.

    Attributes:
        settings: of the run.
        provenance: where its data came from, and its starts so far.
        state: where it stands when the session begins.
        device: what it trains on.
        images, held_out: the images to train on, and the validation images, if any.
        step, batches: what trains, and which images each step sees.
        kernels: what computes the step's layers, as it is recorded.
        steps_per_epoch: how many steps make an epoch.
        look_every: after how many steps there is a sample sheet, a line and a checkpoint.
        drawing_generator: the generator, whose images are in [0, 1].
        command: what was typed, for the record.
        tensorboard: whether files for TensorBoard are written.
        record: what the first device writes; the others have none.
    """

    record: Record

    def __init__(
        self,
        settings: RunSettings,
        provenance: Provenance,
        images: ImageData,
        device: runtime.Device,
        state: State,
        command: tuple[str, ...],
        tensorboard: bool = False,
    ):
        self.tensorboard = tensorboard
        recipe, seed = settings.recipe, settings.seed
        require_same_run(device, settings, state.step)
        self.provenance, self.device, self.state, self.command = provenance, device, state, command
        self.images, self.held_out = validation_split(settings, images)
        if device.rank == 0 and recipe.clusters:  # it takes some seconds
            print(f"finding {recipe.clusters} clusters of {len(self.images.images):,} images", flush=True)
        self.step = build_step(recipe, self.images, seed, device.count)
        self.kernels = choose_kernels(self.step, device, provenance.starts, settings.precision)
        images_per_step = self.step.images_per_step * device.count
        try:
            self.batches, self.steps_per_epoch = build_batches(recipe, self.step.data.count, images_per_step, seed)
        except UserError as error:  # what was left out may be why the images are too few
            noted = f" ({'; '.join(images.notes)})" if images.notes else ""
            raise UserError(error.problem + noted, *error.mend) from error
        self.settings = settings.lasting(self.steps_per_epoch)
        self.look_every = spaced(self.steps_per_epoch, STEPS_BETWEEN_LOOKS)
        self.drawing_generator = UnitRangeGenerator(self.step.drawing(), recipe.data.pixel_range)

    @classmethod
    def new(cls, request: TrainRequest, images: ImageData | None = None) -> Session:
        """Begin a run. `images` are those to train on; by default they are loaded as the request says.

        Raises UserError, before a folder is made, for images or settings that do not go together.
        """
        precision = request.device.precision or "float32"
        device = runtime.set_up(request.device.target, request.device.id, runtime.launched(), precision)
        images, instead_of = request.load_images() if images is None else (images, None)
        settings = replace(request.settings(images), device_target=device.target, device_num=device.count)
        data = settings.recipe.data
        images.require(data.size, data.channels, data.classes, data.max_tags)
        test_split = images.test_split_up_to, tuple(images.test_split_but)
        source = DataSource(request.data.place, request.data.skip_unreadable, images.source, instead_of, *test_split)
        session = cls(
            settings,
            Provenance(source),
            images,
            device,
            State.beginning(settings),
            request.command,
            request.tensorboard,
        )
        warned = session._take_weights(request.warm_start) if request.warm_start else []
        if device.rank > 0:
            return session
        scorer, test = session._scorer(images)
        prints = Fingerprint.of(images)
        run = RunFolder.create(request.output_dir, session.settings, session.provenance, prints, request.recipe_file)
        run.lock()
        order = random_stream(settings.seed, "real images").permutation(len(images.images))
        shown = images.images[order[:REAL_SHOWN]]
        plots.sheet(run.real_png, shown, 5, "training images", images.called)
        session._write_to(run, scorer)
        as_fine = test
        if test is not None and images.images.shape[-1] > data.size and prints.files:  # copies are of one size
            as_fine = load_recorded(settings, session.provenance, "test")
        twice = notes.of_copies(*copies(prints.files or {}, images, as_fine))
        for line in [*notes.of_new_run(session, images, test), *twice, *warned]:
            session.say(line)
        return session

    @classmethod
    def open(cls, request: ResumeRequest) -> Session:
        """Go on with a run, to the end of its schedule or to a longer one, as if it had never stopped.

        Raises UserError for settings in the request that differ from the run's, other than its length, and for data
        that are not byte for byte the run's, and for a run that needs more processes. Then the run stays as
        it was.
        """
        run = RunFolder.open(request.path)
        if runtime.rank() == 0:
            run.lock()
        try:
            return cls._of(run, request)
        except BaseException:
            run.unlock()
            raise

    @classmethod
    def _of(cls, run: RunFolder, request: ResumeRequest) -> Session:
        """Go on with a run that is locked."""
        settings = run.read_settings()
        state, weights = run.read_newest_state(settings)
        refuse_changes(state.settings, settings, f"{run.settings_file} says")
        refuse_changes(settings, request.applied_to(settings), "the command says")
        count = request.device.count or settings.device_num
        if count > 1 and not runtime.launched():
            raise UserError(f"{run.path}: is trained on {count} devices", "go on with it from the command line")
        target = settings.device_target if request.device.target == "auto" else request.device.target
        device = runtime.set_up(target, request.device.id, runtime.launched(), settings.precision)
        on_device = replace(settings, device_target=device.target, device_num=device.count)
        refuse_changes(settings, on_device, "the device is")
        provenance = run.read_provenance()
        with _nothing_left_out():
            images = load_recorded(settings, provenance, "train", request.data.path)
        run.require_own(images, settings)
        if request.data.path:  # the data have moved
            moved = replace(provenance.data, path=request.data.place, source=images.source)
            provenance = replace(provenance, data=moved)
        session = cls(on_device, provenance, images, device, state, request.command, request.tensorboard)
        session.settings = on_device.lasting(session.steps_per_epoch, request.epochs, request.steps)
        require_same_run(device, session.settings, state.step)
        if session.settings.steps < state.step:
            beyond = f"step {state.step:,}, which is beyond step {session.settings.steps:,}"
            longer = ("give more ", Setting("epochs"), " or ", Setting("steps"))
            raise UserError(f"{run.path}: already at {beyond}", *longer)
        if weights is not None:
            load_cells(weights, session.step.saved())
            if not session._knows_clusters():
                raise UserError(
                    f"{run.path}: its images fall into other clusters than when it began",
                    "go on with the versions of numpy and ms_gan that its provenance.json names",
                )
        if device.rank > 0:
            return session
        with _nothing_left_out():
            scorer, _ = session._scorer(images)
        session._write_to(run, scorer)
        for line in notes.of_resumed_run(session):
            session.say(line)
        return session

    @property
    def run(self) -> RunFolder:
        """The run's folder; only on the first device."""
        return self.record.folder

    def say(self, line: str) -> None:
        """Tell the user, and the log."""
        self.record.progress.say(line)

    def looks_at(self, done: int) -> bool:
        """Return whether there is a sample sheet, a line and a checkpoint after step number `done`."""
        return done % self.look_every == 0 or done == self.settings.steps

    def draw(self, inputs: Inputs, done: int) -> np.ndarray:
        """Return the images that the generator draws after step number `done`, float32 in [0, 1], N×C×H×W.

        It draws in inference mode; training goes on as if nothing had been drawn. Raises UserError for images that are
        not finite.
        """
        self.drawing_generator.set_train(False)
        images = draw_images(self.drawing_generator, inputs)
        self.step.set_train(True)
        if not np.isfinite(images).all():
            raise diverged(f"the images that G draws after step {done:,} are not finite")
        return images

    def train(self) -> None:
        """Train to the end of the schedule.

        SIGINT, SIGTERM and SIGHUP let the step end; all is saved, and then Interrupted is raised. Raises UserError if
        the training diverges, and OSError if nothing can be written.
        """
        self.step.set_train(True)
        if self.device.rank > 0:
            signals.ignore()  # the end of the first device's process ends the others
            self._run(Loop(self.step, self.batches, self.device, self.settings.seed), [], [])
            return
        versions = {**runtime.environment(), **self.kernels}
        self.provenance = self.provenance.started(self.state.step, str(self.device), self.command, versions)
        self.run.write(self.settings, self.provenance)
        try:
            self._train_watched()
        finally:
            self.run.unlock()
        runtime.give_back_memory()  # what pictures took, before the end of the process takes as much
        self.say(f"done: {self.settings.steps:,} steps; pictures and checkpoints in {self.run.path}")

    def _train_watched(self) -> None:
        stop = self.record.signals
        loop = Loop(self.step, self.batches, self.device, self.settings.seed, stop.asked)
        observers = observers_of(self)
        with stop.listening():
            try:
                done = self._run(loop, [PretrainingProgress(self)], observers)
            finally:
                self.record.progress.end()
            if done is not None:
                with stop.busy("the last picture"):
                    for observer in observers:
                        observer.at_end(done)
        if stop.number is not None and (done is None or done < self.settings.steps):
            self.say(f"stopped {'in the pretraining' if done is None else f'after step {done:,}'}; all is saved")
            raise Interrupted(stop.number, self.run.path)

    def _run(self, loop: Loop, before: list[Observer], observers: list[Observer]) -> int | None:
        """Run the pretraining, watched by `before`, and the steps; return how many steps are done.

        None stands for a pretraining that a signal broke off.
        """
        first, pretrained = self.state.step, self.state.prepared
        self._require_same_weights("begin with", "have the same run, or warm start, on all machines")
        if pretrained is not None:
            count = self.step.pretraining_steps
            if count > pretrained:
                cell = across_devices(self.step.pretraining(), self.device)
                pretrained = loop.run(cell, "preparation", pretrained, count, before)
                if loop.stopped():
                    for observer in before:
                        observer.at_end(pretrained)
                    return None
            for name, average in self.step.ema.items():  # the weights are pretrained now, or another run's
                begin_ema(getattr(self.step, name), average)
            for observer in observers:
                observer.at_start()
        cell = as_chosen(with_ema(across_devices(self.step, self.device), self.step, first), self.kernels)
        done = loop.run(cell, "step", first, self.settings.steps, observers)
        if done == self.settings.steps:  # where a signal ends it, only the first device knows
            self._require_same_weights("end with", "do not trust this run, and have the machines looked at")
            if self.device.count > 1 and self.device.rank == 0:
                self.say(f"all {self.device.count} devices hold the same weights, byte for byte")
        return done

    def _require_same_weights(self, when: str, mend: str) -> None:
        """Raise UserError, on all devices, unless they hold the same weights."""
        if self.device.count > 1 and not same_weights(self.device, self.step.saved().values()):
            raise UserError(f"the devices {when} different weights", mend)

    def _take_weights(self, place: str) -> list[str]:
        """Begin with the networks of a run or a checkpoint; return what the user should know about them."""
        checkpoint, _ = find_checkpoint(place)
        state = read_state(checkpoint)
        load_cells(checkpoint, {name: getattr(self.step, name) for name in self.step.networks})
        origin = f"{state.settings.recipe.name} at step {state.step}"
        self.settings = replace(self.settings, warm_start=origin)
        count = self.step.pretraining_steps
        self.state = replace(self.state, initial_share=0.0, prepared=count)  # they are not pretrained once more
        said = [f"note: no pretraining: the networks begin as those of {origin}"] if count else []
        known = self._knows_clusters()
        match_cluster_shares(self.step.generator, self.step.data, self.settings.recipe)
        return [
            *said,
            *([] if known else ["note: these images make other clusters than those that the warm start knows"]),
        ]

    def _knows_clusters(self) -> bool:
        """Return whether the images fall into the clusters that the generator's weights belong to, if it has any."""
        recipe = self.settings.recipe
        return not recipe.clusters or knows_clusters(self.step.generator, self.step.data.all_labels, recipe)

    def _scorer(self, images: ImageData) -> tuple[ValidationScorer, ImageData | None]:
        """Return what scores the generator on the way, and the test split, if it is needed.

        It is where a score is due, to know which judge belongs to the data, and for the notes about a new folder.
        """
        settings, done = self.settings, self.state.step
        scorer = ValidationScorer(settings.recipe, self.images, self.held_out, settings.seed, self.steps_per_epoch)
        due = bool(scorer.columns) and settings.steps // scorer.every > done // scorer.every
        if not due and (done or settings.dataset != "folder"):
            return scorer, None
        try:
            test = load_recorded(settings, self.provenance, "test", rotate_and_mirror=False)
        except NoTestSplit as error:
            if not scorer.columns:
                return scorer, None
            if not done:
                raise
            raise UserError(error.problem, "a run that is scored on the way needs them: put them back") from error
        scorer.prepare(images, test)
        return scorer, test

    def _write_to(self, folder: RunFolder, scorer: ValidationScorer) -> None:
        """Open the run's history and log, and cut the history back to where the run stands."""
        folder.samples.mkdir(exist_ok=True)
        scalars = self.step.scalars
        history = History(folder.history_file, scalars, self.steps_per_epoch, scorer.columns)
        if history.scores != scorer.columns:
            scorer.give_none("the run began without them")
        history.start(self.state.step, self.state.pending, scorer.every if scorer.columns else 0)
        progress = Progress(folder.log_file, scalars, self.steps_per_epoch)
        self.record = Record(folder, history, progress, scorer, StopSignals())


@contextlib.contextmanager
def _nothing_left_out() -> Iterator[None]:
    """Turn the advice to leave unreadable images out into one to put them back: a resumed run keeps its data."""
    try:
        yield
    except UserError as error:
        if Setting("skip_unreadable") not in error.mend:
            raise
        raise UserError(error.problem, "put the run's own images back") from error
