"""Reel World: a generated film world whose true tastes are known. Words, posters, the world, its oracles."""
