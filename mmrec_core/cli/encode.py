"""Commands: encoders, encode, train-encoder, project, search."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from mmrec_core.cli.options import Background, DatasetArg, Json, Seed, Sets, Top, app, options, queue_or_do, say
from mmrec_core.errors import MMRecError


@app.command()
def encoders(as_json: Json = False) -> None:
    """The encoders, and what each one reads."""
    from mmrec_core import registry

    schemas, faults = registry.schemas("encoders"), registry.faults("encoders")
    known: list[dict[str, Any]] = [
        {"encoder": n, "about": e.summary, "fault": faults.get(n), "settings": sorted(schemas.get(n, {}).get("config", {}).get("properties", {}))}
        for n, e in registry.entries("encoders").items()
    ]  # fmt: skip
    if as_json:
        say({"encoders": known}, True)
    else:
        for row in known:
            print(f"{row['encoder']:<14} {row['fault'] or row['about']}")


@app.command()
def encode(
    dataset: DatasetArg,
    encoder: Annotated[
        str | None, typer.Option(help="One of 'encoders', two as TEXT+IMAGE, hf:ID or open_clip:MODEL[/WEIGHTS].")
    ] = None,
    folder: Annotated[
        Path | None, typer.Option("--import", help="Folder of vectors somebody else made (.npy).")
    ] = None,
    name: Annotated[str | None, typer.Option("--as", help="What to call imported vectors.")] = None,
    settings: Sets = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
    project: Annotated[bool, typer.Option("--project", help="Draw its maps, too.")] = False,
    background: Background = False,
    as_json: Json = False,
) -> None:
    """Turn plots and posters into vectors, once; or take over vectors made elsewhere."""
    from mmrec_core import features, runs
    from mmrec_core.data import preparation

    if (encoder is None) == (folder is None):
        raise MMRecError("Say what encodes: --encoder NAME, or --import FOLDER --as NAME for vectors made elsewhere.")
    if folder is not None:
        if not name:
            raise MMRecError("Imported vectors need a name: --as NAME, such as --as minilm.")
        say(features.import_folder(preparation.open_dataset(dataset), folder, name), as_json)
        return
    asked = runs.encoding_params(dataset, encoder or "", options=options(settings), device=device, project=project)
    queue_or_do("encode", asked, background, as_json)


@app.command(name="train-encoder")
def train_encoder(
    dataset: Annotated[str, typer.Argument(help="A prepared dataset, or several separated by commas.")],
    encoder: Annotated[str, typer.Argument(help="mini_clip or mini_siglip.")],
    settings: Sets = None,
    seed: Seed = 0,
    held_out: Annotated[
        float,
        typer.Option(
            min=0.0, max=0.9, help="Share of films kept for the test; 0: the last dataset is not learned from."
        ),
    ] = 0.2,
    out: Annotated[Path | None, typer.Option(help="Where to write the weights (.safetensors).")] = None,
    background: Background = False,
    as_json: Json = False,
) -> None:
    """Train a small dual encoder from scratch on posters and plots; held-out films tell how well text and poster find each other."""
    from mmrec_core import runs

    asked = runs.encoder_training_params(
        [part.strip() for part in dataset.split(",") if part.strip()], encoder, options=options(settings), seed=seed,
        held_out=held_out, out=str(out.expanduser().resolve()) if out else None,
    )  # fmt: skip
    queue_or_do("train-encoder", asked, background, as_json)


@app.command()
def project(
    dataset: DatasetArg,
    encoder: Annotated[
        str, typer.Option(help="An encoder whose vectors are there, TEXT+IMAGE, or run:ID for a model's films.")
    ],
    modality: Annotated[str, typer.Option(help="text, image or both.")] = "both",
    dim: Annotated[int, typer.Option(min=2, max=3, help="Dimensions of the map.")] = 2,
    seed: Seed = 0,
    again: Annotated[bool, typer.Option("--again", help="Draw it anew though it is there.")] = False,
    background: Background = False,
    as_json: Json = False,
) -> None:
    """Draw the map of a space (UMAP), with how far it can be trusted."""
    from mmrec_core import runs

    if modality not in {"text", "image", "both"}:
        raise MMRecError(f"--modality is '{modality}'; expected text, image or both.")
    asked = runs.projection_params(dataset, encoder, modality, dim=dim, seed=seed, again=again)
    queue_or_do("project", asked, background, as_json)


@app.command()
def search(
    dataset: DatasetArg,
    encoder: Annotated[str, typer.Option(help="An encoder whose vectors are there.")],
    text: Annotated[str | None, typer.Option(help="Words.")] = None,
    film: Annotated[str | None, typer.Option(help="A film of the dataset.")] = None,
    image: Annotated[Path | None, typer.Option(help="A picture file.")] = None,
    modality: Annotated[str, typer.Option(help="With --film: like it by text (plot) or by image (poster).")] = "image",
    top: Top = 10,
    as_json: Json = False,
) -> None:
    """Find films by words, by a film or by a picture; exact, in the original space."""
    from mmrec_core.data import preparation
    from mmrec_core.reading import images
    from mmrec_core.spaces import search as room

    opened = preparation.open_dataset(dataset)
    if sum(given is not None for given in (text, film, image)) != 1:
        raise MMRecError("Say what to search by: one of --text, --film or --image.")
    if text is not None:
        found = room.by_text(opened, encoder, text, top)
    elif film is not None:
        if modality not in {"text", "image"}:
            raise MMRecError(f"--modality is '{modality}'; expected text or image.")
        found = room.by_film(opened, encoder, opened.items.row(film, "item"), top, modality)  # type: ignore[arg-type]
    else:
        found = room.by_image(opened, encoder, images.open_image(image or Path()), top)
    films = [
        {"movieId": opened.items.raw[i].item(), "title": opened.catalog["title"].iloc[i], "score": float(c)}
        for i, c in zip(found.items, found.cosine, strict=True)
    ]
    say({"encoder": encoder, "into": found.into, "results": films}, as_json)
