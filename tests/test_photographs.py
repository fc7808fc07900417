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
from ms_gan.data import DataRequest
from ms_gan.data.folder import load_folder
from ms_gan.sampling import CHUNK, in_chunks, on_arrays, seeded_inputs
from ms_gan.schema.recipe import Latent

pytestmark = pytest.mark.usefixtures("device")

TAGS = ("basil", "cheese", "olive", "onion")
COUNT = 30  # photographs that can be read, of which three are held out
SUFFIXES = ("png", "jpg", "bmp", "gif", "tiff", "webp")
LATENT = Latent(size=6)
PICTURES = {"samples.png", "interpolation.png", "generated_beside_real.png", "reconstructions.png", "transfer.png"}
STEPS = 18  # of three an epoch: checkpoints fall between rows of the history

DENSE = ("generator.widths=[8]", "discriminator.widths=[8]")
AUTOENCODER = (
    "latent.size=6",
    "encoder.dense_width=8",
    "generator.dense_width=8",
    "generator.start_channels=4",
    "sheet.rows=1",
    "sheet.columns=4",
)
FLAT = (*AUTOENCODER, "encoder.widths=[4]", "generator.widths=[4]")
DEEP = (*AUTOENCODER, "encoder.widths=[4, 4]", "generator.widths=[4, 4]")
DISCRIMINATOR = ("discriminator.widths=[4]", "discriminator.strides=[1]", "discriminator.dense_widths=[8]")
SMALL = {
    "mlp": DENSE,
    "keras_mlp": DENSE,
    "slim_mlp": DENSE,
    "slim_mlp_fixed": DENSE,
    "rpgan": DENSE,
    "stacked_mnist": DENSE,
    "acgan": (
        "generator.start_channels=4",
        "generator.widths=[4]",
        "generator.strides=[2, 2]",
        "discriminator.widths=[4]",
        "discriminator.strides=[2]",
        "sheet.rows=1",
        "sheet.columns=3",
    ),
    "dcgan": (
        *DISCRIMINATOR,
        "generator.start_channels=4",
        "generator.widths=[4]",
        "generator.strides=[2, 2]",
        "sheet.rows=1",
        "sheet.columns=2",
    ),
    "cvae_late": FLAT,
    "cvae_early": DEEP,
    "cvae_gan": (*FLAT, *DISCRIMINATOR, "updates.reconstruction_layer=1", "updates.pretraining_steps=5"),
}
GREY = ("mlp", "keras_mlp", "slim_mlp", "slim_mlp_fixed", "rpgan")
COLOUR = ("stacked_mnist",)
OTHERS = ("acgan", "dcgan", "cvae_late", "cvae_early", "cvae_gan")  # each in a test or fixture of its own


def small(name):
    """The options that make a recipe's networks small, its batch 4 and its epoch three steps."""
    settings = (*SMALL[name], "schedule.steps_per_epoch=3")
    return ["--batch-size", 4, *(word for setting in settings for word in ("--set", setting))]


def training(name, photographs, output, *more, steps=2):
    return [
        "train",
        "--recipe",
        name,
        "--dataset",
        "folder",
        "--data-path",
        photographs,
        "--steps",
        steps,
        "--output-dir",
        output,
        *small(name),
        *more,
    ]


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
    """Twelve photographs in a sub-folder for each class, of which one is held out."""
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
    assert '3 of 31 images are held out for "test"' in log
    assert f"left out 1 unreadable image(s), the first of them {photographs / 'broken.jpg'}" in log
    assert f"27 images from the folder {photographs}" in log
    settings = json.loads((trained / "settings.json").read_text())
    assert settings["classes"] == list(TAGS) and settings["dataset"] == "folder"
    assert (settings["recipe"]["data"]["classes"], settings["recipe"]["data"]["max_tags"]) == (4, 9)
    record = json.loads((trained / "provenance.json").read_text())["data"]
    assert record["skip_unreadable"] is True and record["path"] == str(photographs)


# eval


def held_out(photographs):
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


def test_eval_draws_what_the_checkpoint_makes_of_held_out_photographs(evaluated, model, photographs):
    _, shown = evaluated
    expected = held_out(photographs)
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


