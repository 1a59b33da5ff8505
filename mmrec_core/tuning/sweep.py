"""Hyperparameter search with Ray Tune: Optuna's TPE proposes settings, ASHA stops poor trials, validation rows decide.

The first trial has the model's default settings (or the nearest ones within the ranges), so the best trial is hardly
ever worse than these on validation. A trial is an ordinary fit on a split without test rows. The test rows are used
only once: after the search the best settings are trained again in a run of their own, and that training is tested.

``runs/<id>/trials.json`` has all trials with their curves; ``runs/<id>/tune/`` is Ray's own state, from which a stopped
search continues.
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
from mmrec_core.training.validation_metrics import VALIDATION_METRICS
from mmrec_core.tuning import search_space
from mmrec_core.tuning.search_space import Dimension
from mmrec_core.types import Progress

WRITE_S = 0.5
"""Shortest time between two writes of ``trials.json``, in seconds."""


@dataclass
class Trial:
    """One trial: its settings, status and validation curve."""

    id: str
    options: dict[str, Any]
    """The settings that were searched."""
    status: str = "waiting"
    """``waiting``, ``running``, ``finished``, ``stopped early`` (by ASHA), ``stopped`` or ``failed``."""
    curve: list[float] = field(default_factory=list)
    """Validation score after each epoch; one value for closed-form models."""
    score: float | None = None
    """Best value of the curve."""
    best_epoch: int | None = None
    seconds: float = 0.0
    error: str | None = None


def params(
    dataset: str, model: str, *, trials: int = 20, over: Sequence[str] = (), metric: str | None = None,
    minutes: float | None = None, **training: Any,
) -> dict[str, Any]:  # fmt: skip
    """Parameters of a search.

    Args:
        dataset: name of the dataset.
        model: name of the model.
        trials: number of trials.
        over: see :func:`mmrec_core.tuning.search_space.space`.
        metric: validation metric of the search; ``None``: the metric of early stopping.
        minutes: time budget; trials that have not started by then are left out.
        training: parameters that all trials share, see :func:`mmrec_core.runs.training_params`.

    Returns:
        The parameters, validated and with defaults filled in.

    Raises:
        MMRecError: invalid parameters of the training runs, or nothing to search.
    """
    if trials < 1:
        raise MMRecError(f"--trials is {trials}; expected at least 1.")
    if minutes is not None and minutes <= 0:
        raise MMRecError(f"--minutes is {minutes:g}; expected more than 0.")
    shared = runs.training_params(dataset, model, **training)
    found = search_space.space(model, over)
    if metric is not None:
        wanted, kind = metrics.metric(metric), _usual_metric(shared)
        if (kind == "ndcg@10" and wanted.kind != "ranking") or (
            kind == "rmse" and wanted.kind not in {"ratings", "ranking"}
        ):
            raise MMRecError(f"'{model}' cannot be evaluated by {metric}; its default metric is {kind}.")
    if doubled := {d.name for d in found} & set(shared["options"]):
        raise MMRecError(f"'{min(doubled)}' is both set and tuned; leave one out.")
    return {**shared, "space": [d.as_dict() for d in found], "trials": trials, "metric": metric, "minutes": minutes}


def dimensions(asked: Mapping[str, Any]) -> list[Dimension]:
    """The search space in a search's parameters."""
    return [Dimension(**{**entry, "values": tuple(entry["values"])}) for entry in asked["space"]]


def trials_of(run: Run) -> list[Trial]:
    """All trials of a search so far, in the order of their start.

    Raises:
        DamagedFile: ``trials.json`` cannot be read; it is not overwritten.
    """
    found = _read_trials(run)
    return [Trial(**entry) for entry in found["trials"]] if found else []


def _read_trials(run: Run) -> dict[str, Any] | None:
    """Content of ``trials.json``; ``None`` before the first trial."""
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
    """Validation metric of a search; ``None`` if it is the default one and no trial has started.

    Raises:
        DamagedFile: as :func:`trials_of`.
    """
    found = _read_trials(run)
    metric = found["metric"] if found else run.params.get("metric")
    return str(metric) if metric else None


def best_of(found: Sequence[Trial], metric: str) -> Trial | None:
    """The trial with the best score; the earliest of equal ones."""
    able = [t for t in found if t.score is not None]
    sign = -1.0 if metrics.metric(metric).better == "lower" else 1.0
    return max(able, key=lambda t: sign * float(t.score or 0.0), default=None)


