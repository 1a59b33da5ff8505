"""One contract for every model, shipped or miniature: what any caller may rely on without knowing which model it has.

Nothing here tests for a model's name. A model is tried on generated ratings, on generated census rows, or on both, as
its needs allow; one that neither can serve is skipped with the reason it gives itself.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file, save_file

from mmrec_core import features, registry
from mmrec_core.callbacks import Interrupted, TrainingCallbacks
from mmrec_core.data import preparation
from mmrec_core.data.splits import make_split
from mmrec_core.errors import MMRecError
from mmrec_core.evaluation.evaluate import evaluate
from mmrec_core.models._base import GradientModel, Model, load_model
from mmrec_core.models._field_model import FieldModel
from mmrec_core.training.fit import Fitted, check_needs, fit, split_settings, train_set
from mmrec_core.types import Dataset, History, Interactions, Query, Split
from tests.models.gradients import gradients_agree

MINIATURES = Path(__file__).parents[1] / "miniatures"
SHIPPED = registry.names("models")
NAMES = [*SHIPPED, *sorted(f.stem for f in (MINIATURES / "models").glob("[!_]*.py"))]


def _cases() -> list[str]:
    """``model`` tried on ratings, ``model@rows`` on rows of a click table."""
    found = []
    for name in NAMES:
        needs = registry.schema("models", name)["needs"] if name in SHIPPED else ["ids"]
        films, rows = (not registry.unmet(needs, has) for has in (FILMS, ROWS))
        found += [name] * (films or not rows) + [f"{name}@rows"] * rows
    return found


FILMS = {"ids", "user", "item", "rating", "time", "text", "image", "content", "side", "graph", "sequence"}
ROWS = {"labels", "side", "graph"}
N_USERS, N_FILMS, PER_USER = 60, 50, 25
STRANGER, UNSEEN = 0, 0
"""The user and the film that are kept out of training."""
QUICK = {"max_epochs": 2, "batch_size": 128, "device": "cpu"}
PROPER = {"max_epochs": 150, "device": "cpu"}  # beside that, what each model does when nobody says otherwise


@dataclass(frozen=True)
class World:
    """Datasets and models of this module, each made once."""

    folder: Path
    dataset: Callable[[str], Dataset]
    split: Callable[[str], Split]
    fitted: Callable[[str], Fitted]

    def kind(self, name: str) -> str:
        """Which of the generated datasets a case is tried on."""
        return name.partition("@")[2] or "ratings"

    def model(self, name: str) -> Model:
        """A model after two epochs (or its closed form)."""
        return self.fitted(name).model


def _ratings_csv(folder: Path) -> Path:
    """Two groups of users and two of films; each user likes one group of films more, and changes slowly in time."""
    rng = np.random.default_rng(7)
    rows = []
    for user in range(N_USERS):
        for place, item in enumerate(rng.permutation(N_FILMS)[:PER_USER]):
            stars = (4.25 if (user + item) % 2 == 0 else 2.25) + rng.normal(0, 0.7)
            when = 1_000_000_000 + user * 5_000 + place * 86_400
            rows.append((user + 1, item + 1, float(np.clip(np.round(stars * 2) / 2, 0.5, 5.0)), when))
    pd.DataFrame(rows, columns=["userId", "movieId", "rating", "timestamp"]).to_csv(folder / "ratings.csv", index=False)
    films = pd.DataFrame({"movieId": np.arange(1, N_FILMS + 1)})
    films["title"] = [f"Film {i} ({1950 + i})" for i in films["movieId"]]
    films["genres"] = ["Drama|Noir" if i % 2 else "Comedy" for i in films["movieId"]]
    films["plot"] = [f"A {'sad' if i % 2 else 'merry'} tale." for i in films["movieId"]]
    films.to_csv(folder / "films.csv", index=False)
    return folder / "ratings.csv"


def _checkerboard_csv(folder: Path) -> Path:
    """Even users give even films 5 and odd films 1, odd users the reverse; each has rated three fifths of either."""
    rng = np.random.default_rng(3)
    rows = []
    for user in range(80):
        for place, item in enumerate(rng.permutation(40)[:24]):
            rows.append((user, item, 5.0 if (user + item) % 2 == 0 else 1.0, 1_000_000_000 + place * 86_400 + user))
    table = pd.DataFrame(rows, columns=["userId", "movieId", "rating", "timestamp"])
    table.to_csv(folder / "checkerboard.csv", index=False)
    return folder / "checkerboard.csv"


def _census_files(folder: Path) -> Path:
    """Rows in the layout of the census files, labels that follow age and education."""
    rng = np.random.default_rng(5)
    for file, n, head, dot in (("adult.data", 400, "", ""), ("adult.test", 100, "|1x3 Cross validator\n", ".")):
        lines = []
        for _ in range(n):
            age, school = int(rng.integers(18, 80)), int(rng.integers(1, 17))
            rich, single = age + 4 * school > 90, age < 30
            marital = "Never-married" if single else "Married-civ-spouse"
            about = (
                f"{age}, Private, 100, School-{school}, {school}, {marital}, Sales, Own-child, Other, Female, 0, 0, 40"
            )
            lines.append(about + ", Cuba" + (", >50K" if rich else ", <=50K") + dot)
        (folder / file).write_text(head + "\n".join(lines) + "\n\n")
    return folder


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A home of its own, with the miniatures plugged in beside whatever is plugged in already."""
    folder = tmp_path_factory.mktemp("contract")
    threads = torch.get_num_threads()
    with pytest.MonkeyPatch.context() as patch:
        torch.set_num_threads(1)  # on data this small, threads only wait for each other
        patch.setenv("MMREC_HOME", str(folder / "home"))
        plugins = [p for p in (os.environ.get("MMREC_PLUGINS"), str(MINIATURES)) if p]
        patch.setenv("MMREC_PLUGINS", os.pathsep.join(plugins))
        films = {"items": "films.csv"}
        preparation.prepare("csv", source=_ratings_csv(folder), name="ratings", options={"scale": "0.5:5", **films})
        preparation.prepare("csv", source=_checkerboard_csv(folder), name="checkerboard", options={"scale": "0.5:5"})
        preparation.prepare("census", source=_census_files(folder), name="rows")
        for films in ("ratings", "checkerboard"):
            with contextlib.suppress(MMRecError):  # the checkerboard has no plots
                features.encode(preparation.open_dataset(films), "classic")
        dataset = cache(preparation.open_dataset)

        @cache
        def split(kind: str) -> Split:
            if kind == "rows":
                return make_split(dataset(kind), "official")
            whole, events = make_split(dataset(kind), "user-temporal"), dataset(kind).interactions
            hidden = (np.asarray(events.user) == STRANGER) | (np.asarray(events.item) == UNSEEN)
            return replace(whole, train=whole.train[~hidden[whole.train]])

        @cache
        def fitted(name: str) -> Fitted:
            return _fit(name, dataset(made.kind(name)), split(made.kind(name)), QUICK)

        made = World(folder, dataset, split, fitted)
        yield made
        torch.set_num_threads(threads)


