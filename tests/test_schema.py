"""Settings as types: what each may be, and a recipe as a value that nobody changes."""

from __future__ import annotations

import copy
import json
import math
import pickle
from dataclasses import FrozenInstanceError, dataclass, replace

import numpy as np
import pytest
from helpers.refusals import refused
from hypothesis import given, settings
from hypothesis import strategies as st

from ms_gan import recipes
from ms_gan.schema.fields import LARGEST_FLOAT32, REQUIRED, SMALLEST_FLOAT32, Rule, Settings, number, section, wholes
from ms_gan.schema.networks import BatchNorm, MLPDiscriminator, MLPGenerator
from ms_gan.schema.recipe import SECTIONS, Adam, Data, Latent, Recipe, build_settings
from ms_gan.schema.updates import ACGANUpdates, CVAEUpdates, GANUpdates, RpGANUpdates

RECIPES = {name: recipes.load(name) for name in recipes.names()}
EVERY = [(name, key) for name, recipe in RECIPES.items() for key in recipe.settings()]
# Each setting of each dataclass once, in the first recipe that has it.
ONCE = list({(key.partition(".")[2], RECIPES[name].rule(key)): (name, key) for name, key in reversed(EVERY)}.values())
NEEDS = {  # what must be set, too, so that a setting may be anything in its range
    "data.max_tags": {"data.classes": 2},
    "optimizer_generator.decay_rate": {"optimizer_generator.decay_steps": 2},
    "updates.loss": {"updates.target_real": (1, 1), "updates.target_fake": (0, 0), "updates.gradient_penalty": 10},
}


@pytest.fixture
def mlp():
    return RECIPES["mlp"]


def ends(rule):
    """The values at both ends of a rule of one number, and those next to them that are outside."""
    if rule.kind == "whole":
        low, high = rule.least, rule.most if rule.most is not None else rule.below - 1
        return (low, high), (low - 1, high + 1, 10**400, 1.5, float("nan"))
    low = next(
        end for end in (rule.least, SMALLEST_FLOAT32 if rule.above == 0 else None, -LARGEST_FLOAT32) if end is not None
    )
    high = next(
        end for end in (rule.most, rule.below and math.nextafter(rule.below, 0), LARGEST_FLOAT32) if end is not None
    )
    return (low, high), (math.nextafter(low, -math.inf), math.nextafter(high, math.inf), math.nan, math.inf, 10**400)


def examples(rule, value):
    """Values that a setting takes, its ends among them, and values that it must refuse."""
    strangers = [None, {}, {"n": 1}, b"1", object(), float]
    if rule.kind == "flag":
        return [True, False], [*strangers, 0, 1, "True", 1.0]
    if rule.kind == "choice":
        return rule.choices, [*strangers, "nonsense", "", True, 1.0, 2, rule.choices]
    if rule.kind in ("whole", "number"):
        inside, outside = ends(rule)
        return inside, [*strangers, *outside, True, str(inside[0]), [inside[0]]]
    inside, outside = ends(replace(rule, kind="whole" if rule.kind == "wholes" else "number"))
    if rule.kind == "range":
        low, high = inside
        wrong = [
            *((each, high) for each in outside),
            (high, low),
            (low,),
            (low, high, high),
            (),
            low,
            "01",
            (low, True),
        ]
        return [(low, high), [low, high]], strangers + wrong
    count = max(len(value), 1)
    wrong = [(each,) * count for each in outside] + [1, "1", ("1",) * count, (True,) * count, ((1,),) * count]
    return [(each,) * count for each in inside] + [list(value)], strangers + wrong


@pytest.mark.parametrize("name, key", ONCE)
def test_the_ends_of_a_settings_range_are_taken(name, key):
    recipe = RECIPES[name]
    for value in examples(recipe.rule(key), recipe.settings()[key])[0]:
        taken = recipe.but({**NEEDS.get(key, {}), key: value}).settings()[key]
        assert taken == (tuple(value) if isinstance(value, list) else value)


