"""Datasets: readers, preparation, splits, side features."""
