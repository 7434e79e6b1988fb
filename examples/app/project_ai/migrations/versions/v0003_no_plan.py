"""Contract: users have no plan any more. Releases that read it cannot go on; what it held is gone."""

from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Drop the column."""
    op.drop_column("users", "plan")