@pytest.mark.parametrize("name, key", ONCE)
def test_what_is_beyond_a_settings_range_is_refused_by_name(name, key):
    recipe = RECIPES[name]
    rule = recipe.rule(key)
    assert rule.kind != "any" and rule.help and "\n" not in rule.help
    for value in examples(rule, recipe.settings()[key])[1]:
        assert refused(recipe.but, {**NEEDS.get(key, {}), key: value}).startswith(f"recipe {name}: {key} must be ")


@pytest.mark.parametrize("name", RECIPES)
def test_a_setting_read_from_text_is_the_one_that_was_printed(name):
    recipe = RECIPES[name]
    for key, value in recipe.settings().items():
        for text in {str(value), repr(value), str(list(value)) if isinstance(value, tuple) else str(value)}:
            assert recipes.override(recipe, [f"{key}={text}"]) == recipe


@pytest.mark.parametrize(
    "rule, wanted",
    [
        (Rule("whole", least=1), "a whole number of at least 1"),
        (Rule("whole", least=0, most=2**31 - 1), "a whole number of at least 0 and of at most 2147483647"),
        (Rule("number", least=0, below=1), "a number of at least 0 and below 1"),
        (Rule("number"), "a number"),
        (Rule("wholes", least=1), "a list of whole numbers of at least 1 each"),
        (Rule("range", least=0, most=1), "two numbers, the smaller first of at least 0 and of at most 1 each"),
        (Rule("flag"), "True or False"),
        (Rule("choice", choices=(1, 3)), "one of 1, 3"),
    ],
)
def test_a_rule_says_what_a_value_has_to_be(rule, wanted):
    assert rule.fault("nonsense") == wanted


@pytest.mark.parametrize(
    "kind, given, named",
    [
        (Data, {"classes": 1}, "classes must be 0 for none, or at least 2"),
        (Data, {"clusters": 1}, "clusters must be 0 for none, or at least 2"),
        (Data, {"max_tags": 2}, "max_tags says how many"),
        (Data, {"pixel_range": (0.0, 0.0)}, "pixel_range must have a low end"),
        (MLPGenerator, {"widths": ()}, "widths must be at least one"),
        (MLPDiscriminator, {"widths": ()}, "widths must be at least one"),
        (Adam, {"decay_rate": 0.1}, "decay_rate 0.1 would multiply the learning rate at each update"),
        (GANUpdates, {"target_real": (0.2, 0.3), "target_fake": (0.2, 0.3)}, "target_real (0.2, 0.3) must be greater"),
        (GANUpdates, {"loss": "hinge", "target_real": (0.9, 1.0)}, "target_real and target_fake must be"),
        (GANUpdates, {"loss": "relativistic", "half_batches": True}, "loss relativistic compares"),
        (GANUpdates, {"loss": "relativistic_average", "discriminator_update": "separate"}, "loss relativistic_average"),
        (GANUpdates, {"gradient_penalty": 1.0, "discriminator_update": "separate"}, "gradient_penalty is measured"),
        (GANUpdates, {"loss": "wasserstein"}, "gradient_penalty must be above 0"),
    ],
)
def test_settings_that_do_not_go_together_are_refused_by_name(kind, given, named):
    assert refused(kind, **given).startswith(named)
    assert refused(build_settings, kind, given, "recipe mine: part.").startswith(f"recipe mine: part.{named}")


@pytest.mark.parametrize("loss", ["hinge", "wasserstein", "relativistic", "relativistic_average"])
def test_a_loss_without_targets_says_how_to_set_them_and_then_goes(loss):
    acgan = RECIPES["acgan"].but({"updates.gradient_penalty": 10})
    message = refused(acgan.but, {"updates.loss": loss})
    assert message.endswith(f"the loss {loss} has no targets; use updates.target_real=1,1 and updates.target_fake=0,0")
    changed = recipes.override(acgan, [f"updates.loss={loss}", "updates.target_real=1,1", "updates.target_fake=0,0"])
    assert changed.updates.loss == loss


