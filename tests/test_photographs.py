"""From a folder of one's own photographs to a run, pictures and a bundle, through the command line.

What a process of its own does not add to is run in this one, to be quick.
"""

from __future__ import annotations

import inspect
import json
import re
import shutil
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from helpers.commands import PUBLISHED, environment, here, kill_when, refused_here, run, start, steps_saved
from PIL import Image

from ms_gan import data
from ms_gan.data.description import DataRequest
from ms_gan.data.folder import load_folder
from ms_gan.sampling import CHUNK, in_chunks, on_arrays, seeded_inputs
from ms_gan.schema.recipe import Latent

pytestmark = pytest.mark.usefixtures("device")

TAGS = ("basil", "cheese", "olive", "onion")
COUNT = 30  # photographs that can be read, of which three are the test split
SUFFIXES = ("png", "jpg", "bmp", "gif", "tiff", "webp")
LATENT = Latent(size=6)
PICTURES = {"samples.png", "interpolation.png", "generated_beside_real.png", "reconstructions.png", "transfer.png"}
STEPS = 18  # of three an epoch: checkpoints fall between rows of the history

DENSE = "generator.widths=[8] discriminator.widths=[8]"
SHEET = "sheet.rows=1 sheet.columns=2"
DECODER = f"latent.size=6 encoder.dense_width=8 generator.dense_width=8 generator.start_channels=4 {SHEET}"
FLAT = f"{DECODER} encoder.widths=[4] generator.widths=[4]"
RESIDUAL = "generator.widths=[6,5,4] discriminator.widths=[4,5,6]"
DISCRIMINATOR = "discriminator.widths=[4] discriminator.strides=[1] discriminator.dense_widths=[8]"
CONVOLUTIONS = f"generator.start_channels=4 generator.widths=[4] generator.strides=[2,2] {SHEET}"
SMALL = {
    **dict.fromkeys(("mlp", "keras_mlp", "slim_mlp", "slim_mlp_fixed", "rpgan", "stacked_mnist"), DENSE),
    **dict.fromkeys(("rpgan_residual", "rpgan_residual_mnist", "photographs"), f"{RESIDUAL} {SHEET}"),
    "acgan": f"{CONVOLUTIONS} discriminator.widths=[4] discriminator.strides=[2]",
    "dcgan": f"{CONVOLUTIONS} {DISCRIMINATOR}",
    "cvae_late": FLAT,
    "cvae_early": f"{DECODER} encoder.widths=[4,4] generator.widths=[4,4]",
    "cvae_gan": f"{FLAT} {DISCRIMINATOR} updates.reconstruction_layer=1 updates.pretraining_steps=5",
}
GREY = ("mlp", "keras_mlp", "slim_mlp", "slim_mlp_fixed", "rpgan", "rpgan_residual_mnist")
COLOUR = ("stacked_mnist", "photographs")
OTHERS = (
    "acgan",
    "dcgan",
    "cvae_late",
    "cvae_early",
    "cvae_gan",
    "rpgan_residual",
)  # each in a test or fixture of its own


def training(name, photographs, output, *more, steps=2):
    """The command that trains a recipe: its networks small, its batch 4 and its epoch three steps."""
    settings = f"{SMALL[name]} schedule.steps_per_epoch=3"
    small = (word for setting in settings.split() for word in ("--set", setting))
    where = ("--dataset", "folder", "--data-path", photographs, "--output-dir", output)
    return ["train", "--recipe", name, *where, "--steps", steps, "--batch-size", 4, *small, *more]


# the photographs


def name_of(number):
    return f"{'more/' if number % 5 == 0 else ''}{number:02}.{SUFFIXES[number % len(SUFFIXES)]}"


def tags_of(number):
    return [tag for place, tag in enumerate(TAGS) if number >> place & 1]


def label_of(number, max_tags=9):
    """The label of a photograph, put together from what labels.csv is to say."""
    numbers = [1 + TAGS.index(tag) for tag in tags_of(number)]
    return numbers + [0] * (max_tags - len(numbers))