def _fit(
    case: str,
    dataset: Dataset,
    split: Split,
    how: dict[str, Any],
    seed: int = 1,
    callbacks: TrainingCallbacks | None = None,
) -> Fitted:
    name = case.partition("@")[0]
    cls = registry.load("models", name)
    try:
        check_needs(cls, name, dataset)
    except MMRecError as error:
        pytest.skip(str(error))
    return fit(name, dataset, split, options=how if cls.trains else None, seed=seed, callbacks=callbacks)


def _once_per_class() -> list[str]:
    """The first preset of each class, on ratings or on rows: for what presets of one class do alike."""
    first: dict[tuple[Path, str], str] = {}
    for case in _cases():
        model, _, kind = case.partition("@")
        file = registry.entry("models", model).file if model in SHIPPED else MINIATURES / "models" / f"{model}.py"
        if (file, kind) not in first or model == file.stem:  # the preset that is named as the class's file
            first[file, kind] = case
    return list(first.values())


@pytest.fixture(params=_cases())
def name(request: pytest.FixtureRequest) -> str:
    """Every model in turn."""
    return str(request.param)


def _events(world: World, name: str, n: int = 64) -> Interactions:
    """Some test rows, the stranger's and the unseen film's among them."""
    kind = world.kind(name)
    test = world.split(kind).test
    return world.dataset(kind).interactions.take(test[:n])