@pytest.mark.parametrize(
    "change, count",
    [({"generator.strides": (2, 2, 2)}, 4), ({"generator.widths": (8,)}, 2), ({"discriminator.widths": (8,)}, 1)],
)
def test_every_convolution_needs_a_stride(change, count):
    role = next(iter(change)).partition(".")[0]
    more = " and one for the layer that makes pixels" if role == "generator" else ""
    widths = count - len(more[:1])
    wanted = f"recipe dcgan: {role}.strides must have one number for each of the {widths} widths{more}, so {count}, not"
    assert wanted in refused(RECIPES["dcgan"].but, change)


def test_numbers_of_numpy_become_pythons():
    changed = RECIPES["mlp"].but(
        {"latent.size": np.int64(3), "ema.decay": np.float32(0.5), "generator.widths": (np.int32(4),)}
    )
    found = changed.latent.size, changed.ema.decay, changed.networks["generator"].widths[0]
    assert found == (3, 0.5, 4) and [type(each) for each in found] == [int, float, int]


def test_what_goes_together_is_changed_at_once():
    changed = RECIPES["dcgan"].but({"generator.widths": (8,), "generator.strides": (2, 1)})
    assert changed.networks["generator"].widths == (8,)


@dataclass(frozen=True)
class Inner(Settings):
    share: float = number(REQUIRED, "a share", least=0, most=1)


@dataclass(frozen=True)
class Outer(Settings):
    inner: Inner = section(Inner, default=REQUIRED)
    sizes: tuple[int, ...] = wholes((), "sizes", above=1, below=5)
    free: object = None


@dataclass(frozen=True)
class WithFields(Settings):
    threshold: float = number(REQUIRED, "a logit")
    needs_twin: bool = True


def test_settings_of_ones_own_may_say_what_only_some_families_have():
    assert (Inner(1.0).threshold, Inner(1.0).needs_twin, Inner(1.0).shared_counters) == (None, False, False)
    assert (WithFields(0.5).threshold, WithFields(0.5).needs_twin) == (0.5, True)
    assert "x.threshold is missing" in refused(build_settings, WithFields, {}, "x.")


def test_settings_of_ones_own_check_themselves_and_their_sections():
    built = build_settings(Outer, {"inner": {"share": 1}, "sizes": [2, 4], "free": [[1], {"a": 2}]}, "x.")
    assert built == Outer(Inner(1.0), (2, 4), ((1,), {"a": 2}))
    for wrong, message in (
        ({}, "x.inner is missing"),
        ({"inner": {}}, "x.inner.share is missing"),
        ({"inner": {"share": 2}}, "x.inner.share must be a number of at least 0 and of at most 1, not 2.0"),
        ({"inner": {"share": 1, "sher": 1}}, "x.inner.sher is no setting; did you mean share?"),
        ({"inner": {"share": 1, "a\nb": 1}}, "x.inner.'a\\nb' is no setting"),
        ({"inner": None}, "x.inner must be a section of settings, not None"),
        ({"inner": BatchNorm()}, f"x.inner must be a section of settings, not {BatchNorm()}"),
        ({"inner": Inner}, f"x.inner must be a section of settings, not {Inner}"),
        (
            {"inner": {"share": 1}, "sizes": [1]},
            "x.sizes must be a list of whole numbers above 1 and below 5 each, not (1,)",
        ),
        (
            {"inner": {"share": 1}, "sizes": [5]},
            "x.sizes must be a list of whole numbers above 1 and below 5 each, not (5,)",
        ),
    ):
        assert refused(build_settings, Outer, wrong, "x.")[:100] == message[:100]


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_is_a_value(name):
    recipe = RECIPES[name]
    record = json.loads(json.dumps(recipes.to_json(recipe)))
    copies = (copy.copy(recipe), copy.deepcopy(recipe), pickle.loads(pickle.dumps(recipe)), replace(recipe))
    for same in (*copies, recipe.but(), recipe.but(recipe.settings()), recipes.from_json(record)):
        assert same == recipe and hash(same) == hash(recipe) and same.settings() == recipe.settings()
    other = recipe.but({"latent.size": recipe.latent.size + 1})
    assert other != recipe and recipe == recipes.load(name), "the recipe given has not changed"


