"""Begin with what another model has learned: by id where rows stand for somebody, by shape elsewhere, never by row
number."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import save_file

from mmrec_core import runs
from mmrec_core.data import preparation
from mmrec_core.data.splits import make_split
from mmrec_core.errors import MMRecError
from mmrec_core.jobs import worker
from mmrec_core.models._base import load_model
from mmrec_core.training.fit import fit
from mmrec_core.training.warm_start import Donor, donor_file, donor_of

STILL = {"max_epochs": 1, "lr": 1e-7, "patience": 0, "device": "cpu"}
"""So small a step that what was taken over is still to be seen."""


def trained(dataset: str, model: str = "mf", **options: object) -> runs.Run:
    asked = runs.training_params(dataset, model, options={"max_epochs": 3, "device": "cpu", **options})
    return worker.work(runs.create("train", asked).id, foreground=True)


@pytest.fixture
def grown(home: Path, ratings_csv: Path) -> tuple[runs.Run, Path]:
    """A model of a dataset that afterwards gets a new user and a new film, both sorted before all others."""
    preparation.prepare("csv", source=ratings_csv, name="mine", options={"scale": "0.5:5"})
    run = trained("mine")
    table = pd.read_csv(ratings_csv)
    more = pd.DataFrame({"userId": [0] * 5, "movieId": [0, 3, 5, 7, 9], "rating": 4.0, "timestamp": range(5)})
    pd.concat([more, table]).to_csv(ratings_csv, index=False)
    preparation.prepare("csv", source=ratings_csv, name="mine", options={"scale": "0.5:5"})
    return run, ratings_csv


def test_tables_are_matched_by_raw_id(grown: tuple[runs.Run, Path]) -> None:
    donor = donor_of(grown[0].folder / "model", "old")
    dataset = preparation.open_dataset("mine")
    fitted = fit("mf", dataset, make_split(dataset, "user-temporal"), options=STILL, donor=donor)
    old, new = load_model(grown[0].folder / "model"), fitted.model
    assert old.users is not None and new.users is not None and len(new.users) == len(old.users) + 1
    for raw in (1, 17, 30):
        was, now = int(old.users.rows([raw])[0]), int(new.users.rows([raw])[0])
        assert now == was + 1, "rows moved, so matching by row would be wrong"
        assert torch.allclose(new.user_factors.weight[now], old.user_factors.weight[was], atol=1e-5)
    adopted = fitted.adopted
    assert adopted is not None and adopted.matched["user_factors.weight"] == (30, 31)
    assert "30 of 31 rows by id" in adopted.line()


def test_people_and_films_of_another_dataset_are_not_taken_for_ours(grown: tuple[runs.Run, Path]) -> None:
    preparation.prepare("csv", source=grown[1], name="other", options={"scale": "0.5:5"})
    dataset = preparation.open_dataset("other")
    with pytest.raises(MMRecError, match="Nothing in old fits"):
        fit(
            "mf",
            dataset,
            make_split(dataset, "user-temporal"),
            options=STILL,
            donor=donor_of(grown[0].folder / "model", "old"),
        )


def test_what_does_not_fit_begins_anew_and_is_listed(grown: tuple[runs.Run, Path]) -> None:
    small = trained("mine", "dlrm", dim=8)
    dataset = preparation.open_dataset("mine")
    options = {**STILL, "dim": 8, "top": "16"}
    fitted = fit(
        "dlrm",
        dataset,
        make_split(dataset, "user-temporal"),
        options=options,
        donor=donor_of(small.folder / "model", "small"),
    )
    assert fitted.adopted is not None
    assert fitted.adopted.matched["user_id.weight"][0] == 31 and "top.0.weight" in fitted.adopted.fresh
    assert "there" in fitted.adopted.fresh["top.0.weight"]


def test_weights_without_ids_leave_the_tables_alone(grown: tuple[runs.Run, Path], tmp_path: Path) -> None:
    run = trained("mine", "dlrm")
    model = load_model(run.folder / "model")
    state = {f"module.{k}": v.contiguous().clone() for k, v in model.state_dict().items()}
    save_file(state, tmp_path / "theirs.safetensors")
    torch.save({"state_dict": model.state_dict()}, tmp_path / "theirs.pth")
    dataset = preparation.open_dataset("mine")
    for name in ("theirs.safetensors", "theirs.pth"):
        donor = donor_file(tmp_path / name)
        fitted = fit("dlrm", dataset, make_split(dataset, "user-temporal"), options=STILL, donor=donor)
        assert fitted.adopted is not None
        assert "user_id.weight" in fitted.adopted.fresh and "top.0.weight" in fitted.adopted.loaded


def test_nobody_reads_rows_of_unknown_meaning(grown: tuple[runs.Run, Path]) -> None:
    dataset = preparation.open_dataset("mine")
    odd = Donor("odd", {"user_factors.weight": torch.ones(32, 32)})
    with pytest.raises(MMRecError, match="have no ids"):
        fit("mf", dataset, make_split(dataset, "user-temporal"), options=STILL, donor=odd)


def test_from_run_on_the_command_line(grown: tuple[runs.Run, Path], capsys: pytest.CaptureFixture[str]) -> None:
    import json
    import sys
    from unittest import mock

    from mmrec_core.cli.main import main

    words = ["mmrec_core", "train", "mine", "mf", "--from-run", grown[0].id, "--set", "max_epochs=2", "--json"]
    with mock.patch.object(sys, "argv", words), pytest.raises(SystemExit, match="0"):
        main()
    printed = json.loads(capsys.readouterr().out)
    assert printed["from_run"] == grown[0].id and printed["warm_start"]["matched"]["item_factors.weight"] == [20, 21]
    with pytest.raises(MMRecError, match="closed form"):
        worker.work(
            runs.create("train", runs.training_params("mine", "ease", from_run=grown[0].id)).id, foreground=True
        )


def test_each_model_names_the_rows_of_its_tables(home: Path, ratings_csv: Path) -> None:
    """Else a retrained model would leave them out, or worse, take other people's."""
    from mmrec_core import registry

    preparation.prepare("csv", source=ratings_csv, name="mine", options={"scale": "0.5:5"})
    dataset = preparation.open_dataset("mine")
    split = make_split(dataset, "user-temporal")
    for name in runs.usable_models(dataset):
        if not registry.schema("models", name)["trains"]:
            continue
        model = fit(name, dataset, split, options={"max_epochs": 1, "device": "cpu"}).model
        named = model.row_names()
        for key, weight in model.named_parameters():
            if weight.ndim == 2 and weight.shape[0] in {len(dataset.users) + 1, len(dataset.items) + 1}:
                assert key in named, f"{name}.{key}"
        for key, (_, names) in named.items():
            assert len(names) == len(model.get_parameter(key)) and len(np.unique(names.astype(str))) == len(names)
