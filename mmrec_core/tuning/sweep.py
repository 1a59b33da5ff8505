"""Good settings, found by trying: Ray Tune searches a model's space, stops poor trials early (ASHA), and judges on validation rows alone.

The first trial is the model's usual settings (or the nearest that the ranges hold), so what wins is hardly ever worse than those on validation; the next ones are drawn by Optuna's TPE from what
earlier ones scored. A trial is an ordinary fit on a split whose test rows have been taken out. Nothing of the test is seen until the
best settings are trained once more, as a training run of its own, and tested once.

``runs/<id>/trials.json`` holds every trial with its curve; ``runs/<id>/tune/`` is Ray's own record, from which a stopped search goes on.
"""

from __future__ import annotations

import json
import os
import signal
import threading
import time
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from mmrec_core import metrics, records, registry, runs, settings, storage
from mmrec_core.callbacks import Interrupted, StopFlag
from mmrec_core.errors import MMRecError
from mmrec_core.runs import Run, ray_cluster
from mmrec_core.tuning import search_space
from mmrec_core.tuning.search_space import Dimension
from mmrec_core.types import Progress

WRITE_S = 0.5
"""How often ``trials.json`` is written, at most."""
WATCHED = {"rating": "rmse", "ranking": "ndcg@10", "click": "log_loss"}


@dataclass
class Trial:
    """One try: its settings, how it stands, its validation score epoch by epoch."""

    id: str
    options: dict[str, Any]
    """The settings that were searched."""
    status: str = "waiting"
    """``waiting``, ``running``, ``finished``, ``stopped early`` (by ASHA), ``stopped`` or ``failed``."""
    curve: list[float] = field(default_factory=list)
    """Validation score after each epoch; one figure for closed forms."""
    score: float | None = None
    """The best of the curve."""
    best_epoch: int | None = None
    seconds: float = 0.0
    error: str | None = None


def params(
    dataset: str, model: str, *, trials: int = 20, over: Sequence[str] = (), metric: str | None = None, minutes: float | None = None,
    **asked: Any,
) -> dict[str, Any]:  # fmt: skip
    """The full description of a search.

    Args:
        trials: how many settings are tried.
        over: see :func:`mmrec_core.tuning.search_space.space`.
        metric: what is judged on validation; ``None``: what early stopping watches.
        minutes: time budget of the search; trials that have not begun by then are not.
        asked: what every trial shares, as :func:`mmrec_core.runs.training_params` takes it.

    Raises:
        MMRecError: anything that one of the trainings would refuse, or nothing to search.
    """
    if trials < 1:
        raise MMRecError(f"--trials is {trials}; expected at least 1.")
    if minutes is not None and minutes <= 0:
        raise MMRecError(f"--minutes is {minutes:g}; expected more than 0.")
    shared = runs.training_params(dataset, model, **asked)
    found = search_space.space(model, over)
    if metric is not None:
        wanted, kind = metrics.metric(metric), _usual_metric(shared)
        if (kind == "ndcg@10" and wanted.kind != "ranking") or (
            kind == "rmse" and wanted.kind not in {"ratings", "ranking"}
        ):
            raise MMRecError(f"'{model}' cannot be judged by {metric}; it is usually judged by {kind}.")
    if doubled := {d.name for d in found} & set(shared["options"]):
        raise MMRecError(f"'{min(doubled)}' is both set and tuned; leave one out.")
    return {**shared, "space": [d.as_dict() for d in found], "trials": trials, "metric": metric, "minutes": minutes}


def dimensions(asked: Mapping[str, Any]) -> list[Dimension]:
    """The space of a search as it was asked for."""
    return [Dimension(**{**told, "values": tuple(told["values"])}) for told in asked["space"]]


def trials_of(run: Run) -> list[Trial]:
    """Every trial of a search so far, in the order begun.

    Raises:
        DamagedFile: ``trials.json`` cannot be read; nothing is written over it.
    """
    found = _book(run)
    return [Trial(**told) for told in found["trials"]] if found else []


def _book(run: Run) -> dict[str, Any] | None:
    file = run.folder / "trials.json"
    return (
        records.read(
            file,
            records.TRIALS,
            f"Mend it, or delete the search and start it again: python -m mmrec_core delete run {run.id}",
        )
        if file.exists()
        else None
    )


def metric_of(run: Run) -> str | None:
    """What its trials are judged by; ``None`` before the first has begun.

    Raises:
        DamagedFile: as :func:`trials_of`.
    """
    found = _book(run)
    told = found["metric"] if found else run.params.get("metric")
    return str(told) if told else None


