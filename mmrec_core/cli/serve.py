"""Commands: smoke, cluster, serve."""

from __future__ import annotations

from typing import Annotated

import typer

from mmrec_core.cli.options import Json, app, progress, say


@app.command()
def smoke(
    workers: Annotated[
        int, typer.Option(min=1, max=64, help="Processes of the distributed training check; 1 skips the check.")
    ] = 2,
    as_json: Json = False,
) -> None:
    """Check this machine (and the cluster, if one is set) with small training runs whose metrics must agree."""
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
    use: Annotated[str | None, typer.Option(help="Use the Ray cluster at HOST:PORT from now on.")] = None,
    forget: Annotated[bool, typer.Option("--forget", help="Stop using the cluster; work on this machine.")] = False,
    as_json: Json = False,
) -> None:
    """Show the Ray cluster that executes runs: its nodes and their free resources."""
    from mmrec_core.runs import ray_cluster

    if use or forget:
        ray_cluster.name(None if forget else use)
    where = ray_cluster.address()
    found = [vars(node) for node in ray_cluster.nodes()] if where else []
    if as_json:
        say({"address": where, "nodes": found}, True)
    elif where is None:
        print("No cluster is set; everything runs on this machine. Set one with --use HOST:PORT or RAY_ADDRESS.")
    else:
        print(f"{where}: {len(found)} nodes")
        for node in found:
            free, total = node["free"], node["total"]
            print(
                f"{'●' if node['alive'] else '○'} {node['address']:<16} CPU {free.get('CPU', 0):g} of "
                f"{total.get('CPU', 0):g} free, "
                f"GPU {free.get('GPU', 0):g} of {total.get('GPU', 0):g} free"
            )


@app.command()
def serve(
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port to listen on.")] = 8501,
    showcase: Annotated[
        str | None, typer.Option(help="Dataset whose models are trained in the background after the start.")
    ] = None,
    headless: Annotated[bool, typer.Option("--headless", help="Do not open a browser.")] = False,
    host: Annotated[
        str | None,
        typer.Option(
            help="Address to listen on; localhost by default, all addresses with --class. On any address other than "
            "localhost, visitors may browse and rate; to start work they need the owner's token, which is printed."
        ),
    ] = None,
    names: Annotated[
        list[str] | None,
        typer.Option("--name", help="A further host name of the app, such as lab.example.org; may be repeated."),
    ] = None,
    class_: Annotated[
        bool,
        typer.Option(
            "--class",
            help="For a room full of people: listen on the network, open a class, and print its join code, a QR code "
            "and the host's link.",
        ),
    ] = False,
    certfile: Annotated[str | None, typer.Option(help="Certificate (PEM), for HTTPS.")] = None,
    keyfile: Annotated[str | None, typer.Option(help="Private key (PEM) of the certificate.")] = None,
) -> None:
    """Start the app in the browser, by default on localhost only."""
    from mmrec_core.cli import launch

    https = launch.https(certfile, keyfile)
    host = host or ("0.0.0.0" if class_ else "localhost")
    raise typer.Exit(launch.serve(port, showcase, headless, host, names or (), for_class=class_, https=https))
