"""How steps are taken: precision, schedules, accumulation, a full GPU, a share of the rows, the same bits twice."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from mmrec_core import registry
from mmrec_core.callbacks import Interrupted, TrainingCallbacks
from mmrec_core.data import preparation
from mmrec_core.data.splits import make_split
from mmrec_core.errors import MMRecError
from mmrec_core.evaluation.evaluate import evaluate
from mmrec_core.models.mf import MF
from mmrec_core.training.fit import Fitted, fit, thinned, train_set
from mmrec_core.training.trainer import able_precision, train_model
from mmrec_core.types import Dataset


@pytest.fixture
def mine(home: Path, ratings_csv: Path) -> Dataset:
    preparation.prepare("csv", source=ratings_csv, name="mine", options={"scale": "0.5:5"})
    return preparation.open_dataset("mine")


def trained(dataset: Dataset, callbacks: TrainingCallbacks | None = None, **options: object) -> Fitted:
    usual = {"max_epochs": 4, "batch_size": 32, "patience": 0, "device": "cpu"}
    return fit("mf", dataset, make_split(dataset, "user-temporal"), options={**usual, **options}, callbacks=callbacks)


def notes(dataset: Dataset, **options: object) -> list[str]:
    heard: list[str] = []
    trained(
        dataset,
        TrainingCallbacks(log_event=lambda kind, values: heard.append(values["text"]) if kind == "note" else None),
        **options,
    )
    return heard


def weights(fitted: Fitted) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in fitted.model.parameters()])


def test_what_the_device_cannot_do_is_said_and_fp32_used(mine: Dataset) -> None:
    assert any("fp16 needs an NVIDIA GPU" in note for note in notes(mine, precision="fp16"))
    assert torch.equal(weights(trained(mine, precision="fp16")), weights(trained(mine)))
    assert able_precision("bf16", "mps")[0] == "fp32" and able_precision("fp32", "cpu") == ("fp32", None)


def test_bf16_trains_on_the_cpu(mine: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    real, cast = MF.loss, []

    def noting(self: MF, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        cast.append(torch.is_autocast_enabled("cpu"))
        return real(self, batch)

    monkeypatch.setattr(MF, "loss", noting)
    rough = trained(mine, precision="bf16")
    assert cast and all(cast)
    cast.clear()
    fine = trained(mine)
    assert cast and not any(cast)
    assert notes(mine, precision="bf16") == []
    assert rough.epochs[-1]["loss"] == pytest.approx(fine.epochs[-1]["loss"], rel=0.05)


def test_accumulating_two_batches_is_one_of_twice_the_size(mine: Dataset) -> None:
    whole, halves = (
        trained(mine, batch_size=50, id_dropout=0.0),
        trained(mine, batch_size=25, accumulate=2, id_dropout=0.0),
    )
    n = len(make_split(mine, "user-temporal").train)
    assert n % 50 == 0, "else the last group is shorter"
    assert torch.allclose(weights(whole), weights(halves), atol=1e-6)


def test_a_score_that_stays_where_it_is_is_no_improvement(mine: Dataset) -> None:
    """A worse score lowers the rate also if lower is better (RMSE); a relative threshold would count it as better."""
    train = train_set(mine, make_split(mine, "user-temporal").train, 0, 3.5)
    how = MF.train_config(
        {"lr": 1.0, "max_epochs": 5, "schedule": "plateau", "plateau_patience": 0, "patience": 100, "device": "cpu"}
    )
    for sign, score in ((-1.0, 0.9), (1.0, 0.9)):
        model = MF(MF.Config(), train.schema, train.side, 0).bind(mine)
        state = train_model(model, train, how, lambda score=score: score, sign, "score")  # type: ignore[misc]
        assert [e["lr"] for e in state.epochs] == [1.0, 1.0, 0.5, 0.25, 0.125]


def test_schedules_lower_lr_as_they_say(mine: Dataset) -> None:
    cosine = [e["lr"] for e in trained(mine, schedule="cosine", max_epochs=5, lr=0.01).epochs]
    assert cosine == pytest.approx([0.01 * (1 + np.cos(np.pi * t / 5)) / 2 for t in range(5)])
    flat = trained(mine, schedule="plateau", plateau_patience=0, patience=100, max_epochs=12, lr=0.5).epochs
    expected, best, lr = [], np.inf, 0.5
    for entry in flat:
        expected.append(lr)
        if entry["rmse"] < best:
            best = entry["rmse"]
        else:
            lr *= 0.5
    assert [e["lr"] for e in flat] == pytest.approx(expected) and flat[-1]["lr"] < 0.5
    with pytest.raises(MMRecError, match="plateau needs validation"):
        trained(mine, schedule="plateau", patience=0)


def test_clipping_shortens_steps(mine: Dataset) -> None:
    start = weights(trained(mine, lr=1e-7, max_epochs=1, weight_decay=0.0))
    assert not torch.equal(weights(trained(mine, clip=0.01)), weights(trained(mine)))
    assert torch.isfinite(weights(trained(mine, clip=0.01))).all() and torch.isfinite(start).all()


def test_a_full_gpu_halves_the_batch_once_and_says_so(mine: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    real, limit = MF.loss, 20

    def small_memory(self: MF, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        if len(batch["user"]) > limit:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return real(self, batch)

    monkeypatch.setattr(MF, "loss", small_memory)
    assert [n for n in notes(mine, batch_size=40) if "halved from 40 to 20" in n]
    fitted = trained(mine, batch_size=40)
    assert fitted.batch_size == 20 and len(fitted.epochs) == 4
    with pytest.raises(MMRecError, match="memory is full even with batches of 40"):
        trained(mine, batch_size=80)


def test_every_row_is_met_once_though_the_batch_was_halved(mine: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    real, met, n = MF.loss, [], len(make_split(mine, "user-temporal").train)

    def fills_up(self: MF, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        if len(met) == 3 and len(batch["user"]) == 40:
            raise torch.OutOfMemoryError("CUDA out of memory")
        met.append(len(batch["user"]))
        return real(self, batch)

    monkeypatch.setattr(MF, "loss", fills_up)
    trained(mine, batch_size=40, max_epochs=1)
    assert sum(met) == n and met[:4] == [40, 40, 40, 20]


def test_a_memory_starts_its_epoch_anew_when_the_batch_is_halved(
    mine: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it took in from batches before, and from the one that failed in its backward pass, would else be taken in
    twice."""
    model = registry.load("models", "tgn")
    real, clocks = model.loss, []

    def fills_up(self: Any, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        clocks.append((int(self.clock), int(batch["time"].min())))
        loss = real(self, batch)
        if len(clocks) == 3:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return loss

    monkeypatch.setattr(model, "loss", fills_up)
    how = {"batch_size": 40, "max_epochs": 1, "device": "cpu", "dim": 8}
    fitted = fit("tgn", mine, make_split(mine, "chronological:70-15-15"), options=how)
    assert fitted.batch_size == 20 and clocks[3][0] == clocks[0][0]
    assert all(before <= first + 1 for before, first in clocks)


def test_deterministic_mode_gives_the_same_bits(mine: Dataset) -> None:
    assert torch.equal(weights(trained(mine, deterministic=True)), weights(trained(mine, deterministic=True)))
    assert not torch.are_deterministic_algorithms_enabled()


def test_a_fraction_of_the_rows_is_nested_and_seeded() -> None:
    rows = np.arange(1000) * 3
    tenth, fifth = thinned(rows, 0.1, 0), thinned(rows, 0.2, 0)
    assert len(tenth) == 100 and set(tenth) < set(fifth) and (np.diff(tenth) > 0).all()
    assert np.array_equal(tenth, thinned(rows, 0.1, 0)) and not np.array_equal(tenth, thinned(rows, 0.1, 1))
    for wrong in (0.0, -1.0, 1.5):
        with pytest.raises(MMRecError, match="fraction"):
            thinned(rows, wrong, 0)


def test_learning_from_a_fraction_is_judged_on_the_whole_test(mine: Dataset) -> None:
    split = make_split(mine, "user-temporal")
    part = fit("popularity", mine, split, fraction=0.1).model
    whole = fit("popularity", mine, split).model
    assert float(part.state_dict()["counts"].sum()) < 0.2 * float(whole.state_dict()["counts"].sum())


def test_closed_forms_take_no_trainer_settings(mine: Dataset) -> None:
    for setting in ("precision", "device", "schedule"):
        with pytest.raises(MMRecError, match="closed form"):
            fit("ease", mine, make_split(mine, "user-temporal"), options={setting: "cpu"})
    assert "train" not in registry.schema("models", "ease") and registry.schema("models", "mf")["train"]["properties"]


def test_models_in_time_are_watched_in_a_stream(mine: Dataset) -> None:
    """Where all of validation is later than training; what is watched is what judging the kept weights so gives, and
    every film, frozen, elsewhere."""
    how = {"max_epochs": 3, "device": "cpu"}
    split = make_split(mine, "chronological:70-15-15")
    fitted = fit("tgn", mine, split, options=how)
    assert fitted.epochs and all(e["judged"] == "among 100, streaming" for e in fitted.epochs)
    result = evaluate(
        fitted.model, mine, split, part="validation", protocol="sampled:100:of=5000", regime="stream", only=["ndcg@10"]
    )
    assert fitted.best_epoch is not None and result.metrics["ndcg@10"] == fitted.epochs[fitted.best_epoch]["ndcg@10"]
    for name, other in (("tgn", "user-temporal"), ("bpr", "chronological:70-15-15")):
        assert "judged" not in fit(name, mine, make_split(mine, other), options=how).epochs[0]


def test_what_a_model_in_time_is_watched_with(
    home: Path, mine: Dataset, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Only validation rows stream in while it is validated, whatever part of training it learns from; where nobody can
    be drawn it is watched as everybody is; and a checkpoint of scores of another kind is refused."""
    split, seen = make_split(mine, "chronological:70-15-15"), []
    tgn = registry.load("models", "tgn")
    real = tgn.observe
    monkeypatch.setattr(tgn, "observe", lambda self, events: seen.append(np.asarray(events.time)) or real(self, events))
    fit("tgn", mine, split, options={"max_epochs": 1, "device": "cpu"}, fraction=0.5)
    time = np.asarray(mine.interactions.time)
    assert set(np.concatenate(seen)) <= set(time[split.validation])
    rows = [(1, film, film) for film in range(1, 13)] + [(2, film, 100 + film) for film in range(1, 4)]
    (tmp_path / "all.csv").write_text(
        "userId,movieId,rating,timestamp\n" + "".join(f"{u},{i},5,{t}\n" for u, i, t in rows)
    )
    preparation.prepare("csv", source=tmp_path / "all.csv", name="all", options={"scale": "0.5:5"})
    everything = preparation.open_dataset("all")
    assert (
        "judged"
        not in fit(
            "tgn",
            everything,
            make_split(everything, "chronological:50-40-10"),
            options={"max_epochs": 1, "device": "cpu"},
        ).epochs[0]
    )
    with pytest.raises(Interrupted):
        fit("tgn", mine, split, options={"device": "cpu"}, callbacks=_stopped_after_one(tmp_path))
    monkeypatch.setattr(tgn, "early_stopping_protocol", ("full", "frozen"))
    with pytest.raises(MMRecError, match="another protocol"):
        fit("tgn", mine, split, options={"device": "cpu"}, callbacks=TrainingCallbacks(folder=tmp_path))


def _stopped_after_one(folder: Path) -> TrainingCallbacks:
    def stop(kind: str, values: Any) -> None:
        callbacks.stop.wanted = callbacks.stop.wanted or kind == "epoch"

    callbacks = TrainingCallbacks(folder, stop)
    return callbacks