def best_of(found: Sequence[Trial], metric: str) -> Trial | None:
    """The trial with the best score; the earlier one of equals."""
    able = [t for t in found if t.score is not None]
    sign = -1.0 if metrics.metric(metric).better == "lower" else 1.0
    return max(able, key=lambda t: sign * float(t.score or 0.0), default=None)


def winner_params(asked: Mapping[str, Any], best: Trial) -> dict[str, Any]:
    """The training that tests the best settings: on the rows that its trial learned from."""
    shared = {k: asked[k] for k in ("dataset", "model", *runs.USUAL)}
    shared["options"] = {**shared["options"], **best.options}
    return runs.training_params(shared.pop("dataset"), shared.pop("model"), **shared)


# The work itself


def search(run: Run, progress: Progress, flag: StopFlag) -> list[Trial]:
    """Try settings until the number or the time that was asked for is over; goes on where an earlier worker left off.

    Raises:
        MMRecError: Ray is missing, or no trial came to an end.
        Interrupted: a stop was asked for; what was learned stays, and resuming goes on.
    """
    tune = _ray_tune()
    asked = run.params
    metric = asked["metric"] or _usual_metric(asked)
    book = _Book(run.folder / "trials.json", metric, [t for t in trials_of(run)])
    spent = float(run.record.get("searched_s", 0.0))
    budget = None if asked["minutes"] is None else asked["minutes"] * 60 - spent
    started = time.time()
    most = _epochs(asked)
    watch = _watch(tune, book, flag, asked["trials"], most, progress, None if budget is None else started + budget)
    progress(book.ended(), asked["trials"], "starting Ray")
    ctrl_c = signal.getsignal(signal.SIGINT)
    with ray_cluster.connected(), flag.watch():
        try:
            if budget is None or budget > 0:
                _tuner(tune, run, asked, metric, most, watch).fit()
            if book.ended() < asked["trials"] and not watch.over and budget is None:
                flag.wanted = True  # Ray takes a Ctrl-C for itself
        finally:
            if threading.current_thread() is threading.main_thread():
                signal.signal(signal.SIGINT, ctrl_c)
            book.close(left="stopped")
            runs.update(run, searched_s=spent + time.time() - started)
    if flag.wanted:
        raise Interrupted()
    if all(t.score is None for t in book.trials):
        failed = next((t.error for t in book.trials if t.error), None)
        raise MMRecError(
            f"No trial came to an end{f': {failed}' if failed else ' in the time allowed; give it more minutes'}."
        )
    return book.trials


def _usual_metric(asked: Mapping[str, Any]) -> str:
    """What early stopping of this model watches, without training it."""
    from mmrec_core.data.preparation import open_dataset
    from mmrec_core.training.fit import split_settings

    config, _ = split_settings(asked["model"], asked["options"])
    cls = registry.load("models", asked["model"])
    return WATCHED[cls.heads(config, open_dataset(asked["dataset"]).schema(runs.liked_from(asked)))[0].kind]


def _ray_tune() -> Any:
    os.environ.setdefault("TUNE_DISABLE_AUTO_CALLBACK_LOGGERS", "1")  # trials.json tells it all
    os.environ.setdefault("RAY_AIR_NEW_OUTPUT", "0")
    settings.silence_telemetry()
    try:
        import optuna
        from ray import tune
    except ImportError as error:
        raise MMRecError(
            f"Tuning needs Ray and Optuna ({error}); pip install -r requirements-ray_cluster.txt."
        ) from None
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.filterwarnings("ignore", module="optuna")  # a trial that goes on after a stop tells some epochs again
    return tune


