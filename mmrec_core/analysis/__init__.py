"""Comparisons, error analysis and lessons over finished runs."""
