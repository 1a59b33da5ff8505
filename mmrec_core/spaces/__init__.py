"""Embedding spaces: vectors, two-dimensional maps, search, similarity."""

from mmrec_core.spaces.coordinates import EPOCHS, MOVES, NEIGHBOURS, PCA_WIDTH, layout, neighbours, pca, place
from mmrec_core.spaces.maps import RECIPE, REMEDY, Map, damaged, folder_of, project, stored
from mmrec_core.spaces.quality import SAMPLE, genre_purity, hubness, overlap, shared_neighbours, trust
from mmrec_core.spaces.vectors import KINDS, MEANINGS, Space, View, space

__all__ = [
    "EPOCHS",
    "KINDS",
    "MEANINGS",
    "MOVES",
    "Map",
    "NEIGHBOURS",
    "PCA_WIDTH",
    "RECIPE",
    "REMEDY",
    "SAMPLE",
    "Space",
    "View",
    "damaged",
    "folder_of",
    "genre_purity",
    "hubness",
    "layout",
    "neighbours",
    "overlap",
    "pca",
    "place",
    "project",
    "shared_neighbours",
    "space",
    "stored",
    "trust",
]
