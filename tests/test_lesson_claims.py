"""What lessons say is true of the numbers that they print, on made-up results where either side is ahead."""

from __future__ import annotations

import re
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from mmrec_core import runs
from mmrec_core.analysis import lesson_films, lesson_results, lesson_values, lessons
from mmrec_core.analysis.comparison import Key, Row
from mmrec_core.analysis.protocol_sensitivity import Cell
from mmrec_core.stats import paired, paired_rmse
from mmrec_core.types import Dataset

KEY = Key("user-temporal", 0, "x", None, 4.0, "full", "frozen")
RATED = ("bias", "dlrm", "mf", "svdpp")
USERS = 60
GROUPS = {"taste mainstream": range(0, 30), "taste niche": range(30, 60)}
CLAIM = re.compile(
    r"the ([^*]+?) of \*\*(\w+)\*\* is (higher|lower) than that of \*\*(\w+)\*\* by (-?[\d.]+)"
    r" \[(-?[\d.]+), (-?[\d.]+)\] \((not significant: )?p"
)
BEST = re.compile(r"[Bb]y ([\w@]+) the best is \*\*(\w+)\*\*(?::| with) ([\d.]+)")


class World:
    """Made-up results: ``order`` lists the models from the best to the worst by NDCG, ``errors`` by RMSE."""

    def __init__(self, order: tuple[str, ...], errors: tuple[str, ...], spread: float, seed: int = 0) -> None:
        rng = np.random.default_rng(seed)
        hard = rng.uniform(0.2, 0.6, USERS)
        self.ndcg = {m: hard - spread * at + rng.normal(0, 0.02, USERS) for at, m in enumerate(order)}
        self.squared = {m: 5 + spread * 20 * at + rng.normal(0, 0.4, USERS) for at, m in enumerate(errors)}
        self.factor = {m: 1 + spread * at for at, m in enumerate(order)}
        self.crosses = {"ease": 3, "itemknn": 10, "bpr": None}
        if order.index("ease") > order.index("itemknn"):
            self.crosses = {"ease": None, "itemknn": 2, "bpr": 5}
        self.found = rng.random(80) < 0.5
        self.ahead = "mini_clip" if order[0] == "ease" else "mini_siglip"
        self.spread = spread

    def rows(self, dataset: Dataset) -> dict[str, Row]:
        """Results as runs would give them."""
        found = {}
        for at, (model, own) in enumerate(self.ndcg.items()):
            values = {
                "ndcg@10": float(own.mean()),
                "novelty@10": {"popularity": 1.0, "random": 6.0}.get(model, 1.5 + at),
                "coverage@10": 0.05 + at / 10,
                "popularity_lift@10": 1.0,
            }
            if model in self.squared:
                values["rmse"] = float(np.sqrt(self.squared[model].sum() / (10 * USERS)))
            groups = {
                g: {"ndcg@10": float(own[list(u)].mean()), "intervals": {"ndcg@10": (0.0, 1.0)}}
                for g, u in GROUPS.items()
            }
            result = {
                "model": model,
                "metrics": values,
                "intervals": {m: (v - 0.01, v + 0.01) for m, v in values.items()},
                "groups": groups,
                "optimistic": {},
            }
            found[model] = Row(KEY, cast(Any, SimpleNamespace(id=model, folder=None)), result)
        return found

    def differences(self, metric: str, a: str, b: str) -> list[float]:
        """Every true difference ``a − b`` that a lesson may print: over all users and by group."""
        if metric == "RMSE":
            one, other = (float(np.sqrt(self.squared[m].sum() / (10 * USERS))) for m in (a, b))
            return [other - one]
        own = self.ndcg[a] - self.ndcg[b]
        return [float(own.mean()), *(float(own[list(u)].mean()) for u in GROUPS.values())]

    def hits(self, dataset: Dataset, encoder: str, direction: str) -> dict[int, float]:
        """Retrieval by film; one encoder finds more where the spread is large."""
        more = self.spread > 0.01 and encoder == self.ahead
        return {film: float(hit or (more and film % 3 == 0)) for film, hit in enumerate(self.found)}


def lists(dataset: Dataset, model: str) -> tuple[Any, Any]:
    start = 0 if model == "popularity" else 6
    return np.arange(5), np.tile(np.arange(start, start + 10), (5, 1))


def near(dataset: Dataset, encoder: str, modality: str) -> tuple[Any, Any]:
    k = {"text": 7, "image": 4}[modality] if encoder == "mini_siglip" else 0
    return np.arange(80), (np.arange(80)[:, None] + np.arange(1, 16) + k) % 80


