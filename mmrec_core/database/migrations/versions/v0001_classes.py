"""Classes, their participants, answers and ratings."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def _participant() -> sa.Column[str]:
    return sa.Column(
        "participant_id", sa.String(32), sa.ForeignKey("participants.id", ondelete="CASCADE"), primary_key=True
    )


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "classes",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("code", sa.String(6), nullable=False, unique=True),
        sa.Column("projector", sa.String(64), nullable=False),
        sa.Column("title", sa.String(80), nullable=False),
        sa.Column("dataset", sa.String(200), nullable=False),
        sa.Column("created", sa.Float, nullable=False),
        sa.Column("ended", sa.Float),
        sa.Column("activity", sa.String(16), nullable=False),
        sa.Column("lesson", sa.String(100)),
        sa.Column("question", sa.Integer, nullable=False),
        sa.Column("revealed", sa.Boolean, nullable=False),
        sa.Column("plan", sa.Text),
        sa.Column("results", sa.Text),
        sa.Column("scene", sa.Integer, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
    )
    op.create_table(
        "participants",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column(
            "class_id", sa.String(32), sa.ForeignKey("classes.id", ondelete="CASCADE"), nullable=False, index=True
        ),
        sa.Column("secret", sa.String(64), nullable=False, unique=True),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("nickname", sa.String(24), nullable=False),
        sa.Column("joined", sa.Float, nullable=False),
    )
    op.create_table(
        "answers",
        _participant(),
        sa.Column("lesson", sa.String(100), primary_key=True),
        sa.Column("question", sa.Integer, primary_key=True),
        sa.Column("said", sa.String(400), nullable=False),
        sa.Column("at", sa.Float, nullable=False),
    )
    op.create_table(
        "ratings",
        _participant(),
        sa.Column("item", sa.String(200), primary_key=True),
        sa.Column("stars", sa.Float, nullable=False),
        sa.Column("place", sa.Integer, nullable=False),
        sa.Column("held", sa.Boolean, nullable=False),
        sa.Column("at", sa.Float, nullable=False),
    )
