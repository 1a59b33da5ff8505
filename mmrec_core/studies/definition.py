"""What a study is: models, how their lists are shown, films to rate first, questions, consent, number of people.

It is a small TOML file, or a form on the page Study::

    title = "EASE or popularity?"
    dataset = "demo"
    models = ["ease", "popularity"]
    layout = "side by side"        # or "interleaved"
    films_to_rate = 8
    list_length = 6
    participants = 40
    consent = "We keep your ratings and answers, without your name. You can stop at any time."

    [[questions]]
    id = "accuracy"
    text = "Which list fits your taste better?"

    [[questions]]
    id = "comment"
    text = "What made the difference?"
    kind = "text"
"""

from __future__ import annotations

import itertools
import tomllib
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, field_validator, model_validator

from mmrec_core.errors import MMRecError

SIDE_BY_SIDE, INTERLEAVED = "side by side", "interleaved"
Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=2000)]
Line = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]


class Question(BaseModel):
    """A question about the two lists, in the terms of ResQue (Pu, Chen and Hu 2011), or an open one."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,30}$")]
    text: Line
    kind: Literal["preference", "text"] = "preference"
    """``preference``: the one list, the other, or no difference; ``text``: in one's own words."""


USUAL_QUESTIONS = (
    Question(id="accuracy", text="Which list fits your taste better?"),
    Question(id="novelty", text="Which list has more films that are new to you?"),
    Question(id="diversity", text="Which list is more varied?"),
    Question(id="satisfaction", text="Which list would you rather use?"),
    Question(id="comment", text="What made the difference?", kind="text"),
)


class Definition(BaseModel):
    """A study. Unknown keys are refused, so that a misspelt one is not ignored."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    title: Line
    dataset: Line
    models: tuple[Line, ...]
    """Models of the dataset by name, or ids of finished training runs; every participant compares two of them."""
    layout: Literal["side by side", "interleaved"] = "side by side"
    films_to_rate: Annotated[int, Field(ge=1, le=30)] = 8
    list_length: Annotated[int, Field(ge=2, le=20)] = 6
    participants: Annotated[int, Field(ge=2, le=5000)] = 40
    """Number of people after whom nobody else is admitted."""
    questions: tuple[Question, ...] = USUAL_QUESTIONS
    consent: Text = "We keep your ratings and answers, without your name. You can stop at any time and delete them."
    fastest_s: Annotated[float, Field(ge=0, le=3600)] = 20.0
    """Who finishes in fewer seconds is excluded from the results, with this reason."""
    seed: int = 0

    @field_validator("models")
    @classmethod
    def _two_different(cls, models: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(models)) != len(models) or not 2 <= len(models) <= 6:
            raise ValueError("needs two to six different models")
        return models

    @model_validator(mode="after")
    def _questions_fit(self) -> Definition:
        ids = [q.id for q in self.questions]
        if len(set(ids)) != len(ids) or len(ids) > 20:
            raise ValueError("needs up to twenty questions with different ids")
        if self.layout == SIDE_BY_SIDE and not any(q.kind == "preference" for q in self.questions):
            raise ValueError("two lists side by side need a question with kind 'preference'")
        return self

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """All pairs of models."""
        return list(itertools.combinations(self.models, 2))


def read(text: str) -> Definition:
    """A study from TOML.

    Raises:
        MMRecError: it is no TOML, or something is missing, unknown or out of range.
    """
    try:
        found = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise MMRecError(f"The file is not readable as TOML: {error}.") from None
    return checked(found)


def checked(values: dict[str, Any]) -> Definition:
    """A study from values by name.

    Raises:
        MMRecError: something is missing, unknown or out of range; the first such thing is named.
    """
    try:
        return Definition.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "study"
        raise MMRecError(f"The study cannot be used: {where}: {first['msg'].removeprefix('Value error, ')}.") from None
