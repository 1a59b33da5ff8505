"""What an ablation's training runs have in common, in words: vectors, settings, epochs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mmrec_core.analysis.comparison import Row

NAMED = ("dim", "hidden", "layers", "loss", "max_epochs", "patience", "lr", "batch_size")
"""Settings that are named even at their default."""


def in_words(model: str, over: Sequence[str], rows: Sequence[Row]) -> str:
    """Model, what is varied, the vectors that were read, the settings that all training runs share, and their epochs.

    Args:
        model: name of the model.
        over: what is varied, as :func:`mmrec_core.analysis.ablation.varied` takes it.
        rows: results of the finished training runs.
    """
    varied = [name.partition("=")[0] for name in over]
    parts = [f"Ablation of {model}: {', '.join(varied)} varied."]
    if vectors := _vectors(rows):
        parts.append(f"Vectors: {'; '.join(vectors)}.")
    if settings := _shared(rows, varied):
        parts.append(f"Settings: {', '.join(f'{k}={_short(v)}' for k, v in settings.items())}.")
    epochs = [row.result["epochs"] for row in rows if row.result.get("epochs")]
    if epochs:
        best = [(row.result.get("best_epoch") or 0) + 1 for row in rows if row.result.get("epochs")]
        several = "s" if max(epochs) > 1 else ""
        parts.append(f"Trained for {_span(epochs)} epoch{several}, the best of which was epoch {_span(best)}.")
    return " ".join(parts)


def _vectors(rows: Sequence[Row]) -> list[str]:
    """Modality, encoder and width of all vectors that any training read."""
    found: dict[str, None] = {}
    for row in rows:
        read = row.result.get("vectors")
        if read:
            found |= {f"{modality} by {v['encoder']} (width {v['width']})": None for modality, v in read.items()}
        elif read is None and row.content not in {"", "ids only"}:  # an earlier version recorded no widths
            found[row.content] = None
    return sorted(found, key=lambda words: (not words.startswith("text"), words))


def _shared(rows: Sequence[Row], varied: Sequence[str]) -> dict[str, Any]:
    """Settings with one value in all training runs: those of :data:`NAMED`, and those that differ from the defaults."""
    every = [row.result.get("settings") or {} for row in rows]
    if not every:
        return {}
    asked = {k for row in rows for k in row.result.get("options", row.result.get("settings")) or {}}
    names = [k for k in every[0] if (k in NAMED or k in asked) and k not in varied and k != "device"]
    return {k: every[0][k] for k in names if all(k in own and own[k] == every[0][k] for own in every)}


def _short(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _span(values: Sequence[int]) -> str:
    low, high = min(values), max(values)
    return str(low) if low == high else f"{low} to {high}"