def test_eval_decodes_held_out_photographs_with_the_labels_of_others(evaluated, model, photographs):
    _, shown = evaluated
    transfer = shown["transfer.png"]
    cells = transfer.images.reshape(4, 5, 3, 32, 32)  # on top three donors; then rows: real, its label, the donors'
    assert (cells[0, :2] == 1).all()
    real, donors = cells[1:, 0], cells[0, 2:]
    assert sorted(map(number_of, real)) == held_out(photographs)
    assert np.array_equal(real, donors), "of three, each is decoded with the labels of all"
    latents = model.encode((real, own_labels(real)))
    assert np.array_equal(cells[1:, 1], model.draw((latents, own_labels(real))))
    for column, label in enumerate(own_labels(donors), start=2):
        assert np.array_equal(cells[1:, column], model.draw((latents, np.repeat(label[None], 3, 0))))
    assert not np.array_equal(cells[1:, 2], cells[1:, 3])
    assert transfer.columns == 5 and transfer.column_labels == ["real", "its label", "label A", "label B", "label C"]
    assert transfer.row_labels == ["the label of", "1", "2", "3"]
    assert transfer.caption.endswith(
        ". "
        + "; ".join(
            f"{letter}: {', '.join(tags_of(number_of(donor))) or 'none'}" for letter, donor in zip("ABC", donors)
        )
    )


def test_eval_draws_the_same_pictures_for_the_same_seed(trained, evaluated, loaded, tmp_path):
    run("eval", trained, "--seed", 5, "--output-dir", tmp_path / "same")
    here("eval", trained, "--seed", 6, "--output-dir", tmp_path / "other")
    for picture in PICTURES:
        once, again, other = (
            (folder / picture).read_bytes() for folder in (evaluated[0], tmp_path / "same", tmp_path / "other")
        )
        assert once == again != other, picture


def test_eval_transfers_to_the_tags_that_are_named(trained, model, tmp_path, shown):
    here(
        "eval",
        trained,
        "--transfer",
        "--label",
        "onion, cheese",
        "--label",
        "",
        "--grid",
        "2x3",
        "--output-dir",
        tmp_path / "eval",
    )
    labels = np.int32([[2, 4] + [0] * 7, [0] * 9])
    assert set(shown) == {"samples.png", "transfer.png"}
    assert shown["samples.png"].row_labels == ["cheese, onion", "none"] and shown["samples.png"].columns == 3
    transfer = shown["transfer.png"]
    assert transfer.column_labels == ["real", "its label", "cheese, onion", "none"]
    cells = transfer.images.reshape(3, 4, 3, 32, 32)
    latents = model.encode((cells[:, 0], own_labels(cells[:, 0])))
    for column, label in enumerate(labels, start=2):
        assert np.array_equal(cells[:, column], model.draw((latents, np.repeat(label[None], 3, 0))))


def test_an_unknown_tag_is_refused_with_a_suggestion(trained, tmp_path, capsys):
    refused = refused_here(capsys, "eval", trained, "--label", "basil,chese", "--output-dir", tmp_path / "eval")
    assert "no tag 'chese' (did you mean cheese?)" in refused
    assert list(tmp_path.iterdir()) == []


def test_eval_takes_photographs_that_were_never_seen(trained, tmp_path, shown):
    for split, numbers in (("train", range(20)), ("test", range(20, 24))):
        for number in numbers:
            photograph(tmp_path / split / f"{number}.png", number)
        write_labels(tmp_path / split, {f"{number}.png": tags_of(number) for number in numbers})
    here("eval", trained, "--reconstruct", "--data-path", tmp_path, "--output-dir", tmp_path / "eval")
    assert sorted(map(number_of, shown["reconstructions.png"].first[1])) == [20, 21, 22, 23]


def test_what_was_trained_on_is_not_called_held_out_when_the_folder_changes(trained, photographs, tmp_path, shown):
    changed = tmp_path / "photographs"
    shutil.copytree(photographs, changed)
    out = held_out(photographs)
    for number in out[1:]:
        (changed / name_of(number)).unlink()
    write_labels(changed, {name: tags for name, tags in table().items() if (changed / name).exists()})
    here("eval", trained, "--reconstruct", "--data-path", changed, "--output-dir", tmp_path / "eval")
    assert list(map(number_of, shown["reconstructions.png"].first[1])) == out[:1]