def photograph(path, number):
    """Write a photograph whose corner tells its number, of a size of its own."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.empty((40 + number, 70 - number, 3), np.uint8)
    pixels[:] = (8 * number + 8, 250 - 8 * number, 120)
    pixels[15:25, 15:25] = 20
    Image.fromarray(pixels).save(path)
    return path


def number_of(image):
    """Which photograph this is, float32 in [0, 1], C×H×W."""
    return round(float(image[0, 0, 0]) * 255 / 8 - 1)


def write_labels(folder, rows):
    lines = ["file,tags", *(f"{name},{';'.join(tags)}" for name, tags in rows.items())]
    (folder / "labels.csv").write_text("\n".join(lines) + "\n")


def table():
    return {"broken.jpg": ["olive"], **{name_of(number): tags_of(number)[::-1] for number in range(COUNT)}}


@pytest.fixture(scope="module")
def photographs(tmp_path_factory):
    """Photographs in six formats, some of them in a sub-folder, one broken, with tags; several have none."""
    folder = tmp_path_factory.mktemp("data") / "photographs"
    for number in range(COUNT):
        photograph(folder / name_of(number), number)
    whole = photograph(folder / "broken.jpg", 3).read_bytes()
    (folder / "broken.jpg").write_bytes(whole[: len(whole) // 2])
    write_labels(folder, table())
    return folder


def one_of(folder, number=3):
    """A folder that holds one photograph."""
    photograph(folder / "photograph.jpg", number)
    return folder


@pytest.fixture(scope="module")
def kinds(tmp_path_factory):
    """Twelve photographs in a sub-folder for each class, of which one is the test split."""
    folder = tmp_path_factory.mktemp("kinds") / "kinds"
    for number in range(12):
        photograph(folder / ("calzone", "focaccia", "pizza")[number % 3] / f"{number}.png", number)
    return folder


# one run, and what is made of it


@pytest.fixture(scope="module")
def trained(photographs, tmp_path_factory):
    """A run of cvae_early that nothing disturbed."""
    root = tmp_path_factory.mktemp("trained")
    here(*training("cvae_early", photographs, root, "--skip-unreadable", steps=STEPS))
    return root / "cvae_early" / "1"


@pytest.fixture(scope="module")
def model(trained):
    from ms_gan.runs.model import load_model

    return load_model(str(trained))


@pytest.fixture(scope="module")
def bundle(trained):
    here("export", trained)
    return trained / "export"


def recorded(monkeypatch):
    """What each picture is drawn from: the arguments of `plots`, by the picture's file name; they draw as ever."""
    from ms_gan.evaluation import plots

    calls = {}

    def recorder(original):
        def recording(*arguments, **named):
            bound = inspect.signature(original).bind(*arguments, **named)
            bound.apply_defaults()
            calls[bound.arguments["path"].name] = SimpleNamespace(**bound.arguments)
            original(*arguments, **named)

        return recording

    for name in ("sheet", "compare", "captioned"):
        monkeypatch.setattr(plots, name, recorder(getattr(plots, name)))
    return calls


@pytest.fixture
def loaded(trained, model, monkeypatch):
    """`eval` of the run finds it loaded, and its networks compiled, already."""
    from ms_gan.runs import model as module

    monkeypatch.setattr(module, "load_model", {str(trained): model}.__getitem__)


@pytest.fixture
def shown(loaded, monkeypatch):
    """What the pictures of a test are drawn from."""
    return recorded(monkeypatch)


@pytest.fixture(scope="module")
def evaluated(trained, tmp_path_factory):
    """The pictures of seed 5, and what they are drawn from."""
    folder = tmp_path_factory.mktemp("evaluated") / "eval"
    with pytest.MonkeyPatch.context() as monkeypatch:
        calls = recorded(monkeypatch)
        here("eval", trained, "--seed", 5, "--output-dir", folder)
    return folder, calls


def test_a_broken_photograph_is_named_and_nothing_is_left_behind(photographs, tmp_path):
    refused = run(*training("cvae_early", photographs, tmp_path / "runs"), status=2)
    assert re.fullmatch(r"error: [^\n]*/broken\.jpg: is unreadable [^\n]*--skip-unreadable[^\n]*\n", refused.stderr)
    assert "1 of 31 images" in refused.stderr
    assert list(tmp_path.iterdir()) == []


