"""The exported folder: checked against its contract, and used with nothing else of the project's training."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ms_gan.delivery.contract import ANOTHER_COPY, CONTRACT, ModelSpec, example_inputs, read_contract
from ms_gan.delivery.formats import READERS, ArrayFunction, takes_any_rows
from ms_gan.errors import Setting, UserError
from ms_gan.files import CHECKSUMS, read_checksums, sha256_of_file
from ms_gan.labels import LabelNames
from ms_gan.sampling import CHUNK, LARGE, Inputs, Rows, Sampler, in_chunks, rows_at_once
from ms_gan.schema.recipe import Latent


class Bundle(Sampler):
    """An exported generator, and encoder, in one of its formats.

    Contract and models are checked before they are used. Server settings, the README and other files are not checked:
    the operator may change them.
    """

    def __init__(self, folder: Path, file_format: str | None = None, names: Sequence[str] | None = None):
        """Open a bundle. names: which models (default: all). file_format: default `held_format`.

        Raises UserError for a folder that is no bundle, is damaged or contradicts itself.
        """
        self.folder = Path(folder)
        self.contract = read_contract(self.folder)
        self.format = file_format or self.contract.held_format
        self._check_files()
        self.models = {name: self._open(name) for name in names or self.contract.models}
        self._rows: dict[str, Rows] = {}
        self._run_so_far = dict.fromkeys(self.models, 0)  # rows, with padding

    @property
    def name(self) -> str:
        """The bundle's folder."""
        return str(self.folder)

    @property
    def latent(self) -> Latent:
        """What its latents are."""
        return self.contract.generator.inputs[0].latent

    @property
    def label_names(self) -> LabelNames | None:
        """The names of a conditional generator's labels; None for a generator without labels."""
        return self.contract.label_names

    def draw(self, inputs: Inputs) -> np.ndarray:
        """Return images, float32 in [0, 1], N×C×H×W.

        inputs: latents, float32 (N, size); for a conditional generator also labels, int32, (N,) or (N, max_tags).
        """
        return self._run("generator", inputs)

    def encode(self, inputs: Inputs) -> np.ndarray:
        """Return the means of the latents, float32 (N, size). Raises UserError for a bundle without encoder.

        inputs: images, float32 in [0, 1], N×C×H×W; for a conditional model also labels, int32, (N,) or (N, max_tags).
        """
        if "encoder" not in self.models:
            raise UserError(f"{self.folder}: has no encoder: only bundles of autoencoders have one")
        return self._run("encoder", inputs)

    def rows(self, name: str) -> Rows:
        """Return how many rows a model may compute at once: an image has the same bits with any other number."""
        if name not in self._rows:
            self._rows[name] = rows_of(self.models[name], self.contract.models[name], self.label_names, self.format)
        return self._rows[name]

    def _run(self, name: str, inputs: Inputs) -> np.ndarray:
        self._run_so_far[name] += max(len(inputs[0]), CHUNK)
        # to find out takes as long as to draw 400: not for a few images alone
        rows = self.rows(name) if self._run_so_far[name] >= LARGE else Rows()
        return in_chunks(self.models[name], inputs, *rows)[0]

    def _check_files(self) -> None:
        """Check the files that the contract lists, and the contract itself if its checksum is listed.

        The operator may change all other files, the list of checksums included.
        """
        digests = {name: (file.sha256, CONTRACT) for name, file in self.contract.files.items()}
        with contextlib.suppress(UserError):  # a list that cannot be read says nothing about the contract
            listed = read_checksums(self.folder)
            if CONTRACT in listed:
                digests[CONTRACT] = (listed[CONTRACT], CHECKSUMS)
        for name, (digest, lister) in digests.items():
            file = self.folder / name
            if not file.is_file():
                raise UserError(f"{file}: missing, though {lister} lists it", ANOTHER_COPY)
            if sha256_of_file(file) != digest:
                raise UserError(f"{file}: damaged or changed (its SHA-256 is not the one in {lister})", ANOTHER_COPY)

    def _open(self, name: str) -> ArrayFunction:
        """Load a model, and run it once: does it take and give what the contract says?"""
        spec = self.contract.models[name]
        if self.format not in spec.files:
            raise UserError(
                f"{self.folder}: holds no {self.format}, only {', '.join(spec.files)}",
                "export it again with ",
                Setting("format", self.format),
            )
        file, known = self.folder / spec.files[self.format], self.label_names
        try:
            model = READERS[self.format](file, spec)
            inputs = example_inputs(spec, known, 2, 0)
            found = [output.shape for output in model(*inputs)]
            counts_agree = known is None or _knows_labels(model, inputs, len(known.names) - (not known.max_tags))
        except UserError:
            raise
        except Exception as error:  # each runtime has its own ways to say that an input does not fit
            raise UserError(f"{file}: does not take what {CONTRACT} says", ANOTHER_COPY) from error
        promised = [tuple(output.batch_of(2)) for output in spec.outputs]
        if found != promised:
            raise UserError(f"{file}: gives {found}, where {CONTRACT} promises {promised}", ANOTHER_COPY)
        if not counts_agree:
            count = len(self.contract.labels or ())
            raise UserError(f"{file}: knows another number of labels than the {count} of {CONTRACT}", ANOTHER_COPY)
        return model


def rows_of(model: ArrayFunction, spec: ModelSpec, label_names: LabelNames | None, file_format: str) -> Rows:
    """Return how many rows an opened model may compute at once, so that each has the bits that it has among 16."""
    if not takes_any_rows(file_format):
        return Rows()
    return rows_at_once(model, example_inputs(spec, label_names, LARGE, 1))


def _knows_labels(model: ArrayFunction, inputs: Inputs, highest: int) -> bool:
    """Tell whether a model knows labels up to `highest` and no higher ones, which its one-hot turns into zeros."""
    first, label = inputs[0], np.zeros_like(inputs[1])
    found = []
    for number in (highest, highest + 1, highest + 2):
        label.reshape(len(label), -1)[:, 0] = number
        found.append(np.concatenate([output.ravel() for output in model(first, label)]))
    # NaN, of a network that overflows, differs from NaN: it says nothing about labels
    return not np.array_equal(found[0], found[1]) and np.array_equal(found[1], found[2], equal_nan=True)
