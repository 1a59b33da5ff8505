"""Fitting models: the training loop, checkpoints, warm starts."""
