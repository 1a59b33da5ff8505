"""Text generator of Reel World: titles, people, tags and plots of generated films.

The demo catalogue has to be readable by people and informative to models. Plots therefore carry four hidden traits of
a film in their wording, at a fine grain, while titles and tags follow genre and era alone: whatever a recommender
learns about the traits, it must have learned from the plots (or from the ratings). All text is a pure function of the
arguments, so that the demo is identical on every machine.
"""

import re
from collections.abc import Sequence
from typing import Final, TypeVar

import numpy as np

from . import _lexicon as lex
from .motifs import MOTIFS

GENRES: tuple[str, ...] = (
    "Action",
    "Adventure",
    "Animation",
    "Comedy",
    "Crime",
    "Documentary",
    "Drama",
    "Family",
    "Fantasy",
    "Horror",
    "Musical",
    "Mystery",
    "Romance",
    "Sci-Fi",
    "Thriller",
    "War",
    "Western",
)

TEXT_TRAITS = ("kinship", "hope", "wilderness", "wit")

MIN_WORDS: Final = 40
MAX_WORDS: Final = 80

_TRAIT_CLIP: Final = 2.5
_LEVEL_STEP: Final = 0.85  # trait units between neighbouring lexicon levels
_JOINED_SHARE: Final = 0.3  # how often the two middles make one sentence
_MIN_SHOWN: Final = 2  # slots per trait
_MIN_SHOWN_IN_ALL: Final = 9  # slots of all traits together
_GOLDEN: Final = 0.6180339887498949
_MAX_ATTEMPTS: Final = 200
_MAX_TITLE_WORDS: Final = 6
_DEFAULT_GENRE: Final = "Drama"
_SLOT: Final = re.compile(r"\{(\w+)\}")
_ARTICLE: Final = re.compile(r"\b([Aa]) (?=[\"'“‘]?([\w-]+))")
_SENTENCE_START: Final = re.compile(r"(^|[.?!] )(\w)")
_WORD: Final = re.compile(r"[^\W\d_]{5,}")
_DOUBLED: Final = re.compile(r"\b(\w+) \1\b")
_PLAIN_WORD: Final = re.compile(r"[\w-]+")
_VOWEL_SOUND: Final = re.compile(
    r"(?!uni(?!n|m)|use|usu|ut[io]|eu|ewe|one\b|once\b|one-)[aeiouáéíóúàèìòùâêîôûäëïöüåæø]|hour|heir|honest|honou?r"
)

# Independent random streams, so that a film's plot, tags and title do not echo one another under one seed.
_PEOPLE_STREAM: Final = 1
_TITLE_STREAM: Final = 2
_PLOT_STREAM: Final = 3
_TAG_STREAM: Final = 4

T = TypeVar("T")


class _Dice:
    """Random choices from uniform draws only, the part of numpy's generators least likely to change over time."""

    def __init__(self, stream: int, seed: int) -> None:
        self._rng = np.random.default_rng([stream, abs(int(seed)), int(seed < 0)])
        self._pool: list[float] = []

    def unit(self) -> float:
        """Return a uniform number in [0, 1)."""
        if not self._pool:
            self._pool = self._rng.random(64).tolist()
        return self._pool.pop()

    def pick(self, options: Sequence[T]) -> T:
        """Return one of the options, all equally likely."""
        return options[int(self.unit() * len(options))]


class _Grader:
    """Turns one trait value into lexicon levels.

    The value is rounded at random to one of its two neighbouring levels, in proportion to nearness. Successive draws
    are spread evenly over the unit interval, so that the few slots of one plot average close to the value instead of
    drifting to one side of it.
    """

    def __init__(self, value: float, offset: float) -> None:
        clipped = min(max(float(value), -_TRAIT_CLIP), _TRAIT_CLIP)
        self._position = 2.0 + clipped / _LEVEL_STEP
        self._offset = offset

    def level(self) -> int:
        """Return the level (0 to 4) of the next slot."""
        self._offset = (self._offset + _GOLDEN) % 1.0
        return min(max(int(np.floor(self._position + self._offset)), 0), 4)


