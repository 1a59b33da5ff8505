"""Checkpoints of training runs as safetensors files, written atomically; and other weights, read without pickle.

Tensors have nested names (``model.item_factors.weight``, ``optimiser.0.exp_avg``). Counters and settings are JSON in
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


def write(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, Any]) -> None:
    """Write tensors and metadata (JSON; infinities allowed) into one file, atomically."""
    ready = {k: v.detach().cpu().contiguous().clone() for k, v in tensors.items()}
    with storage.plain_errors(path):
        storage.write_bytes(path, save(ready, {NOTE: json.dumps(metadata)}))


def read(path: Path) -> tuple[Tensors, dict[str, Any]]:
    """The tensors and the metadata of a file that :func:`write` wrote.

    Raises:
        MMRecError: missing, damaged, or no checkpoint.
    """
    try:
        with safe_open(path, "pt") as file:  # opened once: another process may replace it meanwhile
            metadata: dict[str, Any] = json.loads((file.metadata() or {})[NOTE])
            return {name: file.get_tensor(name) for name in file.keys()}, metadata
    except (OSError, SafetensorError, KeyError, ValueError) as error:
        raise MMRecError(
            f"{path} is not a checkpoint, or it is damaged ({type(error).__name__}: {error}). Start a new run."
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


def restore_optimiser(
    optimiser: torch.optim.Optimizer, tensors: Mapping[str, Tensor], values: Mapping[str, Any]
) -> None:
    """Restore the state that :func:`flat_optimiser` gave."""
    state: dict[int, dict[str, Tensor]] = {}
    for name, value in tensors.items():
        at, _, key = name.partition(".")
        state.setdefault(int(at), {})[key] = value
    optimiser.load_state_dict({"state": state, "param_groups": values["param_groups"]})


def read_weights(path: Path) -> Tensors:
    """Read weights of other programs: safetensors, or ``.pth``/``.pt`` with tensors only.

    Wrappers (``state_dict``, ``model``) and prefixes (``module.``) are removed.

    Raises:
        MMRecError: missing, damaged, or a pickle that could run code.
    """
    from pickle import UnpicklingError  # only for the error's name; only tensors are unpickled

    if not path.is_file():
        raise MMRecError(f"{path} is not a file. Name a run, or weights saved as .safetensors, .pt or .pth.")
    if path.suffix not in {".safetensors", ".pt", ".pth"}:
        raise MMRecError(f"{path.name} is not a supported kind of weights; expected .safetensors, .pt or .pth.")
    try:
        loaded: Any = load_file(path) if path.suffix == ".safetensors" else torch.load(path, "cpu", weights_only=True)
    except UnpicklingError:
        raise MMRecError(
            f"{path.name} holds more than tensors. Opening it could run code, so it is refused. "
            "Save its state_dict() only, or use safetensors."
        ) from None
    except (OSError, SafetensorError, EOFError, RuntimeError, ValueError, KeyError) as error:
        raise MMRecError(f"{path.name} cannot be read as weights ({type(error).__name__}: {error}).") from None
    for wrapper in ("state_dict", "model_state_dict", "model"):
        if isinstance(loaded, dict) and isinstance(loaded.get(wrapper), dict):
            loaded = loaded[wrapper]
    found = {str(k): v for k, v in loaded.items() if torch.is_tensor(v)} if isinstance(loaded, dict) else {}
    if not found:
        raise MMRecError(f"{path.name} holds no named tensors.")
    for prefix in ("module.", "model.", "_orig_mod."):
        if all(k.startswith(prefix) for k in found):
            found = {k[len(prefix) :]: v for k, v in found.items()}
    return found