def _tuner(tune: Any, run: Run, asked: Mapping[str, Any], metric: str, epochs: int, watch: Any) -> Any:
    """Ray's tuner: begun anew, or restored from its record."""
    from optuna.samplers import TPESampler
    from ray.tune.schedulers import ASHAScheduler
    from ray.tune.search.optuna import OptunaSearch

    sign = metrics.metric(metric).better
    mode = "max" if sign == "higher" else "min"
    found = dimensions(asked)
    domains = {d.name: _domain(tune, d) for d in found}
    gpu = 1 if runs.wants_gpu("train", asked) and ray_cluster.resources().get("GPU") else 0
    trainable = tune.with_resources(tune.with_parameters(_try, asked=dict(asked), metric=metric, folder=str(run.folder / "trials")),
                                    {"cpu": 1, "gpu": gpu})  # fmt: skip
    place = run.folder / "tune"
    config = tune.RunConfig(
        name="tune", storage_path=str(run.folder), callbacks=[watch], verbose=0,
        failure_config=tune.FailureConfig(max_failures=3 if os.environ.get("MMREC_ON_RAY") else 0),
    )  # fmt: skip
    if tune.Tuner.can_restore(str(place)):
        tuner = tune.Tuner.restore(
            str(place), trainable, resume_unfinished=True, restart_errored=False, param_space=domains
        )
        tuner._local_tuner._run_config.callbacks = [watch]  # the one that was saved belonged to a process that is gone
        return tuner
    scheduler = (
        ASHAScheduler(time_attr="epoch", max_t=epochs, grace_period=max(1, epochs // 10), reduction_factor=3)
        if epochs > 1
        else None
    )
    # settings hang together (multivariate), and several trials run at once (constant_liar)
    sampler = TPESampler(multivariate=True, constant_liar=True, seed=asked["seed"])
    first = {d.name: d.inside(asked["options"].get(d.name, d.default)) for d in found}
    return tune.Tuner(
        trainable, param_space=domains, run_config=config,
        tune_config=tune.TuneConfig(
            metric="score", mode=mode, num_samples=asked["trials"], scheduler=scheduler, reuse_actors=True,
            search_alg=OptunaSearch(points_to_evaluate=[first], sampler=sampler),
        ),
    )  # fmt: skip


def _epochs(asked: Mapping[str, Any]) -> int:
    """Epochs that a trial takes at most; a closed form is told once."""
    told = registry.schema("models", asked["model"])
    return (
        int(asked["options"].get("max_epochs", told["train"]["properties"]["max_epochs"]["default"]))
        if told["trains"]
        else 1
    )


def _domain(tune: Any, found: Dimension) -> Any:
    if found.kind == "choice":
        return tune.choice(list(found.values))
    if found.kind == "int":  # Ray's upper ends are exclusive
        return (tune.lograndint if found.log else tune.randint)(int(found.low or 0), int(found.high or 0) + 1)
    return (tune.loguniform if found.log else tune.uniform)(found.low, found.high)


def _try(config: Mapping[str, Any], *, asked: Mapping[str, Any], metric: str, folder: str) -> None:
    """One trial, in a process of Ray's; why it failed is written down for :func:`_reason`."""
    from ray import tune

    own = Path(folder) / tune.get_context().get_trial_id()
    try:
        _fit(config, asked, metric, own)
    except Exception as error:
        own.mkdir(parents=True, exist_ok=True)
        told = str(error) if isinstance(error, MMRecError) else f"{type(error).__name__}: {error}"
        storage.write_bytes(own / "error.txt", told.encode())
        raise


def _fit(config: Mapping[str, Any], asked: Mapping[str, Any], metric: str, own: Path) -> None:
    """Fit on the training rows, judge on the validation rows, tell each epoch."""
    from ray import tune

    from mmrec_core.callbacks import TrainingCallbacks
    from mmrec_core.data.preparation import open_dataset
    from mmrec_core.data.splits import make_split, with_validation
    from mmrec_core.training import fit

    liked = runs.liked_from(asked)
    dataset = open_dataset(asked["dataset"])
    split = make_split(dataset, asked["split"], asked["split_seed"], asked["filter_from"], liked)
    parts = with_validation(split, dataset=dataset)
    parts = replace(parts, test=parts.test[:0])  # what is not there cannot be looked at
    sign, best = fit.better(metric), -np.inf

    def tell(kind: str, values: Mapping[str, Any]) -> None:
        nonlocal best
        if kind == "epoch" and values.get(metric) is not None:
            best = max(best, sign * values[metric])
            tune.report({"score": sign * best, "now": values[metric], "epoch": values["epoch"] + 1})

    fitted = fit.fit(
        asked["model"], dataset, parts, options={**asked["options"], **config}, seed=asked["seed"], relevant_from=liked,
        fraction=asked["fraction"], encoder=asked["encoder"], modality=asked["modality"] or "none", watch=metric,
        callbacks=TrainingCallbacks(own / "checkpoints", tell),
    )  # fmt: skip
    if (
        not fitted.epochs or metric not in fitted.epochs[-1]
    ):  # a closed form, or a descent that does not look at validation
        score = fit.validation_score(fitted.model, dataset, parts, metric, liked)
        tune.report({"score": score, "now": score, "epoch": 1, "over": True})
    else:  # all of it again: it may have been over already when an earlier worker died
        score = max(sign * e[metric] for e in fitted.epochs)
        tune.report(
            {"score": sign * score, "now": fitted.epochs[-1][metric], "epoch": len(fitted.epochs), "over": True}
        )


class _Book:
    """``trials.json``: every trial as it stands, for pages and for MLflow."""

    def __init__(self, file: Path, metric: str, known: Sequence[Trial]) -> None:
        self.file, self.metric, self.trials = file, metric, list(known)
        self.by_id = {t.id: t for t in self.trials}
        self.sign = -1.0 if metrics.metric(metric).better == "lower" else 1.0
        self.written = 0.0
        self.write(now=True)

    def of(self, trial: Any) -> Trial:
        """The entry of one of Ray's trials."""
        found = self.by_id.get(trial.trial_id)
        if found is None:
            found = self.by_id[trial.trial_id] = Trial(trial.trial_id, dict(runs.plain(trial.config)))
            self.trials.append(found)
        return found

    def ended(self) -> int:
        """How many are over."""
        return sum(t.status in {"finished", "stopped early", "failed"} for t in self.trials)

    def write(self, now: bool = False) -> None:
        """Keep it, unless it was kept just now."""
        if now or time.time() - self.written >= WRITE_S:
            storage.write_json(self.file, {"metric": self.metric, "trials": [vars(t) for t in self.trials]})
            self.written = time.time()

    def close(self, left: str) -> None:
        """Whatever still ran does not any more."""
        for trial in self.trials:
            if trial.status in {"running", "waiting"}:
                trial.status = left
        self.write(now=True)


def _watch(tune: Any, book: _Book, flag: StopFlag, n: int, most: int, progress: Progress, until: float | None) -> Any:
    """What Ray tells of its trials goes into the book; a stop, or the end of the time, goes to Ray. A trial takes ``most`` epochs."""

    class Watch(tune.Callback):  # type: ignore[misc]
        over = False

        def __reduce__(self) -> Any:  # Ray keeps its tuner with its callbacks; this one belongs to this process alone
            return _nobody, ()

        def on_trial_start(self, iteration: int, trials: Any, trial: Any, **_: Any) -> None:
            found = book.of(trial)
            found.status = "running"
            book.write()

        def on_trial_result(self, iteration: int, trials: Any, trial: Any, result: Mapping[str, Any], **_: Any) -> None:
            if "score" not in result:
                return
            found = book.of(trial)
            epoch = int(result["epoch"])
            found.curve[epoch - 1 : epoch] = [
                float(result["now"])
            ]  # an epoch that is repeated after a stop counts once
            if found.score is None or book.sign * result["score"] > book.sign * found.score:
                found.score, found.best_epoch = float(result["score"]), epoch - 1
            found.seconds = float(result.get("time_total_s", 0.0))
            book.write()

        def on_trial_complete(self, iteration: int, trials: Any, trial: Any, **_: Any) -> None:
            found = book.of(trial)
            last = trial.last_result or {}
            found.status = "finished" if last.get("over") or int(last.get("epoch", 0)) >= most else "stopped early"
            self._said()

        def on_trial_error(self, iteration: int, trials: Any, trial: Any, **_: Any) -> None:
            found = book.of(trial)
            found.status, found.error = "failed", _reason(book.file.parent / "trials" / trial.trial_id)
            self._said()

        def _said(self) -> None:
            book.write(now=True)
            best = best_of(book.trials, book.metric)
            so_far = f"; best {book.metric} {best.score:.4f}" if best is not None else ""
            progress(book.ended(), n, f"{book.ended()} of {n} trials{so_far}")

        def on_step_end(self, iteration: int, trials: Any, **_: Any) -> None:
            wanted = flag.wanted or (until is not None and time.time() > until)
            if wanted and not self.over and threading.current_thread() is threading.main_thread():
                self.over = True
                signal.raise_signal(signal.SIGINT)  # Ray keeps its record and ends

    return Watch()


def _nobody() -> Any:
    """A callback that hears nothing."""
    from ray import tune

    return tune.Callback()


def _reason(own: Path) -> str:
    """Why a trial failed, in a line."""
    file = own / "error.txt"
    return file.read_text(encoding="utf-8").strip()[:400] if file.exists() else "its process ended without a word"


def as_csv(run: Run) -> str:
    """One line per trial: settings, score, epochs, seconds."""
    import io

    from mmrec_core import csv_out

    found, names = trials_of(run), [d.name for d in dimensions(run.params)]
    out = io.StringIO()
    write = csv_out.Writer(out)
    write.writerow(["trial", *names, metric_of(run) or "score", "status", "epochs", "seconds"])
    for at, trial in enumerate(found):
        write.writerow(
            [
                at + 1,
                *(json.dumps(trial.options.get(n)) for n in names),
                trial.score,
                trial.status,
                len(trial.curve),
                round(trial.seconds, 1),
            ]
        )
    return out.getvalue()
