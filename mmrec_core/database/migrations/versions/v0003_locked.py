"""Whether nobody else may join a class."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Add the column; classes of before are not locked."""
    op.add_column("classes", sa.Column("locked", sa.Boolean, nullable=False, server_default=sa.false()))
