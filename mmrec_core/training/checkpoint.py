"""A training's state in one safetensors file, written whole or not at all; and other people's weights, read without pickle.

Tensors keep nested names (``model.item_factors.weight``, ``optimiser.0.exp_avg``); counters and settings travel as JSON in
the file's metadata.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save
from torch import Tensor

from mmrec_core import storage
from mmrec_core.errors import MMRecError

Tensors = dict[str, Tensor]
NOTE = "mmrec"


def write(path: Path, tensors: Mapping[str, Tensor], told: Mapping[str, Any]) -> None:
    """Write tensors and what is told about them (JSON; infinities allowed) into one file, atomically."""
    ready = {k: v.detach().cpu().contiguous().clone() for k, v in tensors.items()}
    with storage.plain_errors(path):
        storage.write_bytes(path, save(ready, {NOTE: json.dumps(told)}))


def read(path: Path) -> tuple[Tensors, dict[str, Any]]:
    """What :func:`write` wrote.

    Raises:
        MMRecError: missing, damaged, or not ours.
    """
    try:
        with safe_open(path, "pt") as held:
            told: dict[str, Any] = json.loads((held.metadata() or {})[NOTE])
        return load_file(path), told
    except (OSError, SafetensorError, KeyError, ValueError) as error:
        raise MMRecError(
            f"{path} is not a checkpoint that can be read ({type(error).__name__}: {error}). Start the run anew."
        ) from None


def nested(tensors: Mapping[str, Tensor], prefix: str) -> Tensors:
    """The tensors under a prefix, without it."""
    return {k[len(prefix) + 1 :]: v for k, v in tensors.items() if k.startswith(prefix + ".")}


def flat_optimiser(optimiser: torch.optim.Optimizer) -> tuple[Tensors, dict[str, Any]]:
    """An optimiser's state as flat tensors and plain values."""
    state = optimiser.state_dict()
    tensors = {
        f"{at}.{key}": value
        for at, own in state["state"].items()
        for key, value in own.items()
        if torch.is_tensor(value)
    }
    return tensors, {"param_groups": state["param_groups"]}


def restore_optimiser(optimiser: torch.optim.Optimizer, tensors: Mapping[str, Tensor], told: Mapping[str, Any]) -> None:
    """Put back what :func:`flat_optimiser` took out."""
    state: dict[int, dict[str, Tensor]] = {}
    for name, value in tensors.items():
        at, _, key = name.partition(".")
        state.setdefault(int(at), {})[key] = value
    optimiser.load_state_dict({"state": state, "param_groups": told["param_groups"]})


def read_weights(path: Path) -> Tensors:
    """Weights that somebody else saved: safetensors, or ``.pth``/``.pt`` holding tensors only.

    Wrappers (``state_dict``, ``model``) and prefixes (``module.``) are taken off.

    Raises:
        MMRecError: missing, damaged, or a pickle that could run code.
    """
    from pickle import UnpicklingError  # only to name the error; nothing is unpickled but tensors

    if not path.is_file():
        raise MMRecError(f"{path} is not a file. Name a run, or weights saved as .safetensors, .pt or .pth.")
    if path.suffix not in {".safetensors", ".pt", ".pth"}:
        raise MMRecError(f"{path.name} is no kind of weights that is read here: .safetensors, .pt or .pth.")
    try:
        held: Any = load_file(path) if path.suffix == ".safetensors" else torch.load(path, "cpu", weights_only=True)
    except UnpicklingError:
        raise MMRecError(
            f"{path.name} holds more than tensors; opening it could run somebody's code, so it is refused. "
            "Save its state_dict() alone, or as safetensors."
        ) from None
    except (OSError, SafetensorError, EOFError, RuntimeError, ValueError, KeyError) as error:
        raise MMRecError(f"{path.name} cannot be read as weights ({type(error).__name__}: {error}).") from None
    for wrapper in ("state_dict", "model_state_dict", "model"):
        if isinstance(held, dict) and isinstance(held.get(wrapper), dict):
            held = held[wrapper]
    found = {str(k): v for k, v in held.items() if torch.is_tensor(v)} if isinstance(held, dict) else {}
    if not found:
        raise MMRecError(f"{path.name} holds no named tensors.")
    for prefix in ("module.", "model.", "_orig_mod."):
        if all(k.startswith(prefix) for k in found):
            found = {k[len(prefix) :]: v for k, v in found.items()}
    return found