def make_people(n_directors: int, n_actors: int, seed: int) -> tuple[list[str], list[str]]:
    """Return unique invented names for directors and for actors, mixed over many regions of the world."""
    dice = _Dice(_PEOPLE_STREAM, seed)
    names: list[str] = []
    seen: set[str] = set()
    while len(names) < n_directors + n_actors:
        name = _person(dice, crowded=len(names) > 900)
        if name not in seen:
            seen.add(name)
            names.append(name)
    return names[:n_directors], names[n_directors:]


def _person(dice: _Dice, *, crowded: bool) -> str:
    """Invent one name; a large cast needs middle initials and mixed heritage to stay unique."""
    given, family = dice.pick(lex.PEOPLE)
    first = dice.pick(given)
    if dice.unit() < 0.12:
        family = dice.pick(lex.PEOPLE)[1]
    last = dice.pick(family)
    if crowded or dice.unit() < 0.04:
        return f"{first} {dice.pick('ABCDEFGHIJKLMNOPRSTVWYZ')}. {last}"
    return f"{first} {last}"


def make_titles(genres: Sequence[Sequence[str]], seed: int) -> list[str]:
    """Return one unique title per film, drawn from its genres and the seed alone."""
    dice = _Dice(_TITLE_STREAM, seed)
    titles: list[str] = []
    seen: set[str] = set(lex.TAKEN_TITLES)
    for film_genres in genres:
        title = _title(_known(film_genres), dice)
        while title.casefold() in seen or not _good_title(title):
            title = _title(_known(film_genres), dice)
        seen.add(title.casefold())
        titles.append(title)
    return titles


def _title(genres: Sequence[str], dice: _Dice) -> str:
    """Compose one title; several words of the same kind in one title are drawn apart."""
    nouns = lex.TITLE_NOUNS[_weighted_genre(genres, dice)]
    noun, noun2 = _two(nouns, dice)
    abstract, abstract2 = _two(lex.TITLE_ABSTRACTS, dice)
    slots = {
        "noun": noun,
        "noun2": noun2,
        "nouns": _plural(noun),
        "abstract": abstract,
        "abstract2": abstract2,
        "adj": dice.pick(lex.TITLE_ADJECTIVES[_weighted_genre(genres, dice)]),
        "who": dice.pick(lex.TITLE_NAMES),
        "where": dice.pick(lex.TITLE_PLACES),
        "time": dice.pick(lex.TITLE_TIMES),
        "number": dice.pick(lex.TITLE_NUMBERS),
        "numeral": dice.pick(lex.TITLE_NUMERALS),
        "gerund": dice.pick(lex.TITLE_GERUNDS),
    }
    title = dice.pick(lex.TITLE_PATTERNS).format_map(slots)
    return _with_articles(title[0].upper() + title[1:])


def _good_title(title: str) -> bool:
    """Tell whether a title is short and does not say the same word twice."""
    words = title.lower().replace(":", "").replace(",", "").split()
    telling = [word for word in words if word not in ("the", "a", "an", "and")]
    return len(words) <= _MAX_TITLE_WORDS and len(telling) == len(set(telling))


def _two(options: Sequence[str], dice: _Dice) -> tuple[str, str]:
    """Return two different options."""
    first = dice.pick(options)
    second = dice.pick([option for option in options if option != first])
    return first, second


def _plural(noun: str) -> str:
    """Return the plural of a title noun."""
    if noun.endswith(("s", "x", "ch", "sh")):
        return noun if noun == "Trousers" else noun + "es"
    if noun.endswith("y") and noun[-2] not in "aeiou":
        return noun[:-1] + "ies"
    return {"Snowman": "Snowmen", "Testimony": "Testimonies"}.get(noun, noun + "s")


