"""Reel World, a generated film dataset with known ground truth: world, texts, posters, oracles."""
