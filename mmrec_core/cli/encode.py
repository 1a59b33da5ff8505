"""Commands: encoders, encode, train-encoder, project, search."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from mmrec_core.cli.options import Background, DatasetArg, Json, Seed, Sets, Top, app, options, queue_or_do, say
from mmrec_core.errors import MMRecError


@app.command()
def encoders(as_json: Json = False) -> None:
    """List the encoders and what they read."""
    from mmrec_core import registry

    schemas, faults = registry.schemas("encoders"), registry.faults("encoders")
    known: list[dict[str, Any]] = [
        {
            "encoder": n,
            "about": e.summary,
            "fault": faults.get(n),
            "settings": sorted(schemas.get(n, {}).get("config", {}).get("properties", {})),
        }
        for n, e in registry.entries("encoders").items()
    ]
    if as_json:
        say({"encoders": known}, True)
    else:
        for row in known:
            print(f"{row['encoder']:<14} {row['fault'] or row['about']}")


@app.command()
def encode(
    dataset: DatasetArg,
    encoder: Annotated[
        str | None,
        typer.Option(
            help="Name of an encoder, two as TEXT+IMAGE, a joint space of two as aligned:TEXT+IMAGE, hf:ID or "
            "open_clip:MODEL[/WEIGHTS]."
        ),
    ] = None,
    folder: Annotated[
        Path | None, typer.Option("--import", help="Folder of precomputed vectors (.npy) to import.")
    ] = None,
    name: Annotated[str | None, typer.Option("--as", help="Name of the imported vectors.")] = None,
    settings: Sets = None,
    device: Annotated[str, typer.Option(help="Device: auto, cpu, cuda or mps.")] = "auto",
    project: Annotated[bool, typer.Option("--project", help="Also compute the maps.")] = False,
    background: Background = False,
    as_json: Json = False,
) -> None:
    """Encode plots and posters as vectors, or import precomputed vectors."""
    from mmrec_core import features, runs
    from mmrec_core.data import preparation

    if (encoder is None) == (folder is None):
        raise MMRecError("Choose an encoder: --encoder NAME, or --import FOLDER --as NAME for precomputed vectors.")
    if folder is not None:
        if not name:
            raise MMRecError("Imported vectors need a name: --as NAME, such as --as minilm.")
        say(features.import_folder(preparation.open_dataset(dataset), folder, name), as_json)
        return
    params = runs.encoding_params(dataset, encoder or "", options=options(settings), device=device, project=project)
    queue_or_do("encode", params, background, as_json)


@app.command(name="train-encoder")
def train_encoder(
    dataset: Annotated[str, typer.Argument(help="Name of a prepared dataset, or several separated by commas.")],
    encoder: Annotated[str, typer.Argument(help="Name of the encoder: mini_clip or mini_siglip.")],
    settings: Sets = None,
    seed: Seed = 0,
    held_out: Annotated[
        float,
        typer.Option(min=0.0, max=0.9, help="Share of films held out for the test; 0: hold out the last dataset."),
    ] = 0.2,
    out: Annotated[Path | None, typer.Option(help="File for the weights (.safetensors).")] = None,
    background: Background = False,
    as_json: Json = False,
) -> None:
    """Train a small dual encoder on posters and plots from scratch, and evaluate retrieval on held-out films."""
    from mmrec_core import runs

    params = runs.encoder_training_params(
        [part.strip() for part in dataset.split(",") if part.strip()],
        encoder,
        options=options(settings),
        seed=seed,
        held_out=held_out,
        out=str(out.expanduser().resolve()) if out else None,
    )
    queue_or_do("train-encoder", params, background, as_json)


@app.command()
def project(
    dataset: DatasetArg,
    encoder: Annotated[
        str, typer.Option(help="Encoder with computed vectors, TEXT+IMAGE, or run:ID for a model's item vectors.")
    ],
    modality: Annotated[str, typer.Option(help="Modality: text, image, both, or another that is stored.")] = "both",
    dim: Annotated[int, typer.Option(min=2, max=3, help="Number of dimensions of the map.")] = 2,
    seed: Seed = 0,
    again: Annotated[bool, typer.Option("--again", help="Compute the map again even if it exists.")] = False,
    background: Background = False,
    as_json: Json = False,
) -> None:
    """Compute the map of an embedding space (UMAP) and its quality measures."""
    from mmrec_core import runs

    params = runs.projection_params(dataset, encoder, modality, dim=dim, seed=seed, again=again)
    queue_or_do("project", params, background, as_json)


@app.command()
def search(
    dataset: DatasetArg,
    encoder: Annotated[str, typer.Option(help="Encoder with computed vectors.")],
    text: Annotated[str | None, typer.Option(help="Words to search for.")] = None,
    film: Annotated[str | None, typer.Option(help="Id of a film; find similar films.")] = None,
    image: Annotated[Path | None, typer.Option(help="Image file; find similar posters.")] = None,
    modality: Annotated[
        str, typer.Option(help="With --film: similarity by text (plot) or by image (poster).")
    ] = "image",
    top: Top = 10,
    as_json: Json = False,
) -> None:
    """Find films by words, by a film or by an image: exact nearest neighbours in the original space."""
    from mmrec_core.data import preparation
    from mmrec_core.reading import images
    from mmrec_core.spaces import search as searching

    opened = preparation.open_dataset(dataset)
    if sum(given is not None for given in (text, film, image)) != 1:
        raise MMRecError("Choose what to search by: exactly one of --text, --film or --image.")
    if text is not None:
        found = searching.by_text(opened, encoder, text, top)
    elif film is not None:
        found = searching.by_film(opened, encoder, opened.items.row(film, "item"), top, modality)
    else:
        found = searching.by_image(opened, encoder, images.open_image(image or Path()), top)
    films = [
        {"movieId": opened.items.raw[i].item(), "title": opened.catalog["title"].iloc[i], "score": float(c)}
        for i, c in zip(found.items, found.cosine, strict=True)
    ]
    say({"encoder": encoder, "into": found.into, "results": films}, as_json)
