"""Tables of classes and studies (SQLAlchemy Core). Times are seconds since 1970; item ids are raw ids as JSON.

A change here needs a new file in ``migrations/versions/``; a test compares what the migrations make with these tables.
"""

from __future__ import annotations

from sqlalchemy import Boolean, Column, Float, ForeignKey, Integer, MetaData, String, Table, Text, false

metadata = MetaData()


def _owner(name: str, of: str) -> Column[str]:
    """A reference to the row that owns this one: deleted with it."""
    return Column(name, String(32), ForeignKey(f"{of}.id", ondelete="CASCADE"), nullable=False, index=True)


classes = Table(
    "classes",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("code", String(6), nullable=False, unique=True),
    Column("projector", String(64), nullable=False),
    Column("title", String(80), nullable=False),
    Column("dataset", String(200), nullable=False),
    Column("created", Float, nullable=False),
    Column("ended", Float),
    Column("activity", String(16), nullable=False),
    Column("lesson", String(100)),
    Column("question", Integer, nullable=False),
    Column("revealed", Boolean, nullable=False),
    Column("plan", Text),
    Column("results", Text),
    Column("scene", Integer, nullable=False),
    Column("version", Integer, nullable=False),
    Column("locked", Boolean, nullable=False, server_default=false()),
)
"""A class. ``scene`` counts changes of what participants see; ``version`` counts all changes. ``locked``: nobody else
may join."""

participants = Table(
    "participants",
    metadata,
    Column("id", String(32), primary_key=True),
    _owner("class_id", "classes"),
    Column("secret", String(64), nullable=False, unique=True),
    Column("number", Integer, nullable=False),
    Column("nickname", String(24), nullable=False),
    Column("joined", Float, nullable=False),
)
"""A person in a class; ``secret`` is the SHA-256 of what their browser holds, ``number`` their place in exports."""

answers = Table(
    "answers",
    metadata,
    Column("participant_id", String(32), ForeignKey("participants.id", ondelete="CASCADE"), primary_key=True),
    Column("lesson", String(100), primary_key=True),
    Column("question", Integer, primary_key=True),
    Column("said", String(400), nullable=False),
    Column("at", Float, nullable=False),
)
"""What somebody answered to a question; the last answer before the reveal counts."""

ratings = Table(
    "ratings",
    metadata,
    Column("participant_id", String(32), ForeignKey("participants.id", ondelete="CASCADE"), primary_key=True),
    Column("item", String(200), primary_key=True),
    Column("stars", Float, nullable=False),
    Column("place", Integer, nullable=False),
    Column("held", Boolean, nullable=False),
    Column("at", Float, nullable=False),
)
"""A film that somebody rated. ``place`` is its place in their order (0, 1, …); ``held``: no model may see it."""

studies = Table(
    "studies",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("definition", Text, nullable=False),
    Column("created", Float, nullable=False),
    Column("ended", Float),
)
"""A study and its definition as JSON."""

subjects = Table(
    "subjects",
    metadata,
    Column("id", String(32), primary_key=True),
    _owner("study_id", "studies"),
    Column("secret", String(64), nullable=False, unique=True),
    Column("number", Integer, nullable=False),
    Column("arrived", Float, nullable=False),
    Column("finished", Float),
)
"""A person in a study; ``number`` decides order and sides."""

responses = Table(
    "responses",
    metadata,
    Column("subject_id", String(32), ForeignKey("subjects.id", ondelete="CASCADE"), primary_key=True),
    Column("step", String(60), primary_key=True),
    Column("value", Text, nullable=False),
    Column("at", Float, nullable=False),
)
"""What somebody did in one step of a study, as JSON."""
