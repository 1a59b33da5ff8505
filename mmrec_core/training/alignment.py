"""Train the heads of ``aligned:TEXT+IMAGE``: a joint space of two frozen encoders from a dataset's own pairs."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmrec_core import features, registry, runtime
from mmrec_core.callbacks import TrainingCallbacks
from mmrec_core.config import TrainConfig
from mmrec_core.encoders._dual import infonce, sigmoid_loss
from mmrec_core.encoders.aligned import Aligned, parts
from mmrec_core.errors import MMRecError
from mmrec_core.features.nearest_neighbours import recall
from mmrec_core.training.trainer import train_model
from mmrec_core.types import MODALITIES, Array, Dataset, blocks

PATIENCE = 10
STOPPING = 0.1
"""Share of the pairs that are not held out which decides when to stop."""
TOO_FEW = 20
"""Pairs without which nothing is learned."""


@dataclass
class VectorPairs:
    """Vectors of the texts and the images of the same films."""

    text: Array
    """float32 ``[N, d]``."""
    image: Array
    """float32 ``[N, e]``."""

    def __len__(self) -> int:
        return len(self.text)

    def take(self, rows: Array) -> VectorPairs:
        """Only these rows."""
        return VectorPairs(self.text[rows], self.image[rows])


class AlignmentHeads(nn.Module):
    """A :class:`~mmrec_core.training.trainer.Learner`: a linear head on the vectors of each encoder."""

    def __init__(self, train: VectorPairs, config: Aligned.Config) -> None:
        super().__init__()
        self.config, self.seed = config, config.seed
        for side, vectors in (("text", train.text), ("image", train.image)):
            self.add_module(side, nn.Linear(vectors.shape[1], config.width))
            self.register_buffer(f"{side}_mean", torch.from_numpy(vectors.mean(0)))
            self.register_buffer(f"{side}_std", torch.from_numpy(vectors.std(0) + 1e-4))
        self.log_scale = nn.Parameter(torch.tensor(2.3))
        self.bias = nn.Parameter(torch.tensor(-math.log(config.batch_size)))

    def forward(self, vectors: Tensor, side: str) -> Tensor:
        """Vectors ``[B, d]`` of one encoder in the joint space, unit length ``[B, width]``."""
        x = (vectors - getattr(self, f"{side}_mean")) / getattr(self, f"{side}_std")
        return F.normalize(getattr(self, side)(F.dropout(x, self.config.dropout, self.training)), dim=1)

    def epoch_rows(self, train: VectorPairs) -> int:
        """Rows in an epoch."""
        return len(train)

    def start_epoch(self, train: VectorPairs, epoch: int) -> None:
        """Nothing to do."""

    def batches(self, train: VectorPairs, epoch: int, *, batch_size: int, start: int = 0) -> Iterator[dict[str, Any]]:
        """Pairs in an order that is a function of (seed, epoch), from batch ``start`` on."""
        order = np.random.default_rng([self.seed, epoch, 5]).permutation(len(train))
        for part in list(blocks(len(train), batch_size))[start:]:
            rows = order[part]
            yield {"text": torch.from_numpy(train.text[rows]), "image": torch.from_numpy(train.image[rows])}

    def loss(self, batch: Mapping[str, Tensor]) -> Tensor:
        """Mean loss of the batch's pairs."""
        text, image = self(batch["text"], "text").float(), self(batch["image"], "image").float()
        if self.config.loss == "sigmoid":
            return sigmoid_loss(text, image, self.log_scale, self.bias).mean()
        return infonce(text, image, self.log_scale).mean()

    def snapshot(self) -> dict[str, Tensor]:
        """A copy of all tensors."""
        return {k: v.clone() for k, v in self.state_dict().items()}

    def restore(self, snapshot: Mapping[str, Tensor]) -> None:
        """Return to a snapshot."""
        self.load_state_dict(dict(snapshot))

    def arrays(self) -> dict[str, Array]:
        """What :meth:`~mmrec_core.encoders.aligned.Aligned.restore` takes."""
        found: dict[str, Array] = {}
        for side in MODALITIES:
            head = getattr(self, side)
            own = {"weight": head.weight, "bias": head.bias, "mean": getattr(self, f"{side}_mean"),
                   "std": getattr(self, f"{side}_std")}  # fmt: skip
            found |= {f"{side}.{k}": v.detach().cpu().numpy().astype(np.float32) for k, v in own.items()}
        return found


def divide(n: int, held_out: float, seed: int) -> tuple[Array, Array, Array]:
    """Rows to learn from, rows that decide when to stop, and held-out rows, drawn by the seed."""
    order = np.random.default_rng([seed, 17]).permutation(n)
    n_test = round(held_out * n)
    n_stop = max(1, round(STOPPING * (n - n_test)))
    return order[n_test + n_stop :], order[n_test : n_test + n_stop], order[:n_test]