def winner_params(asked: Mapping[str, Any], best: Trial) -> dict[str, Any]:
    """Parameters of the final training with the best settings, on the same training rows as the trials."""
    shared = {k: asked[k] for k in ("dataset", "model", *runs.DEFAULT_PARAMS)}
    shared["options"] = {**shared["options"], **best.options}
    return runs.training_params(shared.pop("dataset"), shared.pop("model"), **shared)


# The work itself


def search(run: Run, progress: Progress, flag: StopFlag) -> list[Trial]:
    """Run trials until their number or the time budget is reached; continues a search of an earlier worker.

    Args:
        run: the search.
        progress: called with the progress.
        flag: stop requests.

    Raises:
        MMRecError: Ray is missing, or no trial has finished.
        Interrupted: a stop was requested; the trials stay, and a resumed run continues.
    """
    tune = _ray_tune()
    asked = run.params
    metric = asked["metric"] or _usual_metric(asked)
    trial_log = _TrialLog(run.folder / "trials.json", metric, [t for t in trials_of(run)])
    spent = float(run.record.get("searched_s", 0.0))
    budget = None if asked["minutes"] is None else asked["minutes"] * 60 - spent
    started = time.time()
    most = _epochs(asked)
    watch = _watch(tune, trial_log, flag, asked["trials"], most, progress, None if budget is None else started + budget)
    progress(trial_log.ended(), asked["trials"], "starting Ray")
    ctrl_c = signal.getsignal(signal.SIGINT)
    with ray_cluster.connected(), flag.watch():
        try:
            if budget is None or budget > 0:
                _tuner(tune, run, asked, metric, most, watch).fit()
            if trial_log.ended() < asked["trials"] and not watch.over and budget is None:
                flag.wanted = True  # Ray takes a Ctrl-C for itself
        finally:
            if threading.current_thread() is threading.main_thread():
                signal.signal(signal.SIGINT, ctrl_c)
            trial_log.close(left="stopped")
            runs.update(run, searched_s=spent + time.time() - started)
    if flag.wanted:
        raise Interrupted()
    if all(t.score is None for t in trial_log.trials):
        failed = next((t.error for t in trial_log.trials if t.error), None)
        raise MMRecError(f"No trial finished{f': {failed}' if failed else ' in the time budget; allow more minutes'}.")
    return trial_log.trials


def _usual_metric(asked: Mapping[str, Any]) -> str:
    """The default validation metric of the model, found without training it."""
    from mmrec_core.data.preparation import open_dataset
    from mmrec_core.training.fit import split_settings

    config, _ = split_settings(asked["model"], asked["options"])
    cls = registry.load("models", asked["model"])
    return VALIDATION_METRICS[cls.heads(config, open_dataset(asked["dataset"]).schema(runs.liked_from(asked)))[0].kind]


def _ray_tune() -> Any:
    """Import Ray Tune.

    Raises:
        MMRecError: Ray or Optuna is missing.
    """
    os.environ.setdefault("TUNE_DISABLE_AUTO_CALLBACK_LOGGERS", "1")  # trials.json has everything
    os.environ.setdefault("RAY_AIR_NEW_OUTPUT", "0")
    settings.silence_telemetry()
    try:
        import optuna
        from ray import tune
    except ImportError as error:
        raise MMRecError(f"Tuning needs Ray and Optuna ({error}); pip install -r requirements-cluster.txt.") from None
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.filterwarnings("ignore", module="optuna")  # a resumed trial reports some epochs again
    return tune


