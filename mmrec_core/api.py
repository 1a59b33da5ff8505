"""The notebook interface: train a model as the app does, then predict and recommend by raw ids."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mmrec_core import runs, storage
from mmrec_core.analysis import comparison
from mmrec_core.data.preparation import open_dataset, prepare
from mmrec_core.errors import MMRecError
from mmrec_core.jobs import worker
from mmrec_core.serving import recommender
from mmrec_core.types import Dataset, Progress, quiet

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Trained:
    """A finished training run: its metrics, its learning curve, and a model that takes raw ids."""

    run: runs.Run

    @cached_property
    def result(self) -> dict[str, Any]:
        """The content of ``result.json``; see ``docs/contracts.md``."""
        return self.run.result() or {}

    @property
    def metrics(self) -> dict[str, float | None]:
        """Metrics on the test rows; ``result["intervals"]`` has their 95 % intervals."""
        return dict(self.result["metrics"])

    @cached_property
    def dataset(self) -> Dataset:
        """The dataset of the run."""
        return open_dataset(self.run.params["dataset"])

    @cached_property
    def model(self) -> Any:
        """The trained model; it takes 0-based rows, not raw ids."""
        return recommender.load_run_model(self.run.folder)

    def curve(self) -> pd.DataFrame:
        """One row per epoch: loss, validation score, lr, seconds, rows per second."""
        import pandas as pd

        return pd.DataFrame([*self.run.epochs(), *self.run.epochs("refit")]).drop(
            columns=["time", "kind"], errors="ignore"
        )

    def per_user(self) -> pd.DataFrame:
        """The test metrics of each evaluated user, by raw id: ``user``, then one column per metric.

        ``squared_error`` and ``absolute_error`` are the means over the user's test ratings (rating models). A user
        without a value has NaN. Click logs without users give no rows.

        Raises:
            MMRecError: the dataset was prepared again since.
        """
        import pandas as pd

        if self.run.record.get("data") != self.dataset.checksum:
            raise MMRecError(f"'{self.dataset.name}' was prepared again since run '{self.run.id}'; train it again.")
        row = comparison.row_of(self.run, self.result)
        values = comparison.values(row)
        if errors := comparison.absolute_errors(row):
            values["absolute_error"] = errors
        users = sorted({user for own in values.values() for user in own})
        table = pd.DataFrame({"user": self.dataset.users.raw[users]})
        for name, own in values.items():
            table[name] = [own.get(user, float("nan")) for user in users]
        return table

    def predict(self, user_id: Any, item_id: Any) -> float:
        """The predicted rating, or the ranking score, of one user and item.

        Raises:
            MMRecError: an unknown id.
        """
        return float(self.batch_predict([(user_id, item_id)])[0])

    def batch_predict(self, pairs: Iterable[tuple[Any, Any]]) -> Any:
        """Predicted ratings, or ranking scores, of ``N`` pairs of user and item: float array ``[N]``.

        Raises:
            MMRecError: an unknown id.
        """
        rows = [(self.dataset.users.row(u, "user"), self.dataset.items.row(i, "item")) for u, i in pairs]
        user, item = np.array(rows, np.int64).reshape(-1, 2).T
        return self.model.score(user, item)[:, 0].numpy()

    def recommend(self, user_id: Any, top_k: int = 10) -> pd.DataFrame:
        """The ``top_k`` films for a user of the dataset, without those the user rated: ``item``, ``title``, ``score``.

        Raises:
            MMRecError: an unknown user.
        """
        found = recommender.recommend_known(self.run, self.dataset, self.dataset.users.row(user_id, "user"), top_k)
        return self._table(found)

    def recommend_to(self, ratings: dict[Any, float], top_k: int = 10) -> pd.DataFrame:
        """The ``top_k`` films for a new user, from ratings by raw item id.

        Raises:
            MMRecError: an unknown film, or a rating outside the scale.
        """
        return self._table(recommender.recommend(self.run, recommender.history(self.dataset, ratings), top_k))

    def _table(self, found: recommender.Recommendations) -> pd.DataFrame:
        import pandas as pd

        titles = self.dataset.catalog["title"].to_numpy()[found.items]
        return pd.DataFrame({"item": self.dataset.items.raw[found.items], "title": titles, "score": found.scores})


def train(
    dataset: str, model: str, *, progress: Progress = quiet, resume: str | None = None, **settings: Any
) -> Trained:
    """Train and evaluate a model in this process. The run appears in the app like any other run.

    Args:
        dataset: a prepared dataset.
        model: a model's name.
        progress: called with ``(done, total, what)``.
        resume: a failed or stopped run to continue; all other settings are then taken from that run.
        settings: ``split``, ``seed``, ``protocol``, ``fraction``, ``from_run`` … as on the command line. Every other
            name is a setting of the model or its trainer (``dim=32``, ``max_epochs=5``).

    Returns:
        The finished run.

    Raises:
        MMRecError: unknown names, settings out of range, or a training run that failed.
    """
    if resume is not None:
        if runs.get(resume).status in runs.LIVE:
            raise MMRecError(f"Run '{resume}' is running already. Wait for it, or stop it first.")
        runs.resume(resume, background=False)
        return Trained(worker.work(resume, foreground=True, also=progress))
    own = {k: v for k, v in settings.items() if k in runs.DEFAULT_PARAMS and k != "options"}
    options = {**settings.get("options", {}), **{k: v for k, v in settings.items() if k not in runs.DEFAULT_PARAMS}}
    from mmrec_core.training.fit import split_settings

    split_settings(model, options)
    params = runs.training_params(dataset, model, options=options, **own)
    return Trained(worker.work(runs.create("train", params).id, foreground=True, also=progress))


def open_run(run_id: str) -> Trained:
    """Open a finished training run, of this process, the app or the command line.

    Args:
        run_id: the run's id, as ``mmrec runs`` lists it.

    Raises:
        MMRecError: an unknown run, or no finished training run.
    """
    run = runs.get(run_id)
    if run.kind == "evaluate" and run.params.get("run"):
        raise MMRecError(f"Run '{run_id}' is an evaluation of run '{run.params['run']}'; open that one.")
    if run.kind != "train" or run.status != "finished":
        raise MMRecError(f"Run '{run_id}' ({run.kind}) is {run.status}; only a finished training run can be opened.")
    return Trained(run)


def fit(
    model: str,
    *,
    user_ids: Sequence[Any],
    item_ids: Sequence[Any],
    ratings: Sequence[float] | None = None,
    times: Sequence[int] | None = None,
    scale: tuple[float, float] | None = None,
    name: str = "notebook",
    **settings: Any,
) -> Trained:
    """Train a model on arrays. They become a dataset called ``name``, which the app shows, too.

    Args:
        model: a model's name.
        user_ids: raw user id of each event ``[N]``.
        item_ids: raw item id of each event ``[N]``.
        ratings: rating of each event ``[N]``; ``None`` for views.
        times: seconds since 1970 ``[N]``; without them the split is ``random:80-10-10``.
        scale: lowest and highest rating possible; by default the lowest and highest of ``ratings``.
        name: name of the dataset that is prepared.
        settings: as for :func:`train`.

    Returns:
        The finished run.

    Raises:
        MMRecError: arrays of different lengths, repeated pairs, NaN, or anything :func:`train` refuses.
    """
    import pandas as pd

    columns = {"user": user_ids, "item": item_ids, "rating": ratings, "time": times}
    given = {k: np.asarray(v) for k, v in columns.items() if v is not None}
    if len({len(v) for v in given.values()}) != 1:
        raise MMRecError(f"The arrays differ in length: {', '.join(f'{k} {len(v)}' for k, v in given.items())}.")
    options = {k: k if k in given else "" for k in columns}
    if ratings is not None:
        low, high = scale or (float(np.min(given["rating"])), float(np.max(given["rating"])))
        options["scale"] = f"{low:g}:{high:g}"
    with tempfile.TemporaryDirectory(dir=storage.open_home()) as folder:
        file = Path(folder) / "events.parquet"
        pd.DataFrame(given).to_parquet(file)
        prepare("csv", source=file, name=name, options=options)
    return train(name, model, **settings)