def test_without_held_out_photographs_the_pictures_say_what_they_show(trained, photographs, tmp_path, shown, capsys):
    changed = tmp_path / "photographs"
    shutil.copytree(photographs, changed)
    for number in held_out(photographs):
        (changed / name_of(number)).unlink()
    write_labels(changed, {name: tags for name, tags in table().items() if (changed / name).exists()})
    here("eval", trained, "--reconstruct", "--data-path", changed, "--output-dir", tmp_path / "eval")
    assert "the pictures may show images that were trained on: " in capsys.readouterr().out
    assert shown["reconstructions.png"].first[0] == "real (folder, train split)"


def test_transfer_with_a_single_photograph_has_a_whole_row(trained, tmp_path, shown):
    for number in range(12):
        photograph(tmp_path / f"{number}.png", number)
    write_labels(tmp_path, {f"{number}.png": tags_of(number) for number in range(12)})
    here("eval", trained, "--transfer", "--data-path", tmp_path, "--output-dir", tmp_path / "eval")
    transfer = shown["transfer.png"]
    rows = len(transfer.row_labels)
    assert len(transfer.images) == rows * transfer.columns and len(transfer.column_labels) == transfer.columns
    last = transfer.images[(rows - 1) * transfer.columns :]
    assert not (last[0] == 1).all() and number_of(last[0]) in range(12), "the row begins with the photograph"


def test_photographs_with_other_tags_are_refused(trained, photographs, loaded, tmp_path, capsys):
    moved = tmp_path / "photographs"
    shutil.copytree(photographs, moved)
    write_labels(moved, {name: [tag.replace("cheese", "anchovy") for tag in tags] for name, tags in table().items()})
    refused = refused_here(
        capsys, "eval", trained, "--reconstruct", "--data-path", moved, "--output-dir", tmp_path / "eval"
    )
    assert "anchovy" in refused
    assert not (tmp_path / "eval").exists()


# export


def test_the_contract_says_what_encoder_and_generator_take(bundle):
    mindirs = {"generator.mindir", "encoder.mindir"}
    onnxes = {"generator/1/generator.onnx", "encoder/1/encoder.onnx"}
    assert {str(file.relative_to(bundle)) for file in bundle.rglob("*") if file.is_file()} == {
        *mindirs,
        *onnxes,
        "contract.json",
        "SHA256SUMS",
        "README.md",
        "samples.png",
        "settings.json",
        *(f"{model}/{name}" for model in ("generator", "encoder") for name in ("config.pbtxt", "model-settings.json")),
    }
    contract = json.loads((bundle / "contract.json").read_text())
    assert contract["labels"] == list(TAGS)
    assert set(contract["files"]) == set(contract["parity"]) == mindirs | onnxes
    for file, facts in contract["parity"].items():
        assert facts["batches"] == [1, 7, 64]
        assert facts["greatest_difference"] <= facts["tolerance"] == (0 if file in mindirs else 1e-5), file
    generator, encoder = contract["models"]["generator"], contract["models"]["encoder"]
    latent, label = generator["inputs"]
    assert (latent["name"], latent["shape"], latent["distribution"]) == ("latent", ["batch", 6], "normal")
    assert (label["name"], label["shape"], label["type"], label["range"]) == ("label", ["batch", 9], "int32", [0, 4])
    image, same_label = encoder["inputs"]
    (drawn,) = generator["outputs"]
    assert {**image, "meaning": drawn["meaning"]} == drawn and same_label == label
    assert image["meaning"].startswith(drawn["meaning"]) and "INTER_AREA" in image["meaning"]
    assert (image["shape"], image["range"], image["layout"]) == (["batch", 3, 32, 32], [0.0, 1.0], "NCHW")
    assert [(output["name"], output["shape"]) for output in encoder["outputs"]] == [
        ("mean", ["batch", 6]),
        ("log_variance", ["batch", 6]),
    ]


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


def test_infer_draws_the_tags_that_are_named(bundle, model, tmp_path):
    here(
        "infer",
        bundle,
        "--num",
        5,
        "--seed",
        4,
        "--label",
        "olive,basil",
        "--label",
        "onion",
        "--output",
        tmp_path / "images.npy",
    )
    labels = np.int32([[1, 3] + [0] * 7, [4] + [0] * 8])[[0, 1, 0, 1, 0]]
    expected = model.draw(seeded_inputs(LATENT, 5, 4, labels))
    assert np.array_equal(np.load(tmp_path / "images.npy"), expected)


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


def another_tag(folder):
    write_labels(folder, {**table(), name_of(2): ["basil"]})


def a_new_tag(folder):
    write_labels(folder, {**table(), name_of(2): ["mushroom"]})