def _tuner(tune: Any, run: Run, asked: Mapping[str, Any], metric: str, epochs: int, watch: Any) -> Any:
    """Ray's tuner: a new one, or restored from its saved state.

    Args:
        tune: the module ``ray.tune``.
        run: the search.
        asked: its parameters.
        metric: validation metric.
        epochs: most epochs of a trial.
        watch: callback that records trials.
    """
    from optuna.samplers import TPESampler
    from ray.tune.schedulers import ASHAScheduler
    from ray.tune.search.optuna import OptunaSearch

    sign = metrics.metric(metric).better
    mode = "max" if sign == "higher" else "min"
    found = dimensions(asked)
    domains = {d.name: _domain(tune, d) for d in found}
    gpu = 1 if runs.wants_gpu("train", asked) and ray_cluster.resources().get("GPU") else 0
    trainable = tune.with_resources(
        tune.with_parameters(_try, asked=dict(asked), metric=metric, folder=str(run.folder / "trials")),
        {"cpu": 1, "gpu": gpu},
    )
    place = run.folder / "tune"
    config = tune.RunConfig(
        name="tune", storage_path=str(run.folder), callbacks=[watch], verbose=0,
        failure_config=tune.FailureConfig(max_failures=3 if os.environ.get("MMREC_ON_RAY") else 0),
    )  # fmt: skip
    if tune.Tuner.can_restore(str(place)):
        tuner = tune.Tuner.restore(
            str(place), trainable, resume_unfinished=True, restart_errored=False, param_space=domains
        )
        tuner._local_tuner._run_config.callbacks = [watch]  # the saved callback belonged to another process
        return tuner
    scheduler = (
        ASHAScheduler(time_attr="epoch", max_t=epochs, grace_period=max(1, epochs // 10), reduction_factor=3)
        if epochs > 1
        else None
    )
    # multivariate: settings interact; constant_liar: several trials run at once
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
    """Most epochs of a trial; 1 for closed-form models, which report once."""
    schema = registry.schema("models", asked["model"])
    if not schema["trains"]:
        return 1
    return int(asked["options"].get("max_epochs", schema["train"]["properties"]["max_epochs"]["default"]))


def _domain(tune: Any, found: Dimension) -> Any:
    if found.kind == "choice":
        return tune.choice(list(found.values))
    if found.kind == "int":  # Ray's upper ends are exclusive
        return (tune.lograndint if found.log else tune.randint)(int(found.low or 0), int(found.high or 0) + 1)
    return (tune.loguniform if found.log else tune.uniform)(found.low, found.high)


def _try(config: Mapping[str, Any], *, asked: Mapping[str, Any], metric: str, folder: str) -> None:
    """Run one trial in a process of Ray; an error is written into a file for :func:`_reason`.

    Args:
        config: the tuned settings.
        asked: parameters of the search.
        metric: validation metric.
        folder: folder of all trials.
    """
    from ray import tune

    own = Path(folder) / tune.get_context().get_trial_id()
    try:
        _fit(config, asked, metric, own)
    except Exception as error:
        own.mkdir(parents=True, exist_ok=True)
        reason = str(error) if isinstance(error, MMRecError) else f"{type(error).__name__}: {error}"
        storage.write_bytes(own / "error.txt", reason.encode())
        raise


def _fit(config: Mapping[str, Any], asked: Mapping[str, Any], metric: str, own: Path) -> None:
    """Fit on the training rows, evaluate on the validation rows, report each epoch to Ray.

    Args:
        config: the tuned settings.
        asked: parameters of the search.
        metric: validation metric.
        own: folder of the trial.
    """
    from ray import tune

    from mmrec_core.callbacks import TrainingCallbacks
    from mmrec_core.data.preparation import open_dataset
    from mmrec_core.data.splits import make_split, with_validation
    from mmrec_core.training import fit

    liked = runs.liked_from(asked)
    dataset = open_dataset(asked["dataset"])
    split = make_split(dataset, asked["split"], asked["split_seed"], asked["filter_from"], liked)
    parts = with_validation(split, dataset=dataset)
    parts = replace(parts, test=parts.test[:0])  # trials must not see the test rows
    sign, best = fit.better(metric), -np.inf

    def report(kind: str, values: Mapping[str, Any]) -> None:
        nonlocal best
        if kind == "epoch" and values.get(metric) is not None:
            best = max(best, sign * values[metric])
            tune.report({"score": sign * best, "now": values[metric], "epoch": values["epoch"] + 1})

    fitted = fit.fit(
        asked["model"], dataset, parts, options={**asked["options"], **config}, seed=asked["seed"], relevant_from=liked,
        fraction=asked["fraction"], encoder=asked["encoder"], modality=asked["modality"] or "none", watch=metric,
        callbacks=TrainingCallbacks(own / "checkpoints", report),
    )  # fmt: skip
    if not fitted.epochs or metric not in fitted.epochs[-1]:  # a closed form, or no early stopping
        score = fit.validation_score(fitted.model, dataset, parts, metric, liked)
        tune.report({"score": score, "now": score, "epoch": 1, "over": True})
    else:  # reported again, because the trial may have ended before an earlier worker was killed
        score = max(sign * e[metric] for e in fitted.epochs)
        tune.report(
            {"score": sign * score, "now": fitted.epochs[-1][metric], "epoch": len(fitted.epochs), "over": True}
        )


class _TrialLog:
    """Writes ``trials.json``: all trials with their status, for pages and MLflow."""

    def __init__(self, file: Path, metric: str, known: Sequence[Trial]) -> None:
        self.file, self.metric, self.trials = file, metric, list(known)
        self.by_id = {t.id: t for t in self.trials}
        self.sign = -1.0 if metrics.metric(metric).better == "lower" else 1.0
        self.written = 0.0
        self.write(now=True)

    def of(self, trial: Any) -> Trial:
        """The entry of a trial of Ray."""
        found = self.by_id.get(trial.trial_id)
        if found is None:
            found = self.by_id[trial.trial_id] = Trial(trial.trial_id, dict(runs.plain(trial.config)))
            self.trials.append(found)
        return found

    def ended(self) -> int:
        """Number of ended trials."""
        return sum(t.status in {"finished", "stopped early", "failed"} for t in self.trials)

    def write(self, now: bool = False) -> None:
        """Write the file, unless it was written less than :data:`WRITE_S` seconds ago."""
        if now or time.time() - self.written >= WRITE_S:
            storage.write_json(self.file, {"metric": self.metric, "trials": [vars(t) for t in self.trials]})
            self.written = time.time()

    def close(self, left: str) -> None:
        """Set trials that still run to the status ``left``."""
        for trial in self.trials:
            if trial.status in {"running", "waiting"}:
                trial.status = left
        self.write(now=True)


def _watch(
    tune: Any, trial_log: _TrialLog, flag: StopFlag, n: int, most: int, progress: Progress, until: float | None
) -> Any:
    """A callback of Ray that records trials, and ends the search on a stop request or when the time is over.

    Args:
        tune: the module ``ray.tune``.
        trial_log: where trials are recorded.
        flag: stop requests.
        n: number of trials.
        most: most epochs of a trial.
        progress: called with the progress.
        until: end of the time budget in seconds since 1970; ``None``: no limit.
    """

    class Watch(tune.Callback):  # type: ignore[misc]
        over = False

        def __reduce__(self) -> Any:  # Ray saves its tuner with its callbacks; this one is not saved
            return _nobody, ()

        def on_trial_start(self, iteration: int, trials: Any, trial: Any, **_: Any) -> None:
            found = trial_log.of(trial)
            found.status = "running"
            trial_log.write()

        def on_trial_result(self, iteration: int, trials: Any, trial: Any, result: Mapping[str, Any], **_: Any) -> None:
            if "score" not in result:
                return
            found = trial_log.of(trial)
            epoch = int(result["epoch"])
            found.curve[epoch - 1 : epoch] = [float(result["now"])]  # an epoch repeated after a stop counts once
            if found.score is None or trial_log.sign * result["score"] > trial_log.sign * found.score:
                found.score, found.best_epoch = float(result["score"]), epoch - 1
            found.seconds = float(result.get("time_total_s", 0.0))
            trial_log.write()

        def on_trial_complete(self, iteration: int, trials: Any, trial: Any, **_: Any) -> None:
            found = trial_log.of(trial)
            last = trial.last_result or {}
            found.status = "finished" if last.get("over") or int(last.get("epoch", 0)) >= most else "stopped early"
            self.report_progress()

        def on_trial_error(self, iteration: int, trials: Any, trial: Any, **_: Any) -> None:
            found = trial_log.of(trial)
            found.status, found.error = "failed", _reason(trial_log.file.parent / "trials" / trial.trial_id)
            self.report_progress()

        def report_progress(self) -> None:
            trial_log.write(now=True)
            best = best_of(trial_log.trials, trial_log.metric)
            so_far = f"; best {trial_log.metric} {best.score:.4f}" if best is not None else ""
            progress(trial_log.ended(), n, f"{trial_log.ended()} of {n} trials{so_far}")

        def on_step_end(self, iteration: int, trials: Any, **_: Any) -> None:
            wanted = flag.wanted or (until is not None and time.time() > until)
            if wanted and not self.over and threading.current_thread() is threading.main_thread():
                self.over = True
                signal.raise_signal(signal.SIGINT)  # Ray saves its state and ends

    return Watch()


def _nobody() -> Any:
    """A callback that does nothing."""
    from ray import tune

    return tune.Callback()


def _reason(own: Path) -> str:
    """Why a trial failed, in one line."""
    file = own / "error.txt"
    return (
        file.read_text(encoding="utf-8").strip()[:400]
        if file.exists()
        else "its process ended without an error message"
    )


def as_csv(run: Run) -> str:
    """The trials as CSV, one row per trial: settings, score, status, epochs, seconds."""
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
