"""The model card in a bundle's README: what it was trained on, how it scores, and what it is not for."""

from __future__ import annotations

from ms_gan.delivery.contract import Contract

OWN = "Who made the images, and under which licence, is for whoever exports the model to add."
MNIST = (
    "MNIST's training images of handwritten digits (LeCun, Cortes and Burges), under CC BY-SA 3.0 as the "
    "documentation of Keras says"
)
DRAWN = "drawn by ms_gan, which is under Apache-2.0; no photograph or other picture is in them"
DATA = {
    "mnist": f"{MNIST}.",
    "stacked_mnist": f"Three digits as the colours of one image: {MNIST}.",
    "digits": f"Digits {DRAWN}.",
    "stacked_digits": f"Three digits as the colours of one image, {DRAWN}.",
    "pizza": f"Pizzas {DRAWN}.",
    "folder": f"A folder of images. {OWN}",
    "arrays": f"Arrays of images. {OWN}",
    "idx": f"Images in MNIST's format. {OWN}",
}
SCORED = (
    "By `eval --metrics`: {generated:,} samples of seed {seed} of this checkpoint against {real:,} images of the split "
    '"{split}"; "real" are training images in their place. What the scores mean: docs/metrics.md of ms_gan.'
)
NOT_SCORED = (
    "This checkpoint was not scored before it was exported. Where the data have at least 100 test "
    "images, and 119 training images, `eval RUN --metrics`, and then `export`, puts scores here."
)


def card(contract: Contract) -> str:
    """Return the model card as Markdown."""
    data = DATA.get(contract.origin["dataset"], OWN)
    return "\n\n".join([f"**Trained on:** {data}", _scores(contract), f"**Limits:**\n\n{_limits(contract)}"])


def _scores(contract: Contract) -> str:
    scores = contract.scores
    if scores is None:
        return f"**Scores:** {NOT_SCORED}"
    text = SCORED.format(**scores.protocol) + (f" Judge: {scores.judge}." if scores.judge else "")
    text += f" The weights were rounded to {contract.weights} after that." if contract.weights != "float32" else ""
    rows = [
        f"| `{name}` | {_number(value)} | {_number(scores.real.get(name))} |"
        for name, value in scores.generated.items()
    ]
    return "\n".join([f"**Scores:** {text}", "", "| score | generated | real |", "|---|---|---|", *rows])


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.4g}"


def _limits(contract: Contract) -> str:
    image = contract.generator.outputs[0]
    channels, height, width = image.shape
    limits = [
        f"It draws {height}×{width} pixels in {'colour' if channels == 3 else 'grey'}, of the kind that it was trained "
        "on and of no other.",
        "Its images are made up. They say nothing about any one thing or person, and may be as one-sided as the images "
        "that it learned from.",
        "An image may come near to one that it was trained on.",
    ]
    if contract.labels:
        limits.append("A label is a wish: some images show something else.")
    return "\n".join(f"- {limit}" for limit in limits)