def test_a_recipe_cannot_be_changed(mlp):
    networks = dict(mlp.networks)
    recipe = replace(mlp, networks=networks)
    networks.clear()
    assert recipe == mlp, "a dictionary that it was made of is its own"
    with pytest.raises(TypeError):
        recipe.networks["generator"] = recipe.networks["discriminator"]
    with pytest.raises(TypeError):
        del recipe.optimizers["generator"]
    for part, name in ((recipe, "name"), (recipe.data, "size"), (recipe.networks["generator"], "widths")):
        with pytest.raises(FrozenInstanceError):
            setattr(part, name, 3)


@pytest.mark.parametrize(
    "part, wrong",
    [
        *((part, wrong) for part in (*SECTIONS, "updates") for wrong in (None, {}, Latent)),
        *((part, wrong) for part in ("networks", "optimizers") for wrong in (None, [], {"generator": None})),
        *(("name", wrong) for wrong in (None, 3, "", "a b", "../mlp", "a/b", "-x", ".x", "a\nb")),
        *(("summary", wrong) for wrong in (None, 3, "two\nlines")),
    ],
)
def test_a_part_of_another_type_is_refused_by_name(part, wrong, mlp):
    assert part in refused(replace, mlp, **{part: wrong})


@pytest.mark.parametrize(
    "change, named",
    [
        (
            {"family": "cvae", "updates": CVAEUpdates()},
            "recipe mlp: networks must be those of the family cvae, encoder, generator, not generator, discriminator",
        ),
        ({"family": None}, "family None is not registered"),
        ({"networks": {}}, "networks must be those of the family gan, generator, discriminator, not none"),
        ({"optimizers": {"generator": Adam()}}, "optimizers must be those of the family gan, generator, discrim"),
        ({"updates": RpGANUpdates()}, "updates must be GANUpdates for the family gan, not RpGANUpdates"),
        ({"updates": ACGANUpdates()}, "updates must be GANUpdates for the family gan, not ACGANUpdates"),
        (
            {"networks": dict.fromkeys(("generator", "discriminator"), MLPDiscriminator((8,)))},
            "no network for a generator",
        ),
    ],
)
def test_a_part_that_is_not_of_its_family_is_refused_by_name(change, named, mlp):
    assert named in refused(recipes.check, replace(mlp, **change))


def test_a_section_and_what_is_no_name_cannot_be_changed(mlp):
    for key in ("generator.batch_norm", "generator", "name", 3):
        assert f"recipe mlp has no setting {key!r}" in refused(mlp.but, {key: 3})


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.just("mlp_generator"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=4,
)


@given(st.sampled_from(sorted(RECIPES)), st.data())
@settings(max_examples=300, deadline=None)
def test_a_record_with_anything_anywhere_is_a_recipe_or_refused_in_one_line(name, data):
    record = recipes.to_json(RECIPES[name])
    place = record
    while True:
        key = data.draw(st.sampled_from([*place, "strange"]))
        if not isinstance(place.get(key), dict) or data.draw(st.booleans()):
            break
        place = place[key]
    place[key] = data.draw(JSON)
    if data.draw(st.booleans()):
        del place[data.draw(st.sampled_from(list(place)))]
    try:
        recipe = recipes.from_json(record)
    except recipes.UserError as error:
        assert len(str(error).splitlines()) == 1 and len(str(error)) < 600
    else:
        assert isinstance(recipe, Recipe) and recipes.from_json(recipes.to_json(recipe)) == recipe
        recipes.check(recipe)


@given(JSON)
def test_anything_else_is_no_recipe(record):
    refused(recipes.from_json, record)
