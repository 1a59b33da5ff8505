"""Datasets: readers, preparation, enrichment, splits and side features."""