def another_photograph(folder):
    photograph(folder / "new.png", 5)


def another_photograph_with_its_tags(folder):
    another_photograph(folder)
    write_labels(folder, {**table(), "new.png": ["basil"]})


@pytest.mark.parametrize(
    "change, named",
    [
        (another_tag, "1 image has another label (02.bmp: basil, was cheese)"),
        (a_new_tag, "mushroom"),
        (another_photograph, "labels.csv: has no row for new.png"),
        (another_photograph_with_its_tags, "1 image is new (new.png)"),
    ],
)
def test_a_run_goes_on_with_no_other_photographs(change, named, trained, photographs, tmp_path, capsys):
    shutil.copytree(photographs, tmp_path / "changed")
    change(tmp_path / "changed")
    before = {file: file.read_bytes() for file in trained.rglob("*") if file.is_file()}
    refused = refused_here(
        capsys, "train", "--resume", trained, "--steps", STEPS + 1, "--data-path", tmp_path / "changed"
    )
    assert named in refused
    assert {file: file.read_bytes() for file in trained.rglob("*") if file.is_file()} == before


# every recipe, and what none takes


def test_every_recipe_is_trained_here():
    assert PUBLISHED == {*GREY, *COLOUR, *OTHERS} == {*SMALL}


@pytest.mark.parametrize(
    "name", ["mlp", *(pytest.param(name, marks=pytest.mark.slow) for name in (*GREY[1:], *COLOUR))]
)
def test_recipes_without_labels_train_on_photographs(name, photographs, tmp_path, capsys):
    here(*training(name, photographs, tmp_path, "--skip-unreadable"))
    assert f"brought to 28x28 in {'grey' if name in GREY else 'colour'}" in capsys.readouterr().out
    settings = json.loads((tmp_path / name / "1" / "settings.json").read_text())
    assert settings["classes"] is None and settings["recipe"]["data"]["classes"] == 0
    for option in ("--reconstruct", "--transfer"):
        assert f"{name} has no encoder" in refused_here(capsys, "eval", tmp_path / name / "1", option)
    assert not (tmp_path / name / "1" / "eval").exists()


@pytest.mark.parametrize("name, max_tags", [("acgan", 0), ("cvae_late", 9)])
def test_sub_folders_are_classes_and_tags(name, max_tags, kinds, tmp_path):
    here(*training(name, kinds, tmp_path))
    settings = json.loads((tmp_path / name / "1" / "settings.json").read_text())
    assert settings["classes"] == ["calzone", "focaccia", "pizza"]
    assert (settings["recipe"]["data"]["classes"], settings["recipe"]["data"]["max_tags"]) == (3, max_tags)
    assert (tmp_path / name / "1" / "checkpoints" / "step_00000002" / "generator.ckpt").exists()
    images = data.load("folder", "train", kinds, DataRequest.of(settings["recipe"]["data"], channels=3))
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


@pytest.mark.parametrize(
    "name, more",
    [("mlp", ()), ("dcgan", ("--set", "data.rotate_and_mirror=False", "--set", "schedule.sampling=epochs"))],
)
def test_one_photograph_that_is_not_turned_fills_no_batch(name, more, tmp_path, capsys):
    refused = refused_here(capsys, *training(name, one_of(tmp_path / "one"), tmp_path / "runs", *more))
    assert "1 images cannot fill a batch of 4" in refused
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("name", ["acgan", "cvae_early"])
def test_conditional_recipes_need_labels(name, tmp_path, capsys):
    refused = refused_here(capsys, *training(name, one_of(tmp_path / "one"), tmp_path / "runs"))
    assert "has no labels, but a conditional recipe needs them" in refused
    assert not (tmp_path / "runs").exists()


def test_a_recipe_of_one_class_an_image_takes_no_tags(photographs, tmp_path, capsys):
    refused = refused_here(capsys, *training("acgan", photographs, tmp_path / "runs"))
    assert "labels.csv: line 1: lists tags, but this recipe takes one class an image" in refused
    assert not (tmp_path / "runs").exists()


def test_a_single_class_says_nothing(tmp_path, capsys):
    for number in range(4):
        photograph(tmp_path / "data" / "pizza" / f"{number}.png", number)
    refused = refused_here(capsys, *training("acgan", tmp_path / "data", tmp_path / "runs"))
    assert not (tmp_path / "runs").exists()
    assert "data.classes must be 0 for none, or at least 2, not 1" in refused
