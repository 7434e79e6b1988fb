"""Expand: users may have an e-mail address. Releases that know nothing of it go on."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add the column; nobody has one yet."""
    op.add_column("users", sa.Column("email", sa.String(254), nullable=True))
