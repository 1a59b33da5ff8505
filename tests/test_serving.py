"""Tables in fewer bits: looked up like the others, close to them, smaller."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from mmrec_core import runs
from mmrec_core.data.preparation import open_dataset, prepare
from mmrec_core.errors import MMRecError
from mmrec_core.jobs import worker
from mmrec_core.serving import quantize


def test_bytes_are_within_half_a_step() -> None:
    """int8: each number within half of its row's step; the largest is exact; float16 within its own rounding."""
    table = nn.Embedding(50, 8)
    index = torch.tensor([[3, 4], [49, 0]])
    small = quantize.SmallTable(table, "int8")
    step = table.weight.abs().amax(1, keepdim=True) / 127
    assert bool(((small.weight - table.weight).abs() <= step / 2 + 1e-7).all())
    torch.testing.assert_close(small(index), small.weight[index])
    half = quantize.SmallTable(table, "fp16")
    torch.testing.assert_close(half(index), table.weight[index].half().float())
    assert (
        quantize.table_bytes(nn.Sequential(small))
        < quantize.table_bytes(nn.Sequential(half))
        < table.weight.numel() * 4
    )


def test_unknown_format_is_refused() -> None:
    with pytest.raises(MMRecError, match="int8"):
        quantize.shrink(nn.Sequential(), "int3")


def test_evaluate_tells_what_smaller_tables_cost(home: Path, ratings_csv: Path) -> None:
    """The change of every figure, and the bytes; the trained model stays as it is."""
    prepare("csv", source=ratings_csv, name="mine", options={"scale": "0.5:5"})
    how = {"max_epochs": 2, "device": "cpu"}
    run = worker.work(runs.create("train", runs.training_params("mine", "dlrm", options=how)).id, foreground=True)
    asked = runs.evaluation_params(run.id, "full", "frozen", None, "int8")
    evaluated = worker.work(runs.create("evaluate", asked).id, foreground=True).result() or {}
    served = evaluated["serving"]
    assert served["bytes"]["int8"] < 0.5 * served["bytes"]["fp32"]
    assert served["change"]["rmse"] == pytest.approx(served["metrics"]["rmse"] - evaluated["metrics"]["rmse"])
    assert abs(served["change"]["rmse"]) < 0.01 and np.isfinite(list(served["change"].values())).all()
    assert evaluated["metrics"]["rmse"] == pytest.approx((run.result() or {})["metrics"]["rmse"])
    assert open_dataset("mine").name == "mine"
