"""Commands: smoke, cluster, serve."""

from __future__ import annotations

from typing import Annotated

import typer

from mmrec_core.cli.options import Json, app, progress, say


@app.command()
def smoke(
    workers: Annotated[
        int, typer.Option(min=1, max=64, help="Processes that train one model together; 1 leaves that out.")
    ] = 2,
    as_json: Json = False,
) -> None:
    """Check this machine, and the cluster where one is named, by a few small trainings whose figures must agree."""
    from mmrec_core.jobs.doctor import smoke as check

    found = check(workers, progress)
    if as_json:
        say({"checks": found}, True)
    else:
        for row in found:
            print(f"{'✓' if row['passed'] else '✗'} {row['check']}: {row['said']}")
    if not all(row["passed"] for row in found):
        raise typer.Exit(1)


@app.command()
def cluster(
    use: Annotated[str | None, typer.Option(help="Send work to this Ray cluster from now on: HOST:PORT.")] = None,
    forget: Annotated[bool, typer.Option("--forget", help="Work on this machine again.")] = False,
    as_json: Json = False,
) -> None:
    """The Ray cluster that runs are sent to, its nodes and what is free on them."""
    from mmrec_core.runs import ray_cluster as room

    if use or forget:
        room.name(None if forget else use)
    where = room.address()
    found = [vars(node) for node in room.nodes()] if where else []
    if as_json:
        say({"address": where, "nodes": found}, True)
    elif where is None:
        print("No cluster is named; everything runs on this machine. Name one with --use HOST:PORT, or RAY_ADDRESS.")
    else:
        print(f"{where}: {len(found)} nodes")
        for node in found:
            free, total = node["free"], node["total"]
            print(f"{'●' if node['alive'] else '○'} {node['address']:<16} CPU {free.get('CPU', 0):g} of {total.get('CPU', 0):g} free, "
                  f"GPU {free.get('GPU', 0):g} of {total.get('GPU', 0):g} free")  # fmt: skip


@app.command()
def serve(
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port to listen on.")] = 8501,
    showcase: Annotated[
        str | None, typer.Option(help="Dataset whose models are trained in the background once the app is up.")
    ] = None,
    headless: Annotated[bool, typer.Option("--headless", help="Do not open a browser.")] = False,
    host: Annotated[
        str,
        typer.Option(
            help="Address to listen on. Anything but localhost lets others look and rate; to start work they need the owner's token, which is printed."
        ),
    ] = "localhost",
    names: Annotated[
        list[str] | None,
        typer.Option(
            "--name", help="A further name by which people reach the app, such as lab.example.org; may be repeated."
        ),
    ] = None,
) -> None:
    """Bring up the app, on localhost unless told otherwise."""
    from mmrec_core.cli import launch

    raise typer.Exit(launch.serve(port, showcase, headless, host, names or ()))