def test_the_run_says_what_was_done_to_the_photographs(trained, photographs):
    log = (trained / "train.log").read_text()
    assert "27 image(s) of 70x40 to 55x55, cropped at the centre to squares, brought to 64x64 in colour" in log
    assert "of 31 files 3 are the test split" in log
    assert f"left out 1 unreadable image(s), the first of them {photographs / 'broken.jpg'}" in log
    assert f"27 images from the folder {photographs}" in log
    settings = json.loads((trained / "settings.json").read_text())
    assert settings["classes"] == list(TAGS) and settings["dataset"] == "folder"
    assert (settings["recipe"]["data"]["classes"], settings["recipe"]["data"]["max_tags"]) == (4, 9)
    record = json.loads((trained / "provenance.json").read_text())["data"]
    assert record["skip_unreadable"] is True and record["path"] == str(photographs)


# eval


def not_trained_on(photographs):
    """The numbers of the photographs that were not trained on."""
    images = load_folder("test", photographs, DataRequest(32, 3), skip_unreadable=True).images
    return sorted(number_of(image / 255) for image in images)


def own_labels(images):
    return np.int32([label_of(number_of(image)) for image in images])


def test_eval_draws_each_tag(evaluated, model):
    folder, shown = evaluated
    assert {file.name for file in folder.iterdir()} == PICTURES == shown.keys()
    samples = shown["samples.png"]
    in_turn = [1, 2, 3, 4]
    labels = np.int32([[tag] + [0] * 8 for tag in in_turn])
    assert list(samples.labels) == [TAGS[tag - 1] for tag in in_turn]
    assert np.array_equal(samples.images, model.draw(seeded_inputs(LATENT, 4, 5, labels)))
    assert shown["interpolation.png"].row_labels == list(TAGS)


def test_eval_draws_what_the_checkpoint_makes_of_the_test_split(evaluated, model, photographs):
    _, shown = evaluated
    expected = not_trained_on(photographs)
    assert len(expected) == 3
    beside = shown["generated_beside_real.png"]
    assert sorted(map(number_of, beside.second[1])) == expected
    assert np.array_equal(beside.first[1], model.draw(seeded_inputs(LATENT, 3, 5, own_labels(beside.second[1]))))

    pairs = shown["reconstructions.png"]
    (title, real), (other_title, reconstructed) = pairs.first, pairs.second
    own = own_labels(real)
    assert sorted(map(number_of, real)) == expected
    assert np.array_equal(reconstructed, model.draw((model.encode((real, own)), own)))
    assert (title, other_title) == ("real (folder, test split)", "reconstructed")


def test_eval_decodes_the_test_split_with_the_labels_of_others(evaluated, model, photographs):
    _, shown = evaluated
    transfer = shown["transfer.png"]
    cells = transfer.images.reshape(4, 5, 3, 32, 32)  # on top three donors; then rows: real, its label, the donors'
    assert (cells[0, :2] == 1).all()
    real, donors = cells[1:, 0], cells[0, 2:]
    assert sorted(map(number_of, real)) == not_trained_on(photographs)
    assert np.array_equal(real, donors), "of three, each is decoded with the labels of all"
    latents = model.encode((real, own_labels(real)))
    assert np.array_equal(cells[1:, 1], model.draw((latents, own_labels(real))))
    for column, label in enumerate(own_labels(donors), start=2):
        assert np.array_equal(cells[1:, column], model.draw((latents, np.repeat(label[None], 3, 0))))
    assert not np.array_equal(cells[1:, 2], cells[1:, 3])
    assert transfer.columns == 5 and transfer.column_labels == ["real", "its label", "label A", "label B", "label C"]
    assert transfer.row_labels == ["the label of", "1", "2", "3"]
    tags = [", ".join(tags_of(number_of(donor))) or "none" for donor in donors]
    assert transfer.caption.endswith(". A: {}; B: {}; C: {}".format(*tags))


