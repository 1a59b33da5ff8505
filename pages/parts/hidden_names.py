"""Names of models, or what stands for them where somebody codes without knowing which is which."""

from __future__ import annotations

import random

import streamlit as st


def hidden() -> bool:
    """Whether names are hidden."""
    return bool(st.session_state.get("blind"))


def key(name: str) -> str:
    """A widget's key: another one where names are hidden, or it would go on showing them."""
    return f"{name}_hidden" if hidden() else name


def order(labels: list[str]) -> list[str]:
    """The labels; where names are hidden, in an order drawn once, so that a place tells nothing."""
    if not hidden():
        return labels
    lot = st.session_state.setdefault("blind_lot", random.SystemRandom().randrange(1 << 30))
    mixed = sorted(labels)
    random.Random(lot).shuffle(mixed)
    return mixed


def name(label: str, labels: list[str]) -> str:
    """A model's name, or *Model 1*, *Model 2*."""
    return f"Model {order(labels).index(label) + 1}" if hidden() else label