def fit_heads(
    pairs: VectorPairs, config: Aligned.Config, callbacks: TrainingCallbacks, device: str
) -> tuple[AlignmentHeads, dict[str, Any]]:
    """Train the heads on pairs.

    Returns:
        The heads, and ``{"pairs", "epochs", "best_epoch", "stopping", "retrieval"}``: retrieval both ways among the
        held-out pairs, with intervals and chance; ``None`` if none are held out.
    """
    learn, stop, test = divide(len(pairs), config.held_out, config.seed)
    train = pairs.take(learn)
    torch.manual_seed(config.seed)
    heads = AlignmentHeads(train, config).to(device)

    def retrieval(rows: Array) -> dict[str, Any]:
        heads.eval()
        own = pairs.take(rows)
        with torch.inference_mode():
            sides = [heads(torch.from_numpy(getattr(own, m)).to(device), m).cpu().numpy() for m in MODALITIES]
        return recall(*sides)

    def validate() -> float:
        found = retrieval(stop)
        return float(found["text_to_image"]["recall@10"] + found["image_to_text"]["recall@10"]) / 2

    how = TrainConfig(
        max_epochs=config.max_epochs,
        batch_size=config.batch_size,
        lr=config.lr,
        weight_decay=config.weight_decay,
        schedule="cosine",
        patience=PATIENCE,
    )
    state = train_model(heads, train, how, validate, 1.0, "recall@10", callbacks, "fit", device)
    return heads, {
        "pairs": len(train),
        "epochs": len(state.epochs),
        "best_epoch": state.best_epoch,
        "stopping": retrieval(stop),
        "retrieval": retrieval(test) if len(test) else None,
    }


def align(
    dataset: Dataset,
    encoder: str,
    *,
    options: Mapping[str, Any] | None = None,
    device: str = "cpu",
    callbacks: TrainingCallbacks | None = None,
) -> dict[str, Any]:
    """Learn a joint space of two encoders and store the vectors of all films in it.

    An encoder of the two that has not read the dataset does so first. A share ``held_out`` of the films with both a
    plot and a poster is a test set; a tenth of the others decides when to stop.

    Args:
        dataset: the dataset.
        encoder: ``aligned:TEXT+IMAGE``.
        options: settings of :class:`~mmrec_core.encoders.aligned.Aligned` that differ from the defaults.
        device: torch device.
        callbacks: event log, progress, stop flag.

    Returns:
        As :func:`mmrec_core.features.encode`, with the entries of :func:`fit_heads`.

    Raises:
        MMRecError: an encoder is not available, settings are out of range, or too few films have both.
    """
    started, callbacks = time.perf_counter(), callbacks or TrainingCallbacks()
    names = parts(encoder)
    config = registry.config("encoders", "aligned", dict(options or {}))
    for modality, name in names.items():
        if modality not in features.available(dataset).get(name, {"modality": ()})["modality"]:
            features.encode(dataset, name, device=device, modalities=[modality], progress=callbacks.progress)
    sides = {m: features.load(dataset, name, m) for m, name in names.items()}
    text, image = (_by_row(sides[m]) for m in MODALITIES)
    shared = sorted(set(text) & set(image))
    if len(shared) < TOO_FEW:
        raise MMRecError(
            f"{len(shared)} films of {dataset.name} have both a plot and a poster; at least {TOO_FEW} are needed to "
            "learn from."
        )
    pairs = VectorPairs(
        sides["text"].dense[[text[row] for row in shared]], sides["image"].dense[[image[row] for row in shared]]
    )
    heads, found = fit_heads(pairs, config, callbacks, runtime.device(device))
    made = Aligned(encoder, config)
    made.restore(heads.arrays())
    stored = features.write(
        features.folder_of(dataset, encoder),
        dataset,
        encoder,
        {m: (own.items, made.project(own.dense, m).astype(np.float16)) for m, own in sides.items()},
        offers=MODALITIES,
        joint=True,
        version=made.version,
        options=dict(options or {}),
        state=made.state(),
        retrieval=found["retrieval"],
    )
    counts = {m: {k: v[k] for k in ("n", "width", "missing")} for m, v in stored["modality"].items()}
    seconds = round(time.perf_counter() - started, 2)
    return {"encoder": encoder, "dataset": dataset.name, "modality": counts, **found, "seconds": seconds}


def _by_row(own: features.Features) -> dict[int, int]:
    """Position of each catalog row's vector."""
    return {int(row): at for at, row in enumerate(own.items)}
