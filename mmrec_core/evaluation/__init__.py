"""Protocols, rankings and metrics of a scorer on a split."""
