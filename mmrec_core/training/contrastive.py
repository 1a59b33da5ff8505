"""Train a small dual encoder on poster–text pairs with the contrastive loss of CLIP or of SigLIP."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from mmrec_core import registry, runtime
from mmrec_core.callbacks import TrainingCallbacks
from mmrec_core.config import TrainConfig
from mmrec_core.encoders._dual import DualEncoder, bags, infonce, pixels, sigmoid_loss, tokens
from mmrec_core.errors import MMRecError
from mmrec_core.features import open_poster, prompt_lines
from mmrec_core.features.nearest_neighbours import recall
from mmrec_core.training import checkpoint
from mmrec_core.training.trainer import train_model
from mmrec_core.types import Array, Dataset, Progress, blocks, quiet

KEEP_LINE = {"Plot": 0.8}
"""Probability to keep a line of the prompt in training; 0.5 for other lines. Dropping lines is data augmentation."""
CAPTIONED = 0.5
"""Probability to use a caption instead of the prompt, if posters have captions."""


@dataclass
class Pairs:
    """Posters with their texts, one row per film."""

    image: Array
    """uint8 ``[N, 3, 96, 64]``."""
    lines: list[list[Array]]
    """Per film: tokens of each line of the prompt."""
    keep: list[list[float]]
    """Per film: probability to keep each line."""
    captions: list[list[Array]] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.image)

    def take(self, rows: Array) -> Pairs:
        """Only these rows."""

        def pick(values: list[Any]) -> list[Any]:
            return [values[row] for row in rows.tolist()] if values else []

        return Pairs(self.image[rows], pick(self.lines), pick(self.keep), pick(self.captions))


def pairs_of(dataset: Dataset, progress: Progress = quiet) -> tuple[Pairs, Array]:
    """All films with a readable poster and a plot, and their catalog rows ``[N]``.

    Raises:
        MMRecError: the dataset has none.
    """
    catalog = dataset.catalog
    both: Array = (
        (catalog["poster"].notna() & catalog["plot"].notna()).to_numpy() if len(catalog) else np.zeros(0, bool)
    )
    images, lines, keep, rows = [], [], [], []
    texts = registry.load("datasets", dataset.manifest["reader"]).captions(dataset)
    for done, row in enumerate(np.flatnonzero(both).tolist()):
        if done % 50 == 0:
            progress(done, int(np.sum(both)), f"reading posters of {dataset.name}")
        image = open_poster(dataset, row)
        if image is None:
            continue
        own = prompt_lines(catalog.iloc[row].to_dict())
        images.append(pixels(image))
        lines.append([tokens(line) for line in own])
        keep.append([KEEP_LINE.get(line.partition(":")[0], 0.5) for line in own])
        rows.append(row)
    if not rows:
        raise MMRecError(
            f"No film of {dataset.name} has both a poster and a plot, so there are no pairs to learn from."
        )
    captions = [[tokens(text) for text in texts[row]] for row in rows] if texts else []
    return Pairs(np.stack(images), lines, keep, captions), np.array(rows)


def joined(parts: Sequence[Pairs]) -> Pairs:
    """Pairs of several datasets as one; captions are used only if all datasets have them."""
    captions = [c for p in parts for c in p.captions] if all(p.captions for p in parts) else []
    return Pairs(
        np.concatenate([p.image for p in parts]),
        [x for p in parts for x in p.lines],
        [x for p in parts for x in p.keep],
        captions,
    )


class PairLearner(nn.Module):
    """A :class:`~mmrec_core.training.trainer.Learner` of pairs."""

    def __init__(self, net: DualEncoder, loss: str, seed: int) -> None:
        super().__init__()
        self.net, self.kind, self.seed = net, loss, seed

    def epoch_rows(self, train: Pairs) -> int:
        """Rows in an epoch."""
        return len(train)

    def start_epoch(self, train: Pairs, epoch: int) -> None:
        """Nothing to do."""

    def batches(self, train: Pairs, epoch: int, *, batch_size: int, start: int = 0) -> Iterator[dict[str, Any]]:
        """Batches of posters shifted by a few pixels and of augmented texts, a function of (seed, epoch, row).

        Args:
            train: the pairs.
            epoch: number of the epoch.
            batch_size: rows in a batch.
            start: first batch.
        """
        rng = np.random.default_rng([self.seed, epoch, 5])
        order = rng.permutation(len(train))
        shift, choice, which = (
            rng.integers(-3, 4, (len(train), 2)),
            rng.random(len(train)),
            rng.random((len(train), 12)),
        )
        for part in list(blocks(len(train), batch_size))[start:]:
            rows = order[part]
            image = np.stack([np.roll(train.image[r], shift[r], (1, 2)) for r in rows])
            flat, starts = bags([self._text(train, r, choice[r], which[r]) for r in rows])
            yield {"image": torch.from_numpy(image), "flat": flat, "starts": starts}

    @staticmethod
    def _text(train: Pairs, row: int, choice: float, which: Array) -> Array:
        """Tokens of a film's caption or of the kept lines of its prompt.

        Args:
            train: the pairs.
            row: the film.
            choice: random number in [0, 1) that decides between caption and prompt.
            which: random numbers ``[12]`` that choose the caption or the kept lines.
        """
        if train.captions and choice < CAPTIONED:
            return train.captions[row][int(which[0] * len(train.captions[row]))]
        own = [line for line, keep, draw in zip(train.lines[row], train.keep[row], which, strict=False) if draw < keep]
        return np.concatenate(own or train.lines[row])

    def loss(self, batch: Mapping[str, Tensor]) -> Tensor:
        """Mean loss of the batch's pairs."""
        text, image = self.net.texts(batch["flat"], batch["starts"]).float(), self.net.images(batch["image"]).float()
        if self.kind == "sigmoid":
            return sigmoid_loss(text, image, self.net.log_scale, self.net.bias).mean()
        return infonce(text, image, self.net.log_scale).mean()

    def snapshot(self) -> dict[str, Tensor]:
        """A copy of all tensors."""
        return {k: v.clone() for k, v in self.state_dict().items()}

    def restore(self, snapshot: Mapping[str, Tensor]) -> None:
        """Return to a snapshot."""
        self.load_state_dict(dict(snapshot))