def _ranker(world: World, name: str) -> Model:
    """A model that ranks films for users, or a skip."""
    model = world.model(name)
    if world.kind(name) != "ratings" or all(head.kind == "click" for head in model.scorer_heads()):
        pytest.skip("it has no users and films to rank")
    return model


def _histories(world: World, n: int = 4) -> list[History]:
    """Histories of different lengths, ratings and times included."""
    events = world.dataset("ratings").interactions
    user = np.asarray(events.user)
    found = []
    for at in range(n):
        own = np.flatnonzero(user == at + 10)[: 3 + 5 * at]
        item = np.asarray(events.item)[own].astype(np.int64)
        assert events.rating is not None and events.time is not None
        found.append(History(item, np.asarray(events.rating[own]), np.asarray(events.time[own])))
    return found


def _same(a: torch.Tensor, b: torch.Tensor, within: float) -> None:
    torch.testing.assert_close(a, b, rtol=within, atol=within)


# Settings


def test_settings_explain_themselves(world: World, name: str) -> None:
    """Every setting has a default and a meaning, every number a range, so that a form can be drawn from it."""
    for key, field in registry.schema("models", name.partition("@")[0])["config"].get("properties", {}).items():
        assert field.get("description"), f"{key} has no description"
        assert "default" in field, f"{key} has no default"
        if field.get("type") in {"integer", "number"}:
            assert {"minimum", "maximum"} <= set(field), f"{key} has no range"


def test_unknown_setting_is_refused(world: World, name: str) -> None:
    """The refusal names what there is."""
    with pytest.raises(MMRecError) as refused:
        split_settings(name.partition("@")[0], {"no_such_setting": 1})
    known = registry.load("models", name.partition("@")[0]).Config.model_fields
    assert all(key in str(refused.value) for key in known) and "no_such_setting" in str(refused.value)


# Scores


def test_scores_of_events(world: World, name: str) -> None:
    """One finite number per event and head; ratings on the scale, also for strangers and unseen films."""
    model, rows = world.model(name), _events(world, name)
    heads = model.scorer_heads()
    assert heads and len({head.name for head in heads}) == len(heads)
    scores = model.score_rows(rows)
    assert scores.shape == (len(rows), len(heads)) and bool(torch.isfinite(scores).all())
    assert model.score_rows(rows.take(np.arange(0))).shape == (0, len(heads))
    for at, head in enumerate(heads):
        if head.kind == "rating":
            assert model.schema.scale is not None
            low, high = model.schema.scale
            assert low <= float(scores[:, at].min()) and float(scores[:, at].max()) <= high


def test_batch_mates_do_not_matter(world: World, name: str) -> None:
    """A row scores the same alone as in company."""
    model, rows = world.model(name), _events(world, name, 8)
    alone = torch.cat([model.score_rows(rows.take(np.array([at]))) for at in range(len(rows))])
    _same(model.score_rows(rows), alone, 1e-5)


def test_rankings_agree_with_scores(world: World, name: str) -> None:
    """Ranking all films and scoring a pair are one judgement, but for the clamp to the rating scale."""
    model = _ranker(world, name)
    users, items = np.array([STRANGER, 1, 2, 3]), np.array([5, UNSEEN, 7, 8])
    scores = model.score_all(Query(users))
    assert scores.shape == (len(users), N_FILMS) and bool(torch.isfinite(scores).all())
    pairs = scores[torch.arange(len(users)), torch.from_numpy(items)]
    if model.scorer_heads()[0].kind == "rating":
        assert model.schema.scale is not None
        pairs = pairs.clamp(*model.schema.scale)
    _same(model.score(users, items)[:, 0], pairs, 1e-4)