def test_eval_draws_the_same_pictures_for_the_same_seed(trained, evaluated, loaded, tmp_path):
    run("eval", trained, "--seed", 5, "--output-dir", tmp_path / "same")
    here("eval", trained, "--seed", 6, "--output-dir", tmp_path / "other")
    for picture in PICTURES:
        once, again, other = (
            (folder / picture).read_bytes() for folder in (evaluated[0], tmp_path / "same", tmp_path / "other")
        )
        assert once == again != other, picture


def test_eval_transfers_to_the_tags_that_are_named(trained, model, tmp_path, shown):
    labels = ("--label", "onion, cheese", "--label", "")
    here("eval", trained, "--transfer", *labels, "--grid", "2x3", "--output-dir", tmp_path / "eval")
    labels = np.int32([[2, 4] + [0] * 7, [0] * 9])
    assert set(shown) == {"samples.png", "transfer.png"}
    assert shown["samples.png"].row_labels == ["cheese, onion", "none"] and shown["samples.png"].columns == 3
    transfer = shown["transfer.png"]
    assert transfer.column_labels == ["real", "its label", "cheese, onion", "none"]
    cells = transfer.images.reshape(3, 4, 3, 32, 32)
    latents = model.encode((cells[:, 0], own_labels(cells[:, 0])))
    for column, label in enumerate(labels, start=2):
        assert np.array_equal(cells[:, column], model.draw((latents, np.repeat(label[None], 3, 0))))


def labelled(folder, numbers):
    for number in numbers:
        photograph(folder / f"{number}.png", number)
    write_labels(folder, {f"{number}.png": tags_of(number) for number in numbers})


def test_eval_takes_photographs_that_were_never_seen(trained, tmp_path, shown):
    labelled(tmp_path / "train", range(20))
    labelled(tmp_path / "test", range(20, 24))
    here("eval", trained, "--reconstruct", "--data-path", tmp_path, "--output-dir", tmp_path / "eval")
    assert sorted(map(number_of, shown["reconstructions.png"].first[1])) == [20, 21, 22, 23]


@pytest.fixture
def eval_without(trained, photographs, tmp_path, shown):
    """Reconstruct after some photographs of the folder, by their numbers, are gone; return the title and the images."""

    def evaluate(gone):
        changed = shutil.copytree(photographs, tmp_path / "photographs")
        for number in gone:
            (changed / name_of(number)).unlink()
        write_labels(changed, {name: tags for name, tags in table().items() if (changed / name).exists()})
        here("eval", trained, "--reconstruct", "--data-path", changed, "--output-dir", tmp_path / "eval")
        return shown["reconstructions.png"].first

    return evaluate


def test_what_was_trained_on_is_no_test_image_when_the_folder_changes(photographs, eval_without):
    first, *others = not_trained_on(photographs)
    assert list(map(number_of, eval_without(others)[1])) == [first]


def test_without_a_test_split_the_pictures_say_what_they_show(photographs, eval_without, capsys):
    title, _ = eval_without(not_trained_on(photographs))
    assert "the pictures may show images that were trained on: " in capsys.readouterr().out
    assert title == "real (folder, train split)"


def test_transfer_with_a_single_photograph_has_a_whole_row(trained, tmp_path, shown):
    labelled(tmp_path, range(12))
    here("eval", trained, "--transfer", "--data-path", tmp_path, "--output-dir", tmp_path / "eval")
    transfer = shown["transfer.png"]
    rows = len(transfer.row_labels)
    assert len(transfer.images) == rows * transfer.columns and len(transfer.column_labels) == transfer.columns
    last = transfer.images[(rows - 1) * transfer.columns :]
    assert not (last[0] == 1).all() and number_of(last[0]) in range(12), "the row begins with the photograph"


# export


