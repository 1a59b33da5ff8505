"""Measure the size of a training run and the duration of an epoch with a few steps."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from mmrec_core import features, ownership, registry, runs, runtime
from mmrec_core.data.preparation import open_dataset
from mmrec_core.data.splits import make_split, with_validation
from mmrec_core.errors import MMRecError
from mmrec_core.models._base import GradientModel, _to
from mmrec_core.training.fit import check_needs, reads_content, split_settings, thinned, train_set

STEPS = 6


def measure(params: Mapping[str, Any]) -> dict[str, Any]:
    """Build the model and take a few steps; the model is then discarded.

    Returns:
        ``parameters``, ``rows`` and ``batches`` of an epoch, ``epoch_s`` in seconds (without validation),
        ``max_epochs``.

    Raises:
        MMRecError: invalid settings, or a closed-form model, which has no epochs.
    """
    ownership.require("take steps of a training run")
    name, dataset = params["model"], open_dataset(params["dataset"])
    cls = registry.load("models", name)
    if not issubclass(cls, GradientModel):
        raise MMRecError(
            f"'{name}' is solved in closed form; it takes seconds to minutes and has no epochs to measure."
        )
    config, trainer = split_settings(name, params["options"])
    check_needs(cls, name, dataset)
    how = cls.train_config(trainer)
    liked = runs.liked_from(params)
    made = make_split(dataset, params["split"], params["split_seed"], params["filter_from"], liked)
    split = with_validation(made, dataset=dataset)
    threshold = liked if liked is not None else dataset.manifest.get("relevant_from")
    content = features.content(dataset, params["encoder"], params["modality"]) if reads_content(cls) else ()
    train = train_set(dataset, thinned(split.train, params["fraction"], split.seed), params["seed"], threshold, content)
    device = runtime.device(how.device)
    model = cls(config, train.schema, train.side, train.seed).bind(dataset).to(device)
    if dataset.interactions.item is not None:
        model.mark_known(train.interactions)
    model.begin(train)
    model.start_epoch(train, 0)
    model.train()
    optimiser = torch.optim.AdamW(model.parameters(), lr=how.lr)
    started = time.perf_counter()
    batches, rows, steps, first, spent = model.batches(train, 0, batch_size=how.batch_size), 0, 0, 0.0, []
    for batch in batches:
        if not steps:
            first = time.perf_counter() - started  # time to draw the epoch's rows, once per epoch
        step_started = time.perf_counter()
        rows = max(rows, len(next(iter(batch.values()))))
        optimiser.zero_grad()
        model.loss(_to(batch, device)).backward()
        optimiser.step()
        if device == "cuda":
            torch.cuda.synchronize()
        spent.append(time.perf_counter() - step_started)
        steps += 1
        if steps >= STEPS:
            break
    table = model.epoch_rows(train)
    n_batches = -(-table // how.batch_size)
    step_s = float(np.mean(spent[1:] or spent))  # batches may differ in shape
    return {
        "parameters": sum(p.numel() for p in model.parameters()), "rows": table, "batches": n_batches,
        "epoch_s": first + n_batches * step_s, "max_epochs": how.max_epochs,
    }  # fmt: skip