@torch.inference_mode()
def vectors(net: DualEncoder, pairs: Pairs) -> tuple[Array, Array]:
    """Text (the whole prompt) and image vectors ``[N, width]`` each."""
    net.eval()
    device = next(net.parameters()).device
    texts, images = [], []
    for part in blocks(len(pairs), 256):
        flat, starts = bags([np.concatenate(own) for own in pairs.lines[part]])
        texts.append(net.texts(flat.to(device), starts.to(device)).cpu().numpy())
        images.append(net.images(torch.from_numpy(pairs.image[part]).to(device)).cpu().numpy())
    return np.concatenate(texts), np.concatenate(images)


TRAIN = {
    "max_epochs": 30,
    "batch_size": 256,
    "lr": 0.002,
    "weight_decay": 0.02,
    "schedule": "cosine",
    "patience": 8,
    "clip": 1.0,
}
"""Default trainer settings of these encoders."""


def train_config(options: Mapping[str, Any]) -> TrainConfig:
    """Trainer settings: the defaults, overridden by ``options``.

    Raises:
        MMRecError: an unknown setting, or one out of range.
    """
    from pydantic import ValidationError

    try:
        return TrainConfig.model_validate({**TRAIN, **options})
    except ValidationError as error:
        raise MMRecError(registry.explain(error, "train-encoder", sorted(TrainConfig.model_fields))) from None


def fit(
    datasets: Sequence[Dataset],
    name: str,
    out: Path,
    *,
    options: Mapping[str, Any] | None = None,
    seed: int = 0,
    held_out: float = 0.2,
    callbacks: TrainingCallbacks | None = None,
) -> dict[str, Any]:
    """Train ``mini_clip`` or ``mini_siglip`` and write its weights.

    A share ``held_out`` of the films, drawn by the seed, is the test set; a tenth of the rest is used for early
    stopping. With ``held_out=0`` the last dataset is not learned from but used for early stopping.

    Args:
        datasets: the datasets.
        name: ``mini_clip`` or ``mini_siglip``.
        out: the ``.safetensors`` file to write, half precision.
        options: settings of encoder and trainer that differ from the defaults.
        seed: seed of test set, weights and batches.
        held_out: share of the films in the test set.
        callbacks: event log, progress, stop flag.

    Returns:
        ``{"films", "retrieval": {...}, "epochs", "best_epoch", "seconds"}``; retrieval both ways on held-out films,
        with intervals and chance.

    Raises:
        MMRecError: no pairs, or settings out of range.
    """
    callbacks = callbacks or TrainingCallbacks()
    given = dict(options or {})
    own = {k: given.pop(k) for k in list(given) if k in registry.load("encoders", name).Config.model_fields}
    config = registry.config("encoders", name, own)
    how = train_config(given)
    found = [pairs_of(dataset, callbacks.progress)[0] for dataset in datasets]
    rng = np.random.default_rng([seed, 17])
    if held_out:
        whole = joined(found)
        order = rng.permutation(len(whole))
        n_test = max(1, round(held_out * len(whole)))
        n_stop = max(1, (len(whole) - n_test) // 10)
        test, stop = whole.take(order[:n_test]), whole.take(order[n_test : n_test + n_stop])
        train = whole.take(order[n_test + n_stop :])
    else:
        train, stop = joined(found[:-1]), found[-1]
        test = None
    if len(train) < 2:
        raise MMRecError("There are too few posters with a plot to learn from.")
    device = runtime.device(how.device)
    torch.manual_seed(seed)
    learner = PairLearner(DualEncoder(config.width), config.loss, seed).to(device)
    if config.loss == "sigmoid":
        with torch.no_grad():
            learner.net.bias.fill_(-math.log(how.batch_size))

    def validate() -> float:
        return float(recall(*vectors(learner.net, stop))["text_to_image"]["recall@10"])

    state = train_model(
        learner, train, how, validate if how.patience else None, 1.0, "recall@10", callbacks, "fit", device
    )
    result: dict[str, Any] = {
        "width": config.width,
        "loss": config.loss,
        "datasets": [d.name for d in datasets],
        "seed": seed,
        "films": len(train),
        "epochs": len(state.epochs),
        "best_epoch": state.best_epoch,
        "stopping": recall(*vectors(learner.net, stop)),
        "retrieval": recall(*vectors(learner.net, test)) if test is not None else None,
        "seconds": round(state.seconds, 1),
    }
    checkpoint.write(out, {k: v.half() for k, v in learner.net.state_dict().items()}, result)
    return result
