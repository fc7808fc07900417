"""The exported folder: checked against its contract, and used with nothing else of the project's training."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ms_gan.delivery.contract import CONTRACT, Facts, example_inputs, held_format, labels_of, read_contract
from ms_gan.delivery.formats import READERS, Run
from ms_gan.errors import UserError
from ms_gan.evaluation.sampling import Inputs, in_chunks
from ms_gan.files import CHECKSUMS, read_checksums, sha256_of_file


class Bundle:
    """An exported generator, and encoder, in one of its formats.

    Contract and models are checked before they are used. Settings of servers, the README and any other files are not:
    they are for whoever runs the bundle to change.
    """

    def __init__(self, folder: Path, format: str | None = None, names: Sequence[str] | None = None):
        """Open a bundle, and of its models all or those of these names, in a format or in that of `held_format`.

        Raises UserError, in one line, for a folder that is none, is damaged or contradicts itself.
        """
        self.folder = Path(folder)
        self.contract: Facts = read_contract(self.folder)
        self.format = format or held_format(self.contract)
        self._check_files()
        self.labels = labels_of(self.contract)
        latent = self.contract["models"]["generator"]["inputs"][0]
        self.latent = {"size": latent["shape"][1], "distribution": latent["distribution"]}
        self.models = {name: self._open(name) for name in names or self.contract["models"]}

    def draw(self, inputs: Inputs) -> np.ndarray:
        """Return the images of latents, float32 (N, size), and, with labels, those, int32, (N,) or (N, places).

        float32 in [0, 1], N×C×H×W.
        """
        return in_chunks(self.models["generator"], inputs)[0]

    def encode(self, inputs: Inputs) -> np.ndarray:
        """Return the means of the latents of images, float32 in [0, 1], N×C×H×W, and, with labels, those.

        float32, (N, size). Raises UserError for a bundle without encoder.
        """
        if "encoder" not in self.models:
            raise UserError(f"{self.folder}: has no encoder; only those of autoencoders have")
        return in_chunks(self.models["encoder"], inputs)[0]

    def _check_files(self) -> None:
        """Check the contract by its checksum, where one is there, and what the contract tells of.

        The rest, the list of checksums among it, is the operator's to change.
        """
        digests = {name: (facts["sha256"], CONTRACT) for name, facts in self.contract["files"].items()}
        with contextlib.suppress(UserError):  # a list that cannot be read says nothing about the contract
            listed = read_checksums(self.folder)
            if CONTRACT in listed:
                digests[CONTRACT] = (listed[CONTRACT], CHECKSUMS)
        for name, (digest, teller) in digests.items():
            file = self.folder / name
            if not file.is_file():
                raise UserError(f"{file}: missing, though {teller} lists it; use another copy of the bundle")
            if sha256_of_file(file) != digest:
                raise UserError(
                    f"{file}: damaged or changed (its SHA-256 is not the one in {teller}); "
                    f"use another copy of the bundle"
                )

    def _open(self, name: str) -> Run:
        """Load a model, and run it once: does it take and give what the contract says?"""
        facts, format = self.contract["models"][name], self.format
        if format not in facts["files"]:
            raise UserError(
                f"{self.folder}: holds no {format}, only {', '.join(facts['files'])}; export it again with "
                f"--format {format}"
            )
        file = self.folder / facts["files"][format]
        try:
            run = READERS[format](file, facts)
            inputs = example_inputs(facts, self.labels, 2, 0)
            found = [(len(output), *output.shape[1:]) for output in run(*inputs)]
            counts_agree = self.labels is None or _counts_labels(run, inputs, facts["inputs"][1]["range"][1])
        except UserError:
            raise
        except Exception as error:  # each runtime has its own ways to say that an input does not fit
            raise UserError(f"{file}: does not take what {CONTRACT} says; use another copy of the bundle") from error
        promised = [(2, *output["shape"][1:]) for output in facts["outputs"]]
        if found != promised:
            raise UserError(
                f"{file}: gives {found}, where {CONTRACT} promises {promised}; use another copy of the bundle"
            )
        if not counts_agree:
            raise UserError(
                f"{file}: knows another number of labels than the {len(self.labels.names)} of {CONTRACT}; "
                f"use another copy of the bundle"
            )
        return run


def _counts_labels(run: Run, inputs: Inputs, highest: int) -> bool:
    """Tell whether a model knows labels up to `highest`, and none beyond: all of those are nothing to its one-hot."""
    first, label = inputs[0], np.zeros_like(inputs[1])
    found = []
    for number in (highest, highest + 1, highest + 2):
        label.reshape(len(label), -1)[:, 0] = number
        found.append(np.concatenate([output.ravel() for output in run(first, label)]))
    # of a network that overflows, NaN differs from NaN, and says nothing about labels
    return not np.array_equal(found[0], found[1]) and np.array_equal(found[1], found[2], equal_nan=True)