def make_tags(*, genres: Sequence[str], year: int, seed: int) -> list[str]:
    """Return two to six tags that follow from genre and era, never from what the plot shows of the traits."""
    dice = _Dice(_TAG_STREAM, seed)
    known = _known(genres)
    wanted = 2 + int(dice.unit() * 5)
    tags: list[str] = [dice.pick(lex.GENRE_TAGS[known[0]])]
    while len(tags) < wanted:
        pool = _current(lex.ERA_TAGS, year) if dice.unit() < 0.25 else lex.GENRE_TAGS[_weighted_genre(known, dice)]
        tag = f"{year // 10 * 10}s" if dice.unit() < 0.1 else dice.pick(pool)
        if tag not in tags:
            tags.append(tag)
    return tags


def write_plot(
    *, genres: Sequence[str], year: int, traits: Sequence[float], seed: int, motif: str | None = None
) -> str:
    """Write a short plot whose wording shows the four traits; genre and era decide who, what and with which props.

    `motif` names the poster's composition: one sentence of the plot is then about what the poster shows.

    Drafts that run too short or long, that show a trait in too few places or that repeat a word are thrown away.
    """
    if len(traits) != len(TEXT_TRAITS):
        raise ValueError(f"expected {len(TEXT_TRAITS)} traits, got {len(traits)}")
    dice = _Dice(_PLOT_STREAM, seed)
    shown = dice.pick(MOTIFS[motif][0]) if motif is not None else ""
    draft = _Draft(_known(genres), year, traits, dice)
    text = f"{draft.write()} {shown}".rstrip()
    for _ in range(_MAX_ATTEMPTS):
        if draft.acceptable(text):
            break
        draft = _Draft(_known(genres), year, traits, dice)
        text = f"{draft.write()} {shown}".rstrip()
    return text


class _Draft:
    """One attempt at a plot: remembers its protagonist, and which trait has been shown how often."""

    def __init__(self, genres: Sequence[str], year: int, traits: Sequence[float], dice: _Dice) -> None:
        self._genres = genres
        self._dice = dice
        self._shown = [0] * len(TEXT_TRAITS)
        self._graders = [_Grader(value, dice.unit()) for value in traits]
        self._named = False
        self._mentioned = False
        self._used: set[str] = set()
        female = dice.unit() < 0.5
        pronouns = ("she", "her", "her", "herself") if female else ("he", "him", "his", "himself")
        self._name = dice.pick(lex.HEROINES if female else lex.HEROES)
        self._job = dice.pick(lex.JOBS[_weighted_genre(genres, dice)])
        self._plot_genre = _weighted_genre(genres, dice)
        self._fixed = dict(zip("SOPR", pronouns, strict=True)) | {"year": str(year)}
        self._pools: dict[str, Sequence[str]] = {
            "prop": _current(lex.PROPS, year),
            "turn": lex.TURNS,
            "span": lex.SPANS,
            "day": lex.DAYS,
        }

    def write(self) -> str:
        """Return the draft: an opening, two middles in either order, a closing."""
        dice = self._dice
        opening = dice.pick(lex.OPENINGS)
        self._named = "{name}" in opening
        middles = [dice.pick(lex.COMPANY_MIDDLES), dice.pick(lex.TURN_MIDDLES)]
        if dice.unit() < 0.5:
            middles.reverse()
        if dice.unit() < _JOINED_SHARE and not any(mark in "".join(middles) for mark in ";:"):
            middles = [_joined(*middles)]
        frames = [opening, *middles, dice.pick(lex.CLOSINGS)]
        text = " ".join(self._fill(frame) for frame in frames)
        return _polish(text)

    def acceptable(self, text: str) -> bool:
        """Tell whether the draft has the right length, shows every trait and does not repeat itself."""
        if not MIN_WORDS <= len(text.split()) <= MAX_WORDS or self._too_faint():
            return False
        lowered = text.lower()
        if lowered.count(self._job) > 2 or _DOUBLED.search(lowered) or _clashes(lowered):
            return False
        counted = lowered.replace(self._job, "").replace(self._name.lower(), "")
        words = [word for word in _WORD.findall(counted) if word not in lex.COMMON_WORDS]
        return len(words) == len(set(words)) and not set(words) & set(_WORD.findall(self._job))

    def _too_faint(self) -> bool:
        """Tell whether the traits show in too few places."""
        return min(self._shown) < _MIN_SHOWN or sum(self._shown) < _MIN_SHOWN_IN_ALL

    def _fill(self, frame: str) -> str:
        """Replace the slots of a frame, then those that the chosen phrases contain in turn."""
        while "{" in frame:
            frame = _SLOT.sub(lambda match: self._slot(match.group(1)), frame)
        return frame

    def _slot(self, name: str) -> str:
        """Return the text for one slot."""
        if name in self._fixed:
            return self._fixed[name]
        if name in lex.GRADED:
            trait, levels = lex.GRADED[name]
            self._shown[trait] += 1
            return self._fresh(levels[self._graders[trait].level()])
        if name in self._pools:
            return self._fresh(self._pools[name])
        return self._genre_slot(name)

    def _fresh(self, options: Sequence[str]) -> str:
        """Return one of the options, preferring those this draft has not used yet."""
        choice = self._dice.pick([option for option in options if option not in self._used] or options)
        self._used.add(choice)
        return choice

    def _mention(self, pronoun: str) -> str:
        """Return the name or job when the protagonist comes up again for the first time, a pronoun from then on."""
        if self._mentioned:
            return pronoun
        self._mentioned = True
        return self._name if self._named else f"the {self._job}"

    def _genre_slot(self, name: str) -> str:
        """Return the text for a slot that the protagonist or the genre decides."""
        if name == "name":
            return self._name
        if name == "job":
            return self._job
        if name in ("N", "M"):
            return self._mention("{S}" if name == "N" else "{O}")
        if name == "hook":
            return self._dice.pick(lex.HOOKS[self._plot_genre])
        if name == "stake":
            return self._fresh(lex.STAKES[self._plot_genre])
        return self._dice.pick(lex.FILM_NOUNS[_weighted_genre(self._genres, self._dice)])


