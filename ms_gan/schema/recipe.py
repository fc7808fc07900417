"""A recipe: everything that makes a training what it is, as one frozen value."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from ms_gan.errors import UserError, shown
from ms_gan.schema.fields import REQUIRED, Rule, Settings, WrongSetting, choice, flag, interval, number, rules, whole
from ms_gan.schema.hints import nearest, no_setting

LARGEST = 2**31 - 1
SMALLEST_BATCH = 4  # BatchNorm needs a variance, also in half a batch
DATASETS = ("mnist", "digits", "pizza", "folder", "stacked_mnist", "stacked_digits", "arrays", "idx")
DISTRIBUTIONS = {
    "normal": "independent standard normal, N(0, 1)",
    "uniform": "independent uniform, U(-1, 1)",
    "sphere": "uniform on the unit sphere: standard normal, divided by its Euclidean norm",
}
SAMPLINGS = ("epochs", "continuous", "replacement")


@dataclass(frozen=True)
class Data(Settings):
    """What images a recipe is for."""

    dataset: str = choice("mnist", DATASETS, "the data set that is taken where none is named")
    fallback: str = choice("digits", DATASETS, "what stands in where that cannot be fetched")
    size: int = whole(28, "height and width in pixels", least=1, most=LARGEST)
    channels: int = choice(1, (1, 3), "1 (grey) or 3 (colour)")
    classes: int = whole(0, "classes, or tags, that the generator is asked for; 0: none", least=0, most=LARGEST)
    max_tags: int = whole(0, "the most tags of one image; 0: each image has one class", least=0, most=LARGEST)
    clusters: int = whole(0, "clusters that stand for classes where there are none; 0: none", least=0, most=1000)
    pixel_range: tuple[float, float] = interval((-1.0, 1.0), "black and white as networks see them")
    rotate_and_mirror: bool = flag(False, "turn each image by any degrees, and mirror it, at random; blurs a little")
    quarter_turns: bool = flag(False, "turn each image by quarter turns, and mirror it, at random; exact")
    mirror: bool = flag(False, "mirror each image left to right, at random; exact")

    def check(self) -> None:
        """Refuse what does not go together."""
        black, white = self.pixel_range
        if black == white:
            raise WrongSetting("pixel_range", "must have a low end that is below its high end")
        if self.quarter_turns and self.rotate_and_mirror:
            raise WrongSetting("quarter_turns", "must be False where data.rotate_and_mirror is True, which turns more")
        if self.mirror and (self.quarter_turns or self.rotate_and_mirror):
            raise WrongSetting("mirror", "must be False where images are turned, since they are mirrored then, too")
        if self.classes == 1 and not self.max_tags:
            raise WrongSetting("classes", "must be 0 for none, or at least 2, not 1")
        if self.clusters == 1:
            raise WrongSetting("clusters", "must be 0 for none, or at least 2, not 1")
        if self.max_tags and not self.classes:
            raise WrongSetting("max_tags", "says how many of data.classes tags an image has, and there are none")

    @property
    def changed(self) -> str:
        """What happens to images at random: "turned and mirrored", "mirrored", or nothing, ""."""
        if self.rotate_and_mirror or self.quarter_turns:
            return "turned and mirrored"
        return "mirrored" if self.mirror else ""


@dataclass(frozen=True)
class Latent(Settings):
    """What images are generated from."""

    size: int = whole(100, "numbers in a latent", least=1, most=LARGEST)
    distribution: str = choice("normal", tuple(DISTRIBUTIONS), "what each latent is drawn from")


@dataclass(frozen=True)
class Adam(Settings):
    """The optimizer of one network (Kingma and Ba 2015)."""

    learning_rate: float = number(2e-4, "0 holds the weights still", least=0)
    decay_rate: float = number(1.0, "what the learning rate is multiplied by, once in decay_steps", above=0)
    decay_steps: int = whole(1, "updates in which it is multiplied once", least=1, most=LARGEST)
    beta1: float = number(0.9, "decay of the mean of gradients", least=0, below=1)
    beta2: float = number(0.999, "decay of the mean of squared gradients", least=0, below=1)
    epsilon: float = number(1e-8, "added to the root in the denominator", above=0)

    def check(self) -> None:
        """Refuse a decay_rate without decay_steps: after some hundred updates nothing would be learned."""
        if self.decay_steps == 1 and self.decay_rate < 0.9:
            fault = f"{self.decay_rate} would multiply the learning rate at each update, as decay_steps is 1"
            raise WrongSetting("decay_rate", fault, "set decay_steps to the number of updates in which it falls so far")


@dataclass(frozen=True)
class EMA(Settings):
    """The exponential moving average of the weights, which draws."""

    decay: float = number(0.0, "how much of it an update keeps; 0: no average is kept", least=0, below=1)


@dataclass(frozen=True)
class Scores(Settings):
    """Scores on the way, against training images, or against those that are held out, if any are."""

    every_epochs: int = whole(0, "epochs between two scores; 0: none", least=0, most=LARGEST)
    images: int = whole(2000, "images that are generated for a score", least=100, most=LARGEST)
    held_out: int = whole(0, "training images kept for validation", least=0, most=LARGEST)


@dataclass(frozen=True)
class Schedule(Settings):
    """Which images a step sees, and how many steps there are."""

    epochs: int = whole(REQUIRED, "how long a training is", least=1, most=LARGEST)
    batch_size: int = whole(128, "images in a batch, over all devices", least=SMALLEST_BATCH, most=LARGEST)
    sampling: str = choice("epochs", SAMPLINGS, "each image once an epoch, in one long queue, or with replacement")
    steps_per_epoch: int = whole(0, "steps in an epoch; 0: as many as the sampling makes", least=0, most=LARGEST)


@dataclass(frozen=True)
class Sheet(Settings):
    """The grid of samples that a run draws at ends of epochs, at least 100 steps apart."""

    rows: int = whole(5, "rows of samples", least=1, most=100)
    columns: int = whole(5, "columns of samples", least=1, most=100)
    above_real: bool = flag(False, "show real images of the same labels below")


SECTIONS = {"data": Data, "latent": Latent, "ema": EMA, "scores": Scores, "schedule": Schedule, "sheet": Sheet}


@dataclass(frozen=True)
class Recipe:
    """A published system, or one of your own.

    A recipe file says what its system says; everything else has a default. Settings have dotted names, such as
    `data.size`, `generator.widths`, `optimizer_generator.learning_rate` and `updates.gamma`.

    Args:
        name: what runs of it are called.
        summary: one line for the list of recipes.
        family: how an update goes; see `ms_gan.recipes.registry`.
        networks: the settings of each network, by "generator", "discriminator", "encoder".
        optimizers: the Adam of each, by the same names.
        updates: the settings of the family.
        data, latent, ema, scores, schedule, sheet: the sections.

    Raises UserError for a part that is not of its type. Whether the parts are those of the family, `recipes.check`
    tells.
    """

    name: str
    summary: str
    family: str
    networks: Mapping[str, Settings] = field(hash=False)
    optimizers: Mapping[str, Adam] = field(hash=False)
    updates: Settings
    schedule: Schedule
    data: Data = Data()
    latent: Latent = Latent()
    ema: EMA = EMA()
    scores: Scores = Scores()
    sheet: Sheet = Sheet()

    def __post_init__(self) -> None:
        require_title(self.name, self.summary)
        for part, kind in {"updates": Settings, **SECTIONS}.items():
            given = getattr(self, part)
            if not isinstance(given, kind):
                raise UserError(f"recipe {self.name}: {part} must be of {kind.__name__}, not {shown(given)}")
        for part, kind in {"networks": Settings, "optimizers": Adam}.items():
            given = getattr(self, part)
            if not isinstance(given, Mapping) or not all(isinstance(each, kind) for each in given.values()):
                raise UserError(
                    f"recipe {self.name}: {part} must be a dictionary of {kind.__name__}, not {shown(given)}"
                )
            object.__setattr__(self, part, MappingProxyType(dict(given)))  # nobody changes it from outside

    def __reduce__(self) -> tuple[Any, ...]:  # to be copied and pickled, which a MappingProxyType cannot be
        parts = (getattr(self, each.name) for each in dataclasses.fields(self))
        return type(self), tuple(dict(each) if isinstance(each, MappingProxyType) else each for each in parts)

    @property
    def clusters(self) -> int:
        """Into how many clusters images are put, which stand for classes; 0 for none, as where there are classes."""
        return 0 if self.data.classes else self.data.clusters

    def sections(self) -> Iterator[tuple[str, Settings]]:
        """Give each section with its name, in the order in which a recipe is printed."""
        yield "data", self.data
        yield "latent", self.latent
        yield from self.networks.items()
        yield from ((f"optimizer_{name}", adam) for name, adam in self.optimizers.items())
        yield "updates", self.updates
        yield from ((name, getattr(self, name)) for name in ("ema", "scores", "schedule", "sheet"))

    def settings(self) -> dict[str, Any]:
        """Return every setting by its dotted name, such as `generator.batch_norm.momentum`."""
        return {key: value for name, part in self.sections() for key, _, value in flat(part, f"{name}.")}

    def rule(self, key: str) -> Rule:
        """Return the Rule of a setting, by its dotted name.

        Raises UserError for a setting that this recipe does not have, with what was probably meant.
        """
        known = {each: rule for name, part in self.sections() for each, rule, _ in flat(part, f"{name}.")}
        if key not in known:
            raise no_setting(self.name, key, known)
        return known[key]

    def but(
        self, changes: Mapping[str, Any] | None = None, name: str | None = None, summary: str | None = None
    ) -> Recipe:
        """Return the recipe with some settings changed, by their dotted names.

        Raises UserError for a setting that it does not have, and for a value that cannot be.
        """
        values: dict[str, Any] = {section: dataclasses.asdict(part) for section, part in self.sections()}  # type: ignore[call-overload]
        for key, value in (changes or {}).items():
            self.rule(key)
            *path, last = key.split(".")
            place = values
            for step in path:
                place = place[step]
            place[last] = value
        where = f"recipe {name or self.name}: "
        parts = {each: build_settings(type(part), values[each], f"{where}{each}.") for each, part in self.sections()}
        return Recipe(
            name or self.name,
            summary or self.summary,
            self.family,
            {key: parts[key] for key in self.networks},
            {key: parts[f"optimizer_{key}"] for key in self.optimizers},
            parts["updates"],
            **{key: parts[key] for key in SECTIONS},
        )


def flat(part: Any, of: str = "") -> Iterator[tuple[str, Rule, Any]]:
    """Give each setting of a section: its dotted name, behind `of`, its Rule, and its value."""
    for name, rule in rules(type(part)).items():
        value = getattr(part, name)
        if rule.of:
            yield from flat(value, f"{of}{name}.")
        else:
            yield f"{of}{name}", rule, value


def build_settings(kind: type, given: Mapping[str, Any], where: str) -> Any:
    """Return a dataclass of settings made of JSON-like values, its sections too.

    `where` stands in front of a setting's name in an error, such as "recipe mlp: generator.". Raises UserError for
    a setting that is unknown, missing, or out of its range.
    """
    known, values = rules(kind), dict(given)
    fields = dataclasses.fields(kind)
    require_names(
        given, known, [each.name for each in fields if each.default is each.default_factory is REQUIRED], where
    )
    for name, rule in known.items():
        if rule.of and isinstance(given.get(name), Mapping):
            values[name] = build_settings(rule.of, given[name], f"{where}{name}.")
    try:
        return kind(**values)
    except WrongSetting as error:
        raise UserError(f"{where}{error.name} {error.fault}", *error.mend) from error


def require_names(
    given: Collection[str], known: Collection[str], needed: Collection[str], where: str, what: str = "setting"
) -> None:
    """Raise UserError for a name that is not known, and for those that are needed and not there."""
    for name in given:
        if name not in known:
            called = name if name.isidentifier() else shown(name)
            meant = nearest(name, known)
            raise UserError(f"{where}{called} is no {what}", *([f"did you mean {meant}?"] if meant else []))
    missing = [name for name in needed if name not in given]
    if missing:
        raise UserError(f"{where}{', '.join(missing)} {'is' if len(missing) == 1 else 'are'} missing")


def require_title(name: Any, summary: Any) -> None:
    """Raise UserError unless a recipe, its file and the folder of its runs can have this name, and it this summary."""
    if not isinstance(name, str) or not re.fullmatch(r"\w[\w.-]*", name):
        raise UserError(f"a recipe's name must be of letters, digits, `_`, `-` and `.`, not {shown(name)}")
    if not isinstance(summary, str) or not summary.isprintable():
        raise UserError(f"recipe {name}: summary must be one line of text, not {shown(summary)}")
