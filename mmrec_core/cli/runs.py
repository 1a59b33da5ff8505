"""Commands: runs, rename, stop, resume, delete, clean, export, and the internal commands of workers."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mmrec_core.cli.options import Background, Json, app, do, say
from mmrec_core.errors import MMRecError


@app.command()
def runs(as_json: Json = False) -> None:
    """List all runs and their status."""
    from mmrec_core import runs as store

    rows = []
    for run in store.all_runs():
        last = run.last("progress") or {}
        rows.append(
            {
                "run": run.id,
                "kind": run.kind,
                "dataset": run.params.get("dataset"),
                "model": run.params.get("model"),
                "name": run.record.get("name"),
                "status": run.status,
                "pid": run.record.get("pid"),
                "step": last.get("done"),
                "checkpoint": run.has_checkpoint,
                "error": run.error or (str(run.damage) if run.damage else None),
            }
        )
    for name, fault in store.damaged_runs().items():
        rows.append(
            {
                "run": name,
                "kind": None,
                "dataset": None,
                "model": None,
                "name": None,
                "status": "damaged",
                "pid": None,
                "step": None,
                "checkpoint": False,
                "error": str(fault),
            }
        )
    if as_json:
        say({"runs": rows}, True)
    else:
        for row in rows:
            print(f"{row['status']:<9} {row['run']}  {row['name'] or ''}{row['error'] or ''}")


@app.command()
def rename(
    run: Annotated[str, typer.Argument(help="Id of a run.")],
    name: Annotated[str, typer.Argument(help="Name that is shown with its result; '' for the automatic one.")],
    as_json: Json = False,
) -> None:
    """Give a run a name, which tables and pages show with its result."""
    from mmrec_core import runs as store
    from mmrec_core.analysis import comparison
    from mmrec_core.data import preparation

    found = store.get(run)
    own = None
    if found.kind in {"train", "evaluate"} and found.status == "finished":
        rows = comparison.rows(preparation.open_dataset(found.params["dataset"]))
        own = next((row for row in rows if run in {row.run.id, row.trained}), None)
    renamed = comparison.rename(rows, own, name) if own is not None else store.rename(run, name)
    say({"run": renamed.id, "name": renamed.record.get("name")}, as_json)


@app.command()
def stop(run: Annotated[str, typer.Argument(help="Id of a queued or running run.")], as_json: Json = False) -> None:
    """Stop a run. A training run keeps its best weights and can be resumed."""
    from mmrec_core import runs as store

    say({"run": run, "status": store.stop(run).status}, as_json)


@app.command()
def resume(
    run: Annotated[str, typer.Argument(help="Id of a failed or stopped run.")],
    background: Background = False,
    as_json: Json = False,
) -> None:
    """Resume a failed or stopped run from its last checkpoint."""
    from mmrec_core import runs as store

    found = store.resume(run, background=background)
    if background or found.record.get("pid") is not None:
        say({"run": run, "status": found.status}, as_json)
    else:
        do(found, as_json)


@app.command()
def delete(
    what: Annotated[str, typer.Argument(help="What to delete: dataset or run.")],
    name: Annotated[str, typer.Argument(help="Name of the dataset or id of the run.")],
    yes: Annotated[
        bool, typer.Option("--yes", help="Delete. Without this option, only list what would be deleted.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Delete a dataset or a run, after listing what depends on it."""
    from mmrec_core.maintenance import cleanup

    if what not in {"dataset", "run"}:
        raise MMRecError(f"'{what}' cannot be deleted; expected dataset or run, such as: delete run RUN.")
    plan = cleanup.plan_dataset(name) if what == "dataset" else cleanup.plan_run(name)
    freed = plan.size
    summary = {"deletes": list(plan.deleted), "affects": list(plan.affected), "bytes": freed, "deleted": yes}
    if yes:
        cleanup.delete(plan)
    if as_json:
        say(summary, True)
        return
    print(f"{'Deleted' if yes else 'Would delete'} ({freed / 1e6:,.1f} MB):")
    for line in (*plan.deleted, *(f"! {line}" for line in plan.affected)):
        print(f"  {line}")
    if not yes:
        print("Nothing was deleted. Add --yes to delete it.")


@app.command()
def clean(
    budget: Annotated[
        float,
        typer.Option(min=0, help="Megabytes for generated map files; the least recently used are removed first."),
    ] = 1000.0,
    thumbnails: Annotated[
        bool, typer.Option("--thumbnails", help="Also remove thumbnails that no catalog uses.")
    ] = False,
    aside: Annotated[
        bool,
        typer.Option(
            "--set-aside",
            help="Rename damaged files of slices, annotated cases and the cluster, to start with empty ones.",
        ),
    ] = False,
    yes: Annotated[
        bool, typer.Option("--yes", help="Execute. Without this option, only list what would be done.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Remove generated files that are not used; list damaged files and optionally set them aside."""
    from mmrec_core.maintenance import cleanup, damage

    found = cleanup.waste(budget, thumbnails)
    removable, broken = found.summary(), damage.survey()
    movable = [d for d in broken if aside and d.about in damage.OWN]
    if yes:
        cleanup.clean(found)
    kept = [str(damage.set_aside(d.about, d.name)) for d in movable] if yes else []
    if as_json:
        say(
            {
                "removes": removable,
                "damaged": [d.line for d in broken],
                "set_aside": kept or [d.place for d in movable],
                "done": yes,
            },
            True,
        )
        return
    for kind, own in removable.items():
        print(f"{own['n']:>6} {kind} ({own['bytes'] / 1e6:,.1f} MB)")
    for one in broken:
        print(f"{'! set aside: ' if one in movable and yes else '! '}{one.line}")
    print(
        "Done."
        if yes
        else "Nothing was changed. Add --yes to do it."
        if removable or movable
        else "There is nothing to remove."
    )


@app.command()
def export(
    what: Annotated[str, typer.Argument(help="Target: tensorboard or mlflow.")],
    to: Annotated[Path | None, typer.Option(help="Folder for the event files (tensorboard).")] = None,
    as_json: Json = False,
) -> None:
    """Export the history of all runs to TensorBoard or MLflow."""
    from mmrec_core.jobs import tracking

    if what == "tensorboard":
        say({"runs": tracking.to_tensorboard(to or Path("tensorboard")), "folder": str(to or "tensorboard")}, as_json)
    elif what == "mlflow":
        say({"runs": tracking.mirror(), "store": tracking.store()}, as_json)
    else:
        raise MMRecError(f"Nothing is exported as '{what}'. Known: tensorboard, mlflow.")


@app.command(hidden=True)
def mirror() -> None:
    """Internal, started by workers: copy new events to MLflow."""
    from mmrec_core.jobs import tracking

    tracking.mirror()


@app.command(hidden=True)
def supervise() -> None:
    """Internal, started by the app and by workers: start queued runs."""
    from mmrec_core.runs import supervisor

    supervisor.supervise()


@app.command(hidden=True)
def work(run: str) -> None:
    """Internal, started by the app: execute a queued run."""
    from mmrec_core.jobs import worker

    worker.work(run)


@app.command(name="work-here", hidden=True)
def work_here(run: str) -> None:
    """Internal, started by the cluster: execute a run for a worker on another machine."""
    from mmrec_core.jobs import worker

    worker.work_here(run)