def test_the_contract_says_what_encoder_and_generator_take(bundle):
    mindirs = {"generator.mindir", "encoder.mindir"}
    onnxes = {"generator/1/generator.onnx", "encoder/1/encoder.onnx"}
    assert mindirs | onnxes <= {str(file.relative_to(bundle)) for file in bundle.rglob("*")}
    contract = json.loads((bundle / "contract.json").read_text())
    assert contract["labels"] == list(TAGS)
    assert set(contract["files"]) == set(contract["parity"]) == mindirs | onnxes
    for file, facts in contract["parity"].items():
        assert facts["batches"] == [1, 7, 64]
        assert facts["greatest_difference"] <= facts["tolerance"] == (0 if file in mindirs else 1e-5), file
    generator, encoder = contract["models"]["generator"], contract["models"]["encoder"]
    (latent, label), (image, same_label), (drawn,) = generator["inputs"], encoder["inputs"], generator["outputs"]
    assert (latent["shape"], latent["distribution"]) == (["batch", 6], "normal")
    assert (label["shape"], label["range"]) == (["batch", 9], [0, 4]) and same_label == label
    assert (image["shape"], image["range"], image["layout"]) == (["batch", 3, 32, 32], [0.0, 1.0], "NCHW")
    assert {**image, "meaning": drawn["meaning"]} == drawn and "INTER_AREA" in image["meaning"]
    assert [output["name"] for output in encoder["outputs"]] == ["mean", "log_variance"]


CHAIN = """
import json
import sys

import mindspore as ms
import numpy as np

folder, request, answer = sys.argv[1:]
with open(f"{folder}/contract.json", encoding="utf-8") as file:
    contract = json.load(file)
with open(request + ".json", encoding="utf-8") as file:
    tags = json.load(file)
images = ms.Tensor(np.load(request + ".npy"))
places = contract["models"]["encoder"]["inputs"][1]["shape"][1]


def labels(of_images):
    numbers = [sorted(1 + contract["labels"].index(tag) for tag in image) for image in of_images]
    return ms.Tensor(np.array([row + [0] * (places - len(row)) for row in numbers], np.int32))


ms.set_context(mode=ms.GRAPH_MODE)
ms.set_device("CPU")
encoder = ms.nn.GraphCell(ms.load(f"{folder}/encoder.mindir"))
decoder = ms.nn.GraphCell(ms.load(f"{folder}/generator.mindir"))
mean, log_variance = encoder(images, labels(tags["own"]))
drawn = decoder(mean, labels(tags["other"]))
np.savez(answer, mean=mean.asnumpy(), log_variance=log_variance.asnumpy(), drawn=drawn.asnumpy())
assert not any(name.split(".")[0] == "ms_gan" for name in sys.modules)
"""


