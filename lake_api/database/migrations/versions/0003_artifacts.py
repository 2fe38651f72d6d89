"""Files that agents keep."""

import sqlalchemy as sa
from alembic import op

revision = "0003_artifacts"
down_revision = "0001_tokens"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table."""
    moment = sa.DateTime(timezone=True)
    op.create_table(
        "artifacts",
        sa.Column("id", sa.Uuid(), primary_key=True),
        sa.Column("sa_orm_sentinel", sa.Integer(), nullable=True),
        sa.Column("owner", sa.String(200), nullable=False, index=True),
        sa.Column("token_id", sa.Uuid(), nullable=True),
        sa.Column("swarm_id", sa.Uuid(), nullable=True, index=True),
        sa.Column("is_shared", sa.Boolean(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("media_type", sa.String(128), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("is_ready", sa.Boolean(), nullable=False),
        sa.Column("upload_id", sa.Text(), nullable=True),
        sa.Column("lease_until", moment, nullable=False),
        sa.Column("created_at", moment, nullable=False),
        sa.Column("expires_at", moment, nullable=False, index=True),
    )


def downgrade() -> None:
    """Drop the table."""
    op.drop_table("artifacts")
