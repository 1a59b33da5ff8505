"""Fifty text queries and the properties of relevant films of Reel World, fixed before any model was evaluated.

``motif``: what the poster shows; ``genre``: one of the genres; ``look``: whether a trait of the poster is above
or below the middle. All given properties must hold. No content word of a query occurs in the writer of plots
(``test_mini_clip.py`` holds that).
"""

from __future__ import annotations

from typing import Any

LOOK = ("warmth", "light", "density", "roundness")
QUERIES: tuple[tuple[str, dict[str, Any]], ...] = (
    ("sailing a galleon on the ocean", {"motif": ("ship", "waves")}),
    ("rowing on blue water", {"motif": ("waves",)}),
    ("a steamer, vessel of pirates", {"motif": ("ship",)}),
    ("hot sahara sand", {"motif": ("desert",)}),
    ("arid and orange landscape", {"motif": ("desert", "horizon_sun"), "look": {"warmth": 1}}),
    ("sunset on the horizon", {"motif": ("horizon_sun",)}),
    ("climbing the alps", {"motif": ("mountains", "staircase")}),
    ("gloomy woods", {"motif": ("forest_moon",)}),
    ("highway route", {"motif": ("road",)}),
    ("urban metropolis", {"motif": ("skyline",)}),
    ("sunny metropolis", {"motif": ("skyline",), "look": {"light": 1}}),
    ("tenement windows", {"motif": ("windows",)}),
    ("a stairway, climbing", {"motif": ("staircase", "mountains")}),
    ("silhouette standing", {"motif": ("lone_figure",)}),
    ("a gaze, a stare", {"motif": ("eye",)}),
    ("hypnotic vortex", {"motif": ("vertigo",)}),
    ("concentric rings", {"motif": ("vertigo",)}),
    ("a runner in a dash", {"motif": ("diagonal",)}),
    ("fingers reaching", {"motif": ("hand",)}),
    ("hearts of a sweetheart", {"motif": ("heart",)}),
    ("red hearts", {"motif": ("heart",), "look": {"warmth": 1}}),
    ("spotlights and a performer", {"motif": ("stage",)}),
    ("masquerade masks", {"motif": ("mask",)}),
    ("peeping through a spyhole", {"motif": ("keyhole",)}),
    ("a tulip, a rose, petals", {"motif": ("flower",)}),
    ("pastel blossom", {"motif": ("flower",), "look": {"light": 1}}),
    ("an eagle with wings", {"motif": ("birds",)}),
    ("a crow and gulls", {"motif": ("birds",)}),
    ("a squadron of bombers and jets", {"motif": ("squadron",)}),
    ("saturn and the cosmos", {"motif": ("planet",)}),
    ("a spacecraft hovering, an abduction", {"motif": ("saucer",)}),
    ("ufo", {"motif": ("saucer",)}),
    ("turrets and battlements", {"motif": ("castle",)}),
    ("typography and lettering", {"motif": ("giant_type",)}),
    ("bauhaus", {"motif": ("shape_grid",)}),
    ("collage, ripped to shreds", {"motif": ("torn_bands",)}),
    ("vinyl on a turntable", {"motif": ("record",)}),
    ("a feline with whiskers", {"motif": ("cat",)}),
    ("an engine on rails", {"motif": ("train",)}),
    ("a cottage with a chimney", {"motif": ("house",)}),
    ("icy and wintry", {"look": {"warmth": -1}}),
    ("fiery, autumnal", {"look": {"warmth": 1}}),
    ("murky and lightless", {"look": {"light": -1}}),
    ("luminous, radiant and airy", {"look": {"light": 1}}),
    ("chilly and gloomy", {"look": {"warmth": -1, "light": -1}}),
    ("spooky vampires in a graveyard", {"genre": ("Horror",)}),
    ("cowboys at a rodeo", {"genre": ("Western",)}),
    ("astronauts and androids on mars", {"genre": ("Sci-Fi",)}),
    ("tanks and troops in combat", {"genre": ("War",)}),
    ("jazz singers on broadway", {"genre": ("Musical",)}),
)
