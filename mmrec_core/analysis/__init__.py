"""Comparisons, error analysis, ablations and lessons over finished runs."""
