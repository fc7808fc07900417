"""A run while it trains: a new one, or one that goes on where it stood."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from ms_gan import runtime
from ms_gan.data.changes import fingerprint, what_changed
from ms_gan.data.description import ImageData, NothingHeldOut
from ms_gan.errors import Setting, UserError
from ms_gan.evaluation import plots
from ms_gan.nets.unit_range import UnitRangeGenerator
from ms_gan.randomness import random_stream
from ms_gan.recipes.build import build_sampler, build_step
from ms_gan.runs import commands, fitting
from ms_gan.runs.checkpoints import load_cells, read_state
from ms_gan.runs.diverged import diverged
from ms_gan.runs.history import History
from ms_gan.runs.provenance import DataSource, Provenance, Start
from ms_gan.runs.run_folder import RunFolder, find_checkpoint, load_recorded, validation_split
from ms_gan.runs.settings import RunSettings, refuse_changes
from ms_gan.runs.state import State
from ms_gan.sampling import Inputs, draw_images
from ms_gan.steps.ema import with_ema
from ms_gan.training import notes
from ms_gan.training.loop import Loop, Observer, across_devices
from ms_gan.training.observers import Preparation, Record, observers_of
from ms_gan.training.progress import Progress
from ms_gan.training.request import ResumeRequest, TrainRequest
from ms_gan.training.same_data import require_same
from ms_gan.training.signals import Interrupted, StopSignals, ignore_signals
from ms_gan.training.validation import STEPS_BETWEEN_LOOKS, ValidationScorer

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
        steps_per_epoch: how many steps make an epoch.
        look_every: after how many steps there is a sample sheet, a line and a checkpoint.
        sampler: the generator, whose images are in [0, 1].
        command: what was typed, for the record.
    """

    def __init__(
        self, settings: RunSettings, provenance: Provenance, images: ImageData, device: runtime.Device, state: State
    ):
        recipe, seed = settings.recipe, settings.seed
        require_same(device, images.sha256)
        self.provenance, self.device, self.state = provenance, device, state
        self.images, self.held_out = validation_split(settings, images)
        if device.rank == 0:
            fitting.announce(recipe, self.images)
        self.step = build_step(recipe, self.images, seed, device.count)
        images_per_step = self.step.images_per_step * device.count
        self.batches, self.steps_per_epoch = build_sampler(recipe, self.step.data.count, images_per_step, seed)
        self.settings = settings.lasting(self.steps_per_epoch)
        self.look_every = -(-STEPS_BETWEEN_LOOKS // self.steps_per_epoch) * self.steps_per_epoch
        self.sampler = UnitRangeGenerator(self.step.drawing(), recipe.data.pixel_range)
        self.command: tuple[str, ...] = ()
        self._record: Record | None = None

    @classmethod
    def new(cls, request: TrainRequest, images: ImageData | None = None) -> Session:
        """Begin a run. `images` are those to train on; by default they are loaded as the request says.

        Raises UserError, before a folder is made, for images or settings that do not go together.
        """
        device = runtime.set_up(request.device_target, request.device_id, runtime.launched())
        images, instead_of = request.load_images() if images is None else (images, None)
        settings = replace(request.settings(images), device_target=device.target, device_num=device.count)
        data = settings.recipe.data
        images.require(data.size, data.channels, data.classes, data.max_tags)
        source = DataSource.of(images, request.data_path, request.skip_unreadable, instead_of)
        session = cls(settings, Provenance(source), images, device, State.beginning(settings))
        session.command = request.command
        warned = session._take_weights(request.warm_start) if request.warm_start else None
        if device.rank > 0:
            return session
        scorer, test = session._scorer(images)
        about, own = fingerprint(images), request.recipe_file
        run = RunFolder.create(request.output_dir, session.settings, session.provenance, about, own)
        run.lock()
        session._draw_real(run, images)
        session._write_to(run, scorer)
        for line in [*notes.of_new_run(session, images), *notes.limits(session, test), *filter(None, [warned])]:
            session.say(line)
        return session

    @classmethod
    def open(cls, request: ResumeRequest) -> Session:
        """Go on with a run, to the end of its schedule or to a longer one, as if it had never stopped.

        Raises UserError for settings in the request that differ from the run's, other than its length, and for data
        that are not byte for byte the run's. Then the run stays as it was.
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
        target = request.device_target or settings.device_target
        device = runtime.set_up(target, request.device_id, runtime.launched())
        on_device = replace(settings, device_target=device.target, device_num=device.count)
        refuse_changes(settings, on_device, "the device is")
        provenance = run.read_provenance()
        images = load_recorded(settings, provenance, "train", request.data_path)
        _require_same_images(settings, images, run)
        if request.data_path:  # the data have moved
            path = str(Path(request.data_path).absolute())
            provenance = replace(provenance, data=replace(provenance.data, path=path, source=images.source))
        session = cls(settings, provenance, images, device, state)
        session.command = request.command
        session.settings = settings.lasting(session.steps_per_epoch, request.epochs, request.steps)
        session._require_steps_left(run)
        if weights is not None:
            load_cells(weights, session.step.saved())
            fitting.require_fit(session.step, settings.recipe, run.path)
        if device.rank > 0:
            return session
        scorer, _ = session._scorer(images)
        session._write_to(run, scorer)
        for line in notes.of_resumed_run(session, run):
            session.say(line)
        return session

    @property
    def record(self) -> Record:
        """What the first device writes; the others have none."""
        assert self._record is not None, "only the first device writes"
        return self._record

    @property
    def run(self) -> RunFolder:
        """The run's folder; only on the first device."""
        return self.record.folder

    @property
    def name(self) -> str:
        """The recipe's name."""
        return self.settings.recipe.name

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
        self.sampler.set_train(False)
        images = draw_images(self.sampler, inputs)
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
        if self._record is None:
            ignore_signals()
            self._run(Loop(self.step, self.batches, self.device, self.settings.seed), [], [])
            return
        folder = self.record.folder
        start = Start.now(self.state.step, self.device, self.command)
        self.provenance = self.provenance.started(start)
        folder.write(self.settings, self.provenance)
        try:
            self._train_watched(self.record)
        finally:
            folder.unlock()
        self.say(f"done: {self.settings.steps:,} steps; pictures and checkpoints in {folder.path}")

    def _train_watched(self, record: Record) -> None:
        signals = record.signals
        loop = Loop(self.step, self.batches, self.device, self.settings.seed, signals.asked)
        observers = observers_of(self)
        with signals:
            try:
                done = self._run(loop, [Preparation(self)], observers)
            finally:
                record.progress.end()
            if done is not None:
                with signals.busy("the last picture"):
                    for observer in observers:
                        observer.at_end(done)
        if signals.number is not None and (done is None or done < self.settings.steps):
            where = "in the preparation" if done is None else f"after step {done:,}"
            self.say(f"stopped {where}; all is saved; to go on: {commands.resume(self.run.path)}")
            raise Interrupted(signals.number)

    def _run(self, loop: Loop, before: list[Observer], observers: list[Observer]) -> int | None:
        """Run the preparation, watched by `before`, and the steps; return how many steps are done.

        None stands for a preparation that a signal broke off.
        """
        first, prepared = self.state.step, self.state.prepared
        if prepared is not None:
            cell, count = self.step.preparation()
            if cell is not None and count:
                loop.run(across_devices(cell, self.device), "preparation", prepared, count, before)
                if loop.stopped():
                    return None
            for observer in observers:
                observer.at_start()
        cell = with_ema(across_devices(self.step, self.device), self.step, first)
        return loop.run(cell, "step", first, self.settings.steps, observers)

    def _take_weights(self, place: str) -> str | None:
        """Begin with the networks of a run or a checkpoint; return what the user should know about them."""
        checkpoint, _ = find_checkpoint(place)
        state = read_state(checkpoint)
        load_cells(checkpoint, {name: getattr(self.step, name) for name in self.step.networks})
        origin = f"{state.settings.recipe.name} at step {state.step}"
        self.settings = replace(self.settings, warm_start=origin)
        return fitting.adopt_weights(self.step, self.settings.recipe)

    def _require_steps_left(self, folder: RunFolder) -> None:
        if self.settings.steps < self.state.step:
            beyond = f"step {self.state.step:,}, which is beyond step {self.settings.steps:,}"
            more = ("give more ", Setting("epochs"), " or ", Setting("steps"))
            raise UserError(f"{folder.path}: already at {beyond}", *more)

    def _scorer(self, images: ImageData) -> tuple[ValidationScorer, ImageData | None]:
        """Return what scores the generator on the way, and the test split, if it is needed."""
        scorer = ValidationScorer(
            self.settings.recipe, self.images, self.held_out, self.settings.seed, self.steps_per_epoch
        )
        test = self._test_split(scorer)
        scorer.prepare(images, test)
        return scorer, test

    def _test_split(self, scorer: ValidationScorer) -> ImageData | None:
        """Load the test split if a score is due: to know which judge belongs to the data. Also of a new folder."""
        done, steps = self.state.step, self.settings.steps
        looked_at = done == 0 and self.settings.dataset == "folder"
        if not looked_at and (not scorer.columns or steps // scorer.every == done // scorer.every):
            return None
        try:
            return load_recorded(self.settings, self.provenance, "test", rotate_and_mirror=False)
        except NothingHeldOut as error:
            if not scorer.columns:
                return None
            raise UserError(error.problem, "a run that is scored on the way needs them: put them back") from error

    def _write_to(self, folder: RunFolder, scorer: ValidationScorer) -> None:
        """Open the run's history and log, and cut the history back to where the run stands."""
        folder.samples.mkdir(exist_ok=True)
        scalars = self.step.scalars
        recorded, first_scored = History(folder.history_file, scalars, self.steps_per_epoch).recorded()
        columns, every = scorer.keep_to(recorded, first_scored)
        history = History(folder.history_file, scalars, self.steps_per_epoch, columns, every)
        history.start(self.state.step, self.state.pending)
        progress = Progress(folder.log_file, scalars, self.steps_per_epoch)
        self._record = Record(folder, history, progress, scorer, StopSignals())

    def _draw_real(self, folder: RunFolder, images: ImageData) -> None:
        order = random_stream(self.settings.seed, "real images").permutation(len(images.images))
        shown = images.images[order[:REAL_SHOWN]]
        plots.sheet(folder.real_png, shown, 5, f"training images of {images.name}", images.source)


def _require_same_images(settings: RunSettings, images: ImageData, folder: RunFolder) -> None:
    if images.sha256 != settings.data_sha256:
        changed = what_changed(folder.read_fingerprint(), images)
        back = ("put them back, name the run's own with ", Setting("data_path"), ", or start a new run")
        raise UserError(f"{images.called}: not the images that the run began with: {changed}", *back)