def _clashes(text: str) -> bool:
    """Tell whether a text mixes words that exclude each other, such as a desert and its tide."""
    words = set(_PLAIN_WORD.findall(text))
    return any(words & one and words & other for one, other in lex.CLASHES)


def _joined(first: str, second: str) -> str:
    """Run two frames together into one sentence."""
    return f"{first[:-1]}; {second[0].lower()}{second[1:]}"


def _known(genres: Sequence[str]) -> list[str]:
    """Return the genres the writer has material for, or a plain drama when there are none."""
    return [genre for genre in genres if genre in lex.JOBS] or [_DEFAULT_GENRE]


def _weighted_genre(genres: Sequence[str], dice: _Dice) -> str:
    """Return one of a film's genres, the first one more often than the others."""
    return genres[0] if dice.unit() < 0.5 else dice.pick(genres)


def _current(dated: Sequence[tuple[int, tuple[str, ...]]], year: int) -> tuple[str, ...]:
    """Return the phrases of the latest period that had begun by a year."""
    chosen = dated[0][1]
    for start, phrases in dated:
        if start <= year:
            chosen = phrases
    return chosen


def _with_articles(text: str) -> str:
    """Turn ``a`` into ``an`` where the next word starts with a vowel sound."""

    def article(match: re.Match[str]) -> str:
        """Return the article that suits the following word."""
        letter = match.group(1)
        return f"{letter}n " if _VOWEL_SOUND.match(match.group(2).lower()) else f"{letter} "

    return _ARTICLE.sub(article, text)


def _polish(text: str) -> str:
    """Fix articles, and start every sentence with a capital."""
    capitalised = _SENTENCE_START.sub(lambda match: match.group(1) + match.group(2).upper(), text)
    return _with_articles(capitalised)
