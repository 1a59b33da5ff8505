"""Words for each poster composition: sentences for the plot, and names for captions."""

from __future__ import annotations

from typing import Final

MOTIFS: Final[dict[str, tuple[tuple[str, ...], str]]] = {
    "horizon_sun": (
        ("The sun hangs low over the land.", "A low sun sees it all."),
        "sunset sunrise horizon hills landscape dawn dusk",
    ),
    "mountains": (
        ("One great peak looks on.", "Snow lies on the summit."),
        "mountain mountains peak summit alps snow-capped",
    ),
    "desert": (("Only dunes and cactus hear it.", "The dunes keep no tracks."), "desert dunes cactus sand sahara arid"),
    "waves": (("A small boat rides the waves.", "Wave follows wave."), "waves ocean sea boat water surf rowing"),
    "ship": (
        ("A tall ship waits offshore.", "The hull of a ship looms."),
        "ship vessel liner sailing-ship galleon steamer hull",
    ),
    "forest_moon": (
        ("The moon stands over the trees.", "Trees close in under the moon."),
        "forest woods trees moon moonlit pines",
    ),
    "road": (
        ("The road runs straight on.", "A long road leads out."),
        "road highway street route journey vanishing-point",
    ),
    "skyline": (
        ("The city skyline never sleeps.", "Towers of the city look down."),
        "city skyline skyscrapers downtown metropolis urban",
    ),
    "windows": (
        ("One lit window stays awake.", "A window glows in the facade."),
        "windows apartment facade tenement lit-window building",
    ),
    "staircase": (
        ("The stairs lead up to a light.", "Somebody waits on the stairs."),
        "staircase stairs steps climbing stairway",
    ),
    "lone_figure": (
        ("A figure stands alone, its shadow long.", "One shadow is longer than the others."),
        "figure silhouette shadow lone-man standing solitary-person",
    ),
    "eye": (("An eye is always open.", "Some eye sees everything."), "eye gaze watching pupil stare looking"),
    "vertigo": (
        ("Everything turns in a spiral.", "The spiral pulls tighter."),
        "spiral rings vortex whirl hypnotic vertigo concentric",
    ),
    "diagonal": (
        ("There is no time but to run.", "Somebody runs for dear life."),
        "running runner diagonal stripes sprint dash",
    ),
    "hand": (("A hand reaches out.", "An open hand asks for more."), "hand fingers reaching palm arm grasp"),
    "heart": (
        ("It is a matter of the heart.", "A heart may split in two."),
        "heart hearts valentine heart-shaped broken-heart",
    ),
    "stage": (
        ("The spotlight finds the stage.", "On stage the lights come up."),
        "stage spotlight spotlights performer theatre concert-stage",
    ),
    "mask": (
        ("Behind the mask is another.", "Nobody takes off the mask."),
        "mask masks masquerade disguise carnival-mask two-faced",
    ),
    "keyhole": (("The keyhole shows too much.", "Look through the keyhole."), "keyhole lock peeping key door spyhole"),
    "profiles": (
        ("Two profiles face each other.", "Face meets face."),
        "faces profiles portrait face-to-face heads silhouettes",
    ),
    "flower": (
        ("A flower opens all the same.", "One bloom outlives it."),
        "flower flowers bloom blossom rose petals garden tulip",
    ),
    "birds": (
        ("The birds leave first.", "A flock of birds takes wing."),
        "birds bird flock wings flying crow gulls eagle",
    ),
    "sunburst": (
        ("A star bursts into rays.", "Rays break from behind a star."),
        "sunburst rays star burst beams explosion-star",
    ),
    "squadron": (
        ("Aircraft cross in formation.", "Planes drone overhead."),
        "aircraft planes airplanes squadron fighter-planes bombers jets air-force",
    ),
    "planet": (
        ("A ringed planet fills the sky.", "Moons circle the planet."),
        "planet saturn ringed-planet moons outer-space orbit cosmos",
    ),
    "saucer": (
        ("Something hovers and shines a beam.", "A saucer hovers without a sound."),
        "flying-saucer ufo saucer spacecraft abduction beam hovering",
    ),
    "castle": (
        ("Castle towers guard the hill.", "The castle keeps its gate shut."),
        "castle towers fortress palace turrets battlements",
    ),
    "balloons": (
        ("Balloons drift over the clouds.", "A balloon gets away."),
        "balloons balloon clouds hot-air-balloon floating sky",
    ),
    "giant_type": (
        ("The name is all that counts.", "Big letters say it plainly."),
        "letters type lettering typography words text",
    ),
    "shape_grid": (
        ("Squares and circles make the pattern.", "The pattern is a grid of shapes."),
        "shapes grid pattern abstract circles squares bauhaus",
    ),
    "torn_bands": (
        ("Strips of torn paper tell the rest.", "The paper is torn into bands."),
        "torn-paper paper strips collage ripped shreds",
    ),
    "record": (("The record turns on.", "A needle finds its groove."), "record vinyl lp disc grooves turntable"),
    "cat": (("The cat looks straight at you.", "A cat knows better."), "cat kitten whiskers feline tomcat"),
    "train": (
        ("A locomotive comes straight on.", "The train trails its smoke."),
        "train locomotive railway steam-engine rails engine",
    ),
    "piano": (("One piano key stands out.", "The keys of a piano run on."), "piano keyboard keys pianist ivory"),
    "house": (
        ("In a house of its own, somebody is at home.", "A lone house keeps a light on."),
        "house home cottage cabin mansion roof chimney",
    ),
}