def test_the_contract_and_mindspore_are_enough_to_transfer(bundle, model, photographs, tmp_path):
    from ms_gan.delivery.bundle import Bundle

    images = load_folder("train", photographs, DataRequest(32, 3), skip_unreadable=True).images
    images = np.float32(np.resize(images, (CHUNK, 3, 32, 32))) / 255  # what encode and draw take at once
    numbers = list(map(number_of, images))
    others = numbers[1:] + numbers[:1]
    np.save(tmp_path / "request.npy", images)
    (tmp_path / "request.json").write_text(
        json.dumps({"own": [tags_of(number) for number in numbers], "other": [tags_of(number) for number in others]})
    )
    elsewhere = tmp_path / "elsewhere"
    shutil.copytree(bundle, elsewhere)
    (tmp_path / "chain.py").write_text(CHAIN)
    done = subprocess.run(
        [sys.executable, "chain.py", elsewhere, "request", "answer.npz"],
        cwd=tmp_path,
        env=environment(PYTHONPATH=""),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    answer = np.load(tmp_path / "answer.npz")

    own, other = (np.int32(list(map(label_of, row))) for row in (numbers, others))
    opened = Bundle(elsewhere)
    for where in (opened, model):
        latents = where.encode((images, own))
        assert np.array_equal(answer["mean"], latents)
        assert np.array_equal(answer["drawn"], where.draw((latents, other)))
    assert np.array_equal(answer["log_variance"], in_chunks(on_arrays(model.encoder), (images, own))[1])
    assert not np.array_equal(model.encode((images, other)), answer["mean"]), "the encoder looks at the label"
    assert not np.array_equal(model.draw((answer["mean"], own)), answer["drawn"]), "the generator looks at the label"


# broken off and resumed


def result(run_folder, steps):
    """All that must be the same: every byte of the last checkpoint, and the history."""
    last = max((run_folder / "checkpoints").glob("step_*"))
    assert last.name == f"step_{steps:08d}"
    files = {file.name: file.read_bytes() for file in last.iterdir()}
    assert {"generator.ckpt", "encoder.ckpt", "optimizer_encoder.ckpt"} <= files.keys()
    return {**files, "history.csv": (run_folder / "history.csv").read_bytes()}


def broken_off(name, photographs, root):
    """Kill -9 a run with skipped photographs when it has a checkpoint to go on from; return to which step to go on."""
    process = start(*training(name, photographs, root, "--skip-unreadable", steps=1_000_000))
    kill_when(lambda: steps_saved(root / name / "1") > 0, process)
    return steps_saved(root / name / "1") + 6


def test_a_killed_run_resumes_to_the_same_bytes_after_its_photographs_moved(photographs, tmp_path, capsys):
    before, now = tmp_path / "before", tmp_path / "now"
    shutil.copytree(photographs, before)
    steps = broken_off("cvae_early", before, tmp_path)
    run_folder = tmp_path / "cvae_early" / "1"
    before.rename(now)
    assert f"{before}: does not exist" in refused_here(capsys, "train", "--resume", run_folder)
    here("train", "--resume", run_folder, "--data-path", now, "--steps", steps)
    here(*training("cvae_early", photographs, tmp_path / "undisturbed", "--skip-unreadable", steps=steps))
    assert result(run_folder, steps) == result(tmp_path / "undisturbed" / "cvae_early" / "1", steps)
    assert json.loads((run_folder / "provenance.json").read_text())["data"]["path"] == str(now)


@pytest.mark.slow
def test_a_killed_autoencoder_with_discriminator_resumes_to_the_same_bytes(photographs, tmp_path):
    steps = broken_off("cvae_gan", photographs, tmp_path / "killed")
    run_folder = tmp_path / "killed" / "cvae_gan" / "1"
    here("train", "--resume", run_folder, "--steps", steps)
    here(*training("cvae_gan", photographs, tmp_path / "undisturbed", "--skip-unreadable", steps=steps))
    expected = result(tmp_path / "undisturbed" / "cvae_gan" / "1", steps)
    assert result(run_folder, steps) == expected and "optimizer_discriminator.ckpt" in expected


@pytest.mark.parametrize(
    "rows, more, named",
    [
        ({name_of(2): ["basil"]}, (), "1 image(s) with another label (02.bmp: basil, was cheese)"),
        ({name_of(2): ["mushroom"]}, (), "mushroom"),
        ({}, ("new.png",), "labels.csv: has no row for new.png"),
        ({"new.png": ["basil"]}, ("new.png",), "1 image(s) new (new.png)"),
    ],
)
def test_a_run_goes_on_with_no_other_photographs(rows, more, named, trained, photographs, tmp_path, capsys):
    changed = shutil.copytree(photographs, tmp_path / "changed")
    write_labels(changed, {**table(), **rows})
    for name in more:
        photograph(changed / name, 5)
    before = {file: file.read_bytes() for file in trained.rglob("*") if file.is_file()}
    arguments = ("train", "--resume", trained, "--steps", STEPS + 1, "--data-path", changed)
    assert named in refused_here(capsys, *arguments)
    assert {file: file.read_bytes() for file in trained.rglob("*") if file.is_file()} == before


# every recipe, and what none takes


def test_every_recipe_is_trained_here():
    assert PUBLISHED == {*GREY, *COLOUR, *OTHERS} == {*SMALL}


@pytest.mark.parametrize(
    "name", ["mlp", *(pytest.param(name, marks=pytest.mark.slow) for name in (*GREY[1:], *COLOUR))]
)
def test_recipes_without_labels_train_on_photographs(name, photographs, tmp_path, capsys):
    here(*training(name, photographs, tmp_path, "--skip-unreadable"))
    size = 32 if name == "photographs" else 28
    assert f"brought to {size}x{size} in {'grey' if name in GREY else 'colour'}" in capsys.readouterr().out
    settings = json.loads((tmp_path / name / "1" / "settings.json").read_text())
    assert settings["classes"] is None and settings["recipe"]["data"]["classes"] == 0
    for option in ("--reconstruct", "--transfer"):
        assert f"{name} has no encoder" in refused_here(capsys, "eval", tmp_path / name / "1", option)
    assert not (tmp_path / name / "1" / "eval").exists()


def test_where_no_recipe_is_named_a_better_one_is(photographs, tmp_path, capsys):
    command = training("mlp", photographs, tmp_path, "--skip-unreadable", steps=1)
    told = "note: mlp is the shortest recipe to read; better images: --recipe photographs"
    here(*command[:1], *command[3:])
    assert capsys.readouterr().out.splitlines()[0] == told
    here("train", "--resume", tmp_path / "mlp/1", "--steps", 2)
    here(*command)
    assert told not in capsys.readouterr().out, "where it is named, and at resume"


def test_recipes_that_are_recommended_are_for_those_data():
    from ms_gan import recipes
    from ms_gan.cli.train import RECOMMENDED
    from ms_gan.data.description import ONE_FORMAT

    for dataset, name in RECOMMENDED.items():
        own = recipes.load(name).data.dataset
        assert own == dataset or {own, dataset} == ONE_FORMAT


@pytest.mark.parametrize("name, max_tags", [("acgan", 0), ("cvae_late", 9), ("rpgan_residual", 9)])
def test_sub_folders_are_classes_and_tags(name, max_tags, kinds, tmp_path):
    here(*training(name, kinds, tmp_path))
    settings = json.loads((tmp_path / name / "1" / "settings.json").read_text())
    assert settings["classes"] == ["calzone", "focaccia", "pizza"]
    assert (settings["recipe"]["data"]["classes"], settings["recipe"]["data"]["max_tags"]) == (3, max_tags)
    assert (tmp_path / name / "1" / "checkpoints" / "step_00000002" / "generator.ckpt").exists()
    images = data.load(
        "folder", "train", kinds, DataRequest.of(SimpleNamespace(**settings["recipe"]["data"]), channels=3)
    )
    expected = [number_of(image / 255) % 3 for image in images.images]
    assert images.labels.tolist() == ([[1 + kind] + [0] * 8 for kind in expected] if max_tags else expected)


def test_one_photograph_is_a_data_set(tmp_path, capsys):
    here(*training("dcgan", one_of(tmp_path / "one"), tmp_path))
    log = (tmp_path / "dcgan" / "1" / "train.log").read_text()
    assert "1 images from the folder" in log and ", turned and mirrored at random, " in log
    here("eval", tmp_path / "dcgan" / "1")
    assert "note: the pictures may show images that were trained on: " in capsys.readouterr().out
    assert {file.name for file in (tmp_path / "dcgan/1/eval").iterdir()} == {
        "samples.png",
        "interpolation.png",
        "generated_beside_real.png",
    }


EACH_ONCE = ("--set", "data.rotate_and_mirror=False", "--set", "schedule.sampling=epochs")
NO_CLASS = "has no labels (no image of the folder is in a class's folder"


@pytest.mark.parametrize(
    "name, place, more, named",
    [
        ("mlp", "", (), "1 images cannot fill a batch of 4"),
        ("dcgan", "", EACH_ONCE, "1 images cannot fill a batch of 4"),
        ("acgan", "", (), NO_CLASS),
        ("cvae_early", "", (), NO_CLASS),
        ("acgan", "pizza", (), "data.classes must be 0 for none, or at least 2, not 1"),
    ],
)
def test_one_photograph_is_too_little_for_some(name, place, more, named, tmp_path, capsys):
    one_of(tmp_path / "one" / place)
    (tmp_path / "one" / place / "another.heic").write_bytes(b"")
    refused = refused_here(capsys, *training(name, tmp_path / "one", tmp_path / "runs", *more))
    assert named in refused and not (tmp_path / "runs").exists()
    assert ("left out 1 HEIC file(s)" in refused) == ("cannot fill" in named), "which is why they are too few"


def test_a_recipe_of_one_class_an_image_takes_no_tags(photographs, tmp_path, capsys):
    refused = refused_here(capsys, *training("acgan", photographs, tmp_path / "runs"))
    assert "labels.csv: line 1: lists tags, but this recipe takes one class an image" in refused
    assert not (tmp_path / "runs").exists()