def test_some_items_only(world: World, name: str) -> None:
    """A choice of films gives these columns, in this order."""
    model, chosen = _ranker(world, name), torch.tensor([7, 3, 0, 41])
    asked = Query(np.array([1, 2]))
    _same(model.score_all(asked, items=chosen), model.score_all(asked)[:, chosen], 1e-5)


def test_same_seed_same_scores(world: World, name: str) -> None:
    """Fitting twice with one seed gives one model."""
    first, kind = world.model(name), world.kind(name)
    again = _fit(name, world.dataset(kind), world.split(kind), QUICK).model
    rows = _events(world, name)
    assert torch.equal(first.score_rows(rows), again.score_rows(rows))


def test_batches_can_start_anywhere(world: World, name: str) -> None:
    """Starting at batch k is dropping the first k, so an interrupted epoch can be taken up again."""
    model, kind = world.model(name), world.kind(name)
    if not model.trains:
        pytest.skip("it has no batches")
    content = tuple(field for field in model.side if field.kind == "vector")
    train = train_set(world.dataset(kind), world.split(kind).train, 1, model.schema.relevant_from, content)
    whole = list(model.batches(train, 1, batch_size=16))
    rest = list(model.batches(train, 1, batch_size=16, start=2))
    assert len(whole) > 2 and len(rest) == len(whole) - 2
    for a, b in zip(whole[2:], rest, strict=True):
        assert set(a) == set(b) and all(torch.equal(a[key], b[key]) for key in a)