ORDERS = {
    "ease ahead": (("ease", "itemknn", "mf", "popularity", "bpr", "svdpp", "dlrm", "bias", "random"), RATED, 0.03),
    "ease behind": (
        ("popularity", "itemknn", "svdpp", "bpr", "random", "bias", "ease", "dlrm", "mf"),
        RATED[::-1],
        0.03,
    ),
    "the RMSE winner first": (("mf", "svdpp", "ease", "bpr", "itemknn", "popularity", "dlrm", "bias", "random"),
                              ("mf", "bias", "dlrm", "svdpp"), 0.05),
    "hardly different": (("bpr", "ease", "popularity", "itemknn", "dlrm", "svdpp", "mf", "bias", "random"),
                         RATED, 0.0005),
}  # fmt: skip


@pytest.fixture(params=ORDERS)
def world(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> World:
    made = World(*ORDERS[request.param])

    def evaluated(dataset: Dataset, model: str, protocol: str, metric: str) -> Cell:
        scale = {"full": 1.0, "sampled:1": 0.5, "sampled:100": 0.8}.get(protocol, 0.3)
        auc = 0.5 + made.factor[model] / 4
        own = {"auc": auc * (1 if protocol != "sampled:100:popularity" else 0.8), "mrr": (1 + auc) / 2}
        return Cell(own.get(metric, float(made.ndcg[model].mean()) ** scale), None)

    def groups(dataset: Dataset, a: str, b: str, metric: str) -> dict[str, Any]:
        return {
            name: paired(*({u: float(made.ndcg[m][u]) for u in users} for m in (a, b)))
            for name, users in GROUPS.items()
        }

    def curve(dataset: Dataset, models: Any = ()) -> dict[str, Any]:
        against = {"difference": 0.01, "interval": [-0.01, 0.03]}
        return {
            "ks": [20],
            "users": 50,
            "crosses": made.crosses,
            "above": made.crosses,
            "models": {m: {"20": {"against": against}} for m in made.crosses},
        }

    def encoded(dataset: Dataset, encoder: str) -> dict[str, Any]:
        way = {
            d: {
                "recall@10": np.mean([*made.hits(dataset, encoder, d).values()]),
                "intervals": {"recall@10": (0.2, 0.9)},
            }
            for d in ("text_to_image", "image_to_text")
        }
        return {"retrieval": {"chance@10": 0.01, **way}}

    squared = lambda row: {u: (float(v), 10) for u, v in enumerate(made.squared[row.model])}
    monkeypatch.setattr(runs, "usable_models", lambda dataset: [*made.ndcg])
    monkeypatch.setattr(lesson_results, "usual_rows", made.rows)
    monkeypatch.setattr(lesson_results, "_per_user", lambda row, m: dict(enumerate(made.ndcg[row.model].tolist())))
    monkeypatch.setattr(lesson_results, "_squared_errors", squared)
    for name, own in {
        "evaluated": evaluated,
        "top_lists": lists,
        "groups": groups,
        "curve": curve,
        "encoded": encoded,
        "hits": made.hits,
        "near": near,
    }.items():
        monkeypatch.setattr(lesson_results, name, own)
    return made


DATASET = cast(Dataset, SimpleNamespace(name="made-up", catalog={"n_ratings": np.arange(80)}))
STEPS = [(lesson.name, at, step) for lesson in lessons.lessons() for at, step in enumerate(lesson.steps)]


@pytest.mark.parametrize(("name", "at", "step"), STEPS, ids=[f"{name}-{at + 1}" for name, at, _ in STEPS])
def test_names_and_numbers_agree(name: str, at: int, step: lessons.Step, world: World) -> None:
    own = lesson_values.fill_step(step, DATASET)
    assert own.wanted == () and own.fault == "" and "…" not in own.answer
    assert step.opinion or (own.right and set(own.right) <= set(own.choices))
    assert not re.search(r"^\[", own.answer, re.MULTILINE), "a case that names no choice"
    for what, ahead, side, behind, size, low, _high, unsure in CLAIM.findall(own.answer):
        if what not in {"NDCG@10", "RMSE"}:
            continue
        assert side == ("lower" if what == "RMSE" else "higher") and float(size) >= 0
        assert any(abs(d - float(size)) < 6e-5 for d in world.differences(what, ahead, behind)), own.answer
        assert float(low) > 0 or unsure, "significant although the interval of the difference contains zero"
    for what, model, number in BEST.findall(own.answer):
        metric, worst = ("rmse", -1) if what == "RMSE" else ("ndcg@10", 1)
        rows = world.rows(DATASET)
        values = {m: r.result["metrics"][metric] for m, r in rows.items() if metric in r.result["metrics"]}
        assert model == max(values, key=lambda m: worst * values[m]) and float(number) == round(values[model], 4)


def test_right_answers_follow_the_numbers(world: World) -> None:
    """The same question has another right answer where the numbers are others."""
    right = {
        (lesson.name, at + 1): lesson_values.fill_step(step, DATASET).right
        for lesson in lessons.lessons()
        for at, step in enumerate(lesson.steps)
    }
    order, errors = [*world.ndcg], [*world.squared]
    if world.spread < 0.01:
        assert len(right["1-rmse", 1]) > 1 and right["3-popularity", 1] == ("no better",)
        return
    assert right["1-rmse", 1] == (errors[0],)
    assert right["1-rmse", 2] == (("at the top", "in the middle", "near the bottom")[order.index(errors[0]) // 3],)
    assert (right["3-popularity", 1] == ("no better",)) == (order[0] == "popularity")
    assert right["5-clip-siglip", 1] == (world.ahead,)
    assert right["4-cold-start", 2] == (("3 to 5",) if world.crosses["ease"] == 3 else ("not within 20",))


def test_a_paired_rmse_is_that_of_all_rows() -> None:
    """The difference is that of the values shown, not of means by user."""
    a = {0: (10.0, 1), 1: (4.0, 100), 2: (8.0, 50)}
    b = {0: (1.0, 1), 1: (9.0, 100), 2: (9.0, 50)}
    found = paired_rmse(a, b)
    assert found["difference"] == pytest.approx((22 / 151) ** 0.5 - (19 / 151) ** 0.5) and found["users"] == 3
    turned = paired_rmse(b, a)
    assert turned["difference"] == -found["difference"] and turned["p"] == found["p"]


def test_a_difference_is_named_by_its_winner() -> None:
    one = lesson_results.oriented({"difference": 0.2, "interval": [0.1, 0.3], "p": 0.001, "users": 9}, "a", "b")
    other = lesson_results.oriented({"difference": -0.2, "interval": [-0.3, -0.1], "p": 0.001, "users": 9}, "b", "a")
    assert one == other and one.ahead == "a" and one.gain == 0.2 and one.interval == (0.1, 0.3)
    lower = lesson_results.oriented(
        {"difference": 0.2, "interval": [0.1, 0.3], "p": 1, "users": 9}, "a", "b", lower=True
    )
    assert lower.ahead == "b" and lower.gain == 0.2 and lower.interval == (0.1, 0.3)


def test_films_that_differ_most_come_first(monkeypatch: pytest.MonkeyPatch) -> None:
    def sides(dataset: Dataset, encoder: str, modality: str) -> tuple[Any, Any]:
        rows, found = near(dataset, "mini_clip", modality)
        if encoder == "b":
            found = found.copy()
            found[7] = (found[7] + 40) % 80
        return rows, found

    monkeypatch.setattr(lesson_results, "near", sides)
    first = lesson_films.disagreements(DATASET, "a", "b", "image", n=1)[0]
    assert (first.film, first.shared, first.of) == (7, 0, 15) and first.one != first.other


def test_places_are_read_as_people_say_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lesson_results, "order", lambda dataset, metric: [str(n) for n in range(1, 30)])
    asked = {"1": "1st", "2": "2nd", "3": "3rd", "11": "11th", "12": "12th", "21": "21st", "23": "23rd"}
    for number, said in asked.items():
        assert lesson_values.fact("place", [number, "ndcg@10"], DATASET) == f"{said} of 29"


def test_what_a_browser_stored_is_checked() -> None:
    """Damaged or foreign text gives no progress, and nothing outside the lesson's questions is taken."""
    from pages.parts.lesson_progress import LONGEST, Progress

    own = Progress({0: "mf", 2: "<b>&"}, [0])
    assert Progress.from_json(own.to_json(), 4) == own
    for text in (
        None,
        3,
        "",
        "[",
        "[]",
        '{"answers": 3, "seen": "x"}',
        '{"answers": {"a": "b", "0": 1}, "seen": [true]}',
    ):
        assert Progress.from_json(text, 4) == Progress()
    long = Progress({0: "x" * 9999, 7: "beyond"}, [0, 7, -1]).to_json()
    assert Progress.from_json(long, 4) == Progress({0: "x" * LONGEST}, [0])
