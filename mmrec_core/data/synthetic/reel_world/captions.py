"""Captions of Reel World's posters: short texts for models that join text and images.

A caption names what the poster shows, a genre, the era and the look (warm, light, busy, round) by words drawn from a
thesaurus that shares no sentences with the plots. So a model that has read captions meets a visitor's words,
not the generator's. Like all of Reel World, captions are a function of their arguments.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .motifs import MOTIFS

GENRE_WORDS: dict[str, str] = {
    "Action": (
        "action fight fighting explosions chase chases gunfight car-chase bodyguard mercenary commando agent stunt"
        " stunts karate martial-arts punches rescue shootout hero adrenaline fast fists ninja assassin bullets"
        " helicopter"
    ),
    "Adventure": (
        "adventure explorer explorers expedition quest treasure jungle voyage journey map island pirates sailing sea"
        " ship mountain climb climbing discovery ruins temple travel wilderness desert crossing castaway"
    ),
    "Animation": (
        "animated animation cartoon cartoons drawn talking-animals toys doodle colourful playful pixels claymation"
        " puppet squirrel cute cat bunny mouse creature creatures"
    ),
    "Comedy": (
        "comedy funny hilarious silly laugh laughs joke jokes humour goofy prank pranks slapstick clown clumsy absurd"
        " witty farce roommates wedding party mix-up banana"
    ),
    "Crime": (
        "crime criminal gangster gangsters mafia heist robbery bank thief thieves burglar police cop cops prison jail"
        " murder drug drugs detective boss mob con-man smuggler smugglers underworld"
    ),
    "Documentary": (
        "documentary nonfiction true-story real interview archive footage history nature-film report journalist"
        " biography facts science reportage facts museum essay"
    ),
    "Drama": (
        "drama dramatic emotional grief marriage sorrow tragedy tearjerker loss illness struggle moving sad serious"
        " relationships intimate melancholy heartbreaking everyday"
    ),
    "Family": (
        "family kids children child parents siblings dog puppy pony grandma holiday school playground heartwarming"
        " wholesome toddler picnic pet pets treehouse"
    ),
    "Fantasy": (
        "fantasy magic magical wizard wizards dragon dragons sorcerer witch elf elves kingdom sword enchanted fairy"
        " fairies spell spells mythical castle prince unicorn goblin throne"
    ),
    "Horror": (
        "horror scary haunted ghost ghosts monster monsters vampire vampires zombie zombies demon creepy terrifying"
        " nightmare blood killer cursed frightening spooky werewolf graveyard evil"
    ),
    "Musical": (
        "musical song songs singing singer singers dance dancing dancer dancers broadway music band orchestra choir"
        " stage concert ballet jazz melody piano tap chorus"
    ),
    "Mystery": (
        "mystery mysterious whodunit puzzle clue clues riddle secret secrets disappearance vanished detective sleuth"
        " unsolved investigation enigma locked-room suspects inspector"
    ),
    "Romance": (
        "romance romantic love lovers kiss couple sweetheart dating passion flirt valentine affair wedding bride heart"
        " hearts soulmates crush tender embrace honeymoon"
    ),
    "Sci-Fi": (
        "science-fiction sci-fi futuristic future robot robots space spaceship astronaut astronauts alien aliens planet"
        " planets galaxy rocket android androids cyborg laser time-travel stars moon mars orbit dystopia ufo machine"
        " machines"
    ),
    "Thriller": (
        "thriller suspense suspenseful tense stalker conspiracy hostage spy spies espionage kidnapping paranoia danger"
        " dangerous ransom psychological on-the-run sniper twist hunted"
    ),
    "War": (
        "war soldier soldiers army battle battlefield tank tanks trench trenches military troops combat bomber platoon"
        " veteran invasion wartime front general regiment sailors"
    ),
    "Western": (
        "western cowboy cowboys sheriff outlaw outlaws saloon wild-west frontier ranch horse horses bandit bandits"
        " gunslinger gunslingers prairie duel stagecoach posse rodeo"
    ),
}
LOOK_WORDS: tuple[tuple[str, str], ...] = (
    (
        "cold icy blue teal wintry chilly frosty snowy frozen cool turquoise arctic",
        "warm golden orange red fiery hot amber autumnal rust sunset glowing burning",
    ),
    (
        "dark gloomy shadowy black murky dim nocturnal night midnight sinister shadows lightless",
        "bright pale light airy luminous sunny daylight pastel white cheerful radiant shining",
    ),
    (
        "lonely empty sparse minimal bare solitary desolate quiet simple isolated alone plain abandoned",
        "crowded busy cluttered bustling packed teeming chaotic swarming crammed many full noisy",
    ),
    (
        "angular sharp jagged geometric spiky edgy square straight pointed hard blocky",
        "round curvy soft swirling circular bubbly curved rounded gentle flowing bulbous",
    ),
)
"""For warmth, light, density and roundness: words of the low end, words of the high end."""
ERA_WORDS: tuple[tuple[int, str], ...] = (
    (1972, "old classic vintage sixties old-fashioned antique golden-age bygone"),
    (1981, "seventies retro 1970s vintage old"),
    (1991, "eighties 1980s retro neon"),
    (2002, "nineties 1990s"),
    (2014, "recent 2000s modern"),
    (9999, "new modern contemporary brand-new recent latest"),
)
FORMS = (
    "{look} {genre}",
    "a {look} {genre} film",
    "{genre} movie, {look} and {look}",
    "{era} {genre}",
    "a {genre} picture about {genre}",
    "poster of a {look} {genre} story",
    "{genre}, {genre}, {look}",
    "something {look} with {genre}",
    "{look} {era} film with {genre}",
    "{genre} in a {look} place",
    "a {look}, {look} {genre}",
    "the {genre} and the {genre}",
    "{look}",
    "{genre}",
    "{motif}",
    "a {motif}",
    "a {look} {motif}",
    "{motif} in a {genre} film",
    "{genre} with a {motif}",
    "{look} {motif}, {genre}",
    "picture of a {motif} for a {era} {genre} story",
    "{motif} and {motif}",
)
SEEN_FROM = 0.35
"""How far a look must be from the middle before anybody would mention it."""


def write_captions(
    genres: Sequence[str], year: int, look: Sequence[float], motif: str, seed: int, n: int = 16
) -> list[str]:
    """Captions of one poster.

    Args:
        genres: the film's genres.
        year: when it came out.
        motif: the composition of its poster, a key of :data:`~.motifs.MOTIFS`.
        look: its four traits, standard normal: warmth, light, density, roundness.
        seed: fixes the choice of words.
        n: how many captions.
    """
    rng = np.random.default_rng([seed, 31])
    named = [words for g in genres for words in GENRE_WORDS.get(g, "").split()] or ["film"]
    seen = [LOOK_WORDS[at][int(value > 0)].split() for at, value in enumerate(look) if abs(value) >= SEEN_FROM]
    weight = np.array([abs(value) for value in look if abs(value) >= SEEN_FROM])
    subject = MOTIFS[motif][1].split()
    era = next(words for until, words in ERA_WORDS if year <= until).split()

    def word(kind: str) -> str:
        if kind == "look":
            return str(rng.choice(seen[rng.choice(len(seen), p=weight / weight.sum())])) if seen else ""
        return str(rng.choice({"genre": named, "era": era, "motif": subject}[kind]))

    found = []
    for _ in range(n):
        text = FORMS[rng.integers(len(FORMS))]
        while "{" in text:
            start, end = text.index("{"), text.index("}")
            text = text[:start] + word(text[start + 1 : end]).replace("-", " ") + text[end + 1 :]
        found.append(" ".join(text.split()))
    return found