def test_half_precision_trains(world: World, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Under bf16 every model takes its steps with products in fewer bits, and answers finitely."""
    model, kind = world.model(name), world.kind(name)
    if not model.trains:
        pytest.skip("it is not trained by steps")
    how = {**QUICK, "max_epochs": 1, "precision": "bf16"}
    real, cast = type(model).loss, []

    def noting(self: Any, batch: dict[str, Any]) -> torch.Tensor:
        cast.append(torch.is_autocast_enabled("cpu"))
        return real(self, batch)

    monkeypatch.setattr(type(model), "loss", noting)
    rough = _fit(name, world.dataset(kind), world.split(kind), how).model
    assert cast and all(cast)
    assert bool(torch.isfinite(rough.score_rows(_events(world, name))).all())


# On disk


def test_save_and_load(world: World, name: str, tmp_path: Path) -> None:
    """A loaded model answers as the saved one did, and knows whose ids it holds."""
    model, rows = world.model(name), _events(world, name)
    model.save(tmp_path / "model")
    loaded = load_model(tmp_path / "model")
    assert torch.equal(model.score_rows(rows), loaded.score_rows(rows))
    assert loaded.name == name.partition("@")[0] and loaded.catalog_checksum == model.catalog_checksum
    assert loaded.users is not None and len(loaded.users) == model.schema.n_users


def test_nothing_stays_behind_on_a_move(world: World, name: str, tmp_path: Path) -> None:
    """A model that has scored moves to another device whole: what it kept for speed goes along or is forgotten."""
    world.model(name).save(tmp_path / "model")
    model = load_model(tmp_path / "model")
    model.score_rows(_events(world, name, 4))
    if world.kind(name) == "ratings":
        model.score_all(Query(np.array([1])))
        model.fold_in(_histories(world, 2))
    model.to("meta")
    left = [
        f"{type(part).__name__}.{key}"
        for part in model.modules()
        for key, value in vars(part).items()
        if key.startswith("_")  # public ones beside the buffers belong to training's tables, which lie on the CPU
        for held in _tensors(value)
        if held.device.type != "meta"
    ]
    assert not left


def _tensors(value: Any) -> Iterator[torch.Tensor]:
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, dict):
        for inner in value.values():
            yield from _tensors(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _tensors(inner)


def _drop_tensor(folder: Path) -> None:
    tensors = load_file(folder / "model.safetensors")
    tensors.pop(sorted(tensors)[0])
    save_file(tensors, folder / "model.safetensors")


def _widen_tensors(folder: Path) -> None:
    tensors = load_file(folder / "model.safetensors")
    save_file({k: torch.cat([v, v]) if v.dim() else v for k, v in tensors.items()}, folder / "model.safetensors")


def _other_version(folder: Path) -> None:
    info = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**info, "version": info["version"] + 1}))


def _break_weight(folder: Path) -> None:
    """One value of each tensor of floats is NaN; a model without such a tensor loses one, so that there is damage."""
    tensors = load_file(folder / "model.safetensors")
    floats = [key for key, value in tensors.items() if value.is_floating_point() and value.numel()]
    if not floats:
        return _drop_tensor(folder)
    for key in floats:
        tensors[key].view(-1)[0] = float("nan")
    save_file(tensors, folder / "model.safetensors")


DAMAGE: dict[str, Callable[[Path], Any]] = {
    "a tensor is gone": _drop_tensor,
    "shapes differ": _widen_tensors,
    "another version": _other_version,
    "a weight is no number": _break_weight,
    "weights are garbage": lambda folder: (folder / "model.safetensors").write_bytes(b"garbage" * 9),
    "config is garbage": lambda folder: (folder / "config.json").write_bytes(b"\xff{"),
    "config is not an object": lambda folder: (folder / "config.json").write_text("[]"),
    "ids are cut short": lambda folder: (folder / "item_ids.npy").write_bytes(b""),
    "ids are gone": lambda folder: (folder / "user_ids.npy").unlink(),
}


@pytest.mark.parametrize("name", _once_per_class())
def test_damaged_folders_are_refused(world: World, name: str, tmp_path: Path) -> None:
    """What does not fit is refused in a line, whatever is wrong with it."""
    model = world.model(name)
    accepted = []
    for at, (fault, damage) in enumerate(DAMAGE.items()):
        model.save(folder := tmp_path / str(at))
        damage(folder)
        try:
            load_model(folder)
        except MMRecError as refused:
            assert str(folder) in str(refused) or "Train it again" in str(refused) or "They belong to" in str(refused)
        else:
            accepted.append(fault)
    assert not accepted


# New users


def test_fold_in(world: World, name: str) -> None:
    """Histories, empty ones included, become states that rank; the model itself stays as it was."""
    model = _ranker(world, name)
    before, learns = model.snapshot(), [p.requires_grad for p in model.parameters()]
    nothing = History(np.zeros(0, np.int64), np.zeros(0, np.float32), np.zeros(0, np.int64))
    histories = [nothing, *_histories(world)]
    state = model.fold_in(histories)
    assert len(state) == len(histories) and state.source[0] == "fallback"
    assert set(state.source) <= {"folded", "fallback"}
    scores = model.score_all(state)
    assert scores.shape == (len(histories), N_FILMS) and bool(torch.isfinite(scores).all())
    after = model.snapshot()
    assert set(after) == set(before) and all(torch.equal(before[key], after[key]) for key in before)
    assert learns == [p.requires_grad for p in model.parameters()]


def test_fold_in_with_little(world: World, name: str) -> None:
    """Nobody at all, unseen films, and films without ratings or times are answered too."""
    model = _ranker(world, name)
    star = np.array([5.0], np.float32)
    bare = [
        History(np.array([3, 5])),
        History(np.array([UNSEEN])),
        History(np.array([3]), star),
        History(np.array([UNSEEN]), star),
    ]
    assert bool(torch.isfinite(model.score_all(model.fold_in(bare))).all())
    assert model.score_all(model.fold_in([])).shape == (0, N_FILMS)


def test_gradients_of_a_fold_in_are_those_of_the_loss(world: World, name: str) -> None:
    """Where a model looks things up once, or writes its gradient down, each step moves a state as autograd of the
    training loss would."""
    model = _ranker(world, name)
    by_gradients = type(model).fold_in in {GradientModel.fold_in, FieldModel.fold_in}  # others read a history
    if (
        by_gradients
        and isinstance(model, GradientModel)
        and type(model).fold_gradients is not GradientModel.fold_gradients
    ):
        gradients_agree(
            model, [*_histories(world), History(np.zeros(0, np.int64), np.zeros(0, np.float32), np.zeros(0, np.int64))]
        )


def test_fold_in_company_does_not_matter(world: World, name: str) -> None:
    """What is made of a history does not depend on whose histories are read with it."""
    model, info = _ranker(world, name), _histories(world)
    together = model.score_all(model.fold_in(info))
    alone = torch.cat([model.score_all(model.fold_in([own])) for own in info])
    _same(together, alone, 1e-4)


@pytest.mark.parametrize("name", _once_per_class())
def test_many_who_ask_at_once_get_their_own_answers(world: World, name: str) -> None:
    """Several threads share one model: what each is told is what it would be told alone, and no weight is left
    frozen."""
    model, info = _ranker(world, name), _histories(world)
    learns = [p.requires_grad for p in model.parameters()]
    alone = [model.score_all(model.fold_in([own])) for own in info]
    model.forget()  # what is kept for speed is made anew by whoever comes first
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(4) as threads:
            at_once = list(threads.map(lambda own: model.score_all(model.fold_in([own])), info * 3))
    finally:
        sys.setswitchinterval(before)
    for at, scores in enumerate(at_once):
        _same(scores, alone[at % len(info)], 1e-4)
    assert learns == [p.requires_grad for p in model.parameters()]


def test_strangers_fall_back(world: World, name: str) -> None:
    """A user row that training never saw is answered, and said to be a fallback."""
    model, asked = _ranker(world, name), Query(np.array([STRANGER, 1]))
    state = model.user_state(asked)
    assert state.source == ("fallback", "learned")
    assert bool(torch.isfinite(model.score_all(asked)).all())
    _same(model.score_all(state), model.score_all(asked), 1e-6)
    _same(model.score_all(state[:1]), model.score_all(asked)[:1], 1e-5)


def test_seen_films_are_never_recommended(world: World, name: str) -> None:
    """Neither to known users nor to new ones; who has seen everything gets nothing."""
    model, info = _ranker(world, name), _histories(world)
    of_known, of_new = [info[0].items, info[3].items, np.arange(N_FILMS)], [h.items for h in info]
    known = model.recommend_rows(Query(np.array([1, 2, 3])), of_known, N_FILMS)
    new = model.recommend_rows(model.fold_in(info), of_new, 10)
    for (items, scores), seen in zip([*known, *new], [*of_known, *of_new], strict=True):
        assert not set(items.tolist()) & set(seen.tolist())
        assert len(set(items.tolist())) == len(items) and np.all(np.diff(scores) <= 0)
    assert len(known[2][0]) == 0 and len(known[0][0]) == N_FILMS - len(info[0])


# Judging


def test_judging_twice_gives_the_same(world: World, name: str) -> None:
    """In every regime, and no tensor of the model has moved."""
    model, kind = world.model(name), world.kind(name)
    dataset, split = world.dataset(kind), world.split(kind)
    cases = [("frozen", model, split)]
    if model.streams:
        by_time = make_split(dataset, "chronological:70-15-15")
        cases.append(("stream", _fit(name, dataset, by_time, QUICK).model, by_time))
    for regime, model, split in cases:
        before = model.snapshot()
        first, second = (
            evaluate(model, dataset, split, regime=regime, groups=False, intervals=False).metrics for _ in range(2)
        )
        assert first and first == second and all(v is None or np.isfinite(v) for v in first.values())
        after = model.snapshot()
        assert all(torch.equal(before[key], after[key]) for key in before)


def test_observing_can_be_undone(world: World, name: str) -> None:
    """A snapshot brings back every answer, bit by bit, after events were observed."""
    model, rows = world.model(name), _events(world, name)
    kept, before = model.snapshot(), model.score_rows(rows)
    model.observe(rows)
    assert model.streams or torch.equal(before, model.score_rows(rows)), "it moves, yet does not say that it streams"
    model.restore(kept)
    assert torch.equal(before, model.score_rows(rows))


CLEAR = (6, 12, 25, 40, 60, 80, 100, 125)
"""Epochs after which a training run on the checkerboard is asked whether it has learned it already."""


def _fitted_until(enough: Callable[[Model], bool], name: str, dataset: Dataset, split: Split, folder: Path) -> Model:
    """A model trained as :data:`PROPER` says, or its best weights after the first of :data:`CLEAR` that were enough."""
    folder.mkdir()
    done = 0

    def tell(kind: str, values: Mapping[str, Any]) -> None:
        nonlocal done
        if kind == "epoch":
            done += 1
            callbacks.stop.wanted = done in CLEAR

    callbacks = TrainingCallbacks(folder, log_event=tell)
    while True:
        try:
            return _fit(name, dataset, split, PROPER, callbacks=callbacks).model
        except Interrupted as stopped:
            if enough(stopped.model):
                return stopped.model
            callbacks.stop.wanted = False


@pytest.mark.parametrize("name", _once_per_class())
def test_checkerboard(world: World, name: str, tmp_path: Path) -> None:
    """Where even users like even films and odd users odd ones, unseen films of the own parity come first.

    A model that ranks alike for everyone, or says that it makes nothing of a history, has no taste to test. Training
    stops once the answer is clear: the weights that early stopping would keep at that point pass.
    """
    if world.kind(name) != "ratings":
        pytest.skip("it has no users and films to rank")
    dataset = world.dataset("checkerboard")
    split, wins = make_split(dataset, "random:80-10-10"), 0.0

    def clear(so_far: Model) -> bool:
        nonlocal wins
        wins = _wins(so_far, dataset)
        return wins > 0.9

    model = _fitted_until(clear, name, dataset, split, tmp_path / "desk")
    if wins <= 0.9 and _without_taste(model, dataset):
        pytest.skip("it ranks alike for everyone, or makes nothing of a history")
    assert wins > 0.9 or clear(model), f"own parity wins only {wins:.2f} of the comparisons"


def _own_histories(dataset: Dataset) -> list[History]:
    """Everybody's own ratings."""
    user, item = np.asarray(dataset.interactions.user), np.asarray(dataset.interactions.item)
    rating, time = dataset.interactions.rating, dataset.interactions.time
    assert rating is not None and time is not None
    own = [np.flatnonzero(user == u) for u in range(len(dataset.users))]
    return [History(item[o].astype(np.int64), np.asarray(rating[o]), np.asarray(time[o])) for o in own]


def _without_taste(model: Model, dataset: Dataset) -> bool:
    """Whether a model ranks alike for everyone, or says that it makes nothing of a history."""
    order = model.score_all(Query(np.arange(len(dataset.users)))).argsort(dim=1, stable=True)
    return bool((order == order[0]).all()) or "folded" not in model.fold_in(_own_histories(dataset)).source


def _wins(model: Model, dataset: Dataset) -> float:
    """Share of comparisons that the own parity wins: of known users, and where these are clear, the lower of theirs and
    of folded-in ones."""
    users, lowest = np.arange(len(dataset.users)), 1.0
    user, item = np.asarray(dataset.interactions.user), np.asarray(dataset.interactions.item)
    for info in (Query(users), None):
        table = model.score_all(info if info is not None else model.fold_in(_own_histories(dataset))).clone()
        table[user, item] = -torch.inf
        wins = []
        for u in users:
            unseen = np.flatnonzero(torch.isfinite(table[u]).numpy())
            mine, others = (table[u, unseen[(unseen + u) % 2 == parity]] for parity in (0, 1))
            if len(mine) and len(others):
                wins.append(float((mine[:, None] > others).float().mean()))
        lowest = min(lowest, float(np.mean(wins)))
        if lowest <= 0.9:  # one that has not learned it is not asked for more
            break
    return lowest
