"""Jobs and exports, and the mark of the deployment that they belong to."""

import uuid

import sqlalchemy as sa
from advanced_alchemy.types import GUID
from alembic import op

revision = "0002_jobs"
down_revision = "0001_tokens"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables."""
    moment = sa.DateTime(timezone=True)
    op.create_table(
        "jobs",
        sa.Column("id", sa.Uuid(), primary_key=True),
        sa.Column("sa_orm_sentinel", sa.Integer(), nullable=True),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("owner", sa.String(200), nullable=False),
        sa.Column("token_id", sa.Uuid(), nullable=True),
        sa.Column("swarm_id", sa.Uuid(), nullable=True),
        sa.Column("sql", sa.Text(), nullable=False),
        sa.Column("source_id", sa.Uuid(), nullable=True),
        sa.Column("form", sa.String(16), nullable=False),
        sa.Column("compression", sa.String(16), nullable=False),
        sa.Column("row_cap", sa.BigInteger(), nullable=False),
        sa.Column("datasets", sa.JSON(), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("stage", sa.String(16), nullable=False),
        sa.Column("rows_done", sa.BigInteger(), nullable=False),
        sa.Column("bytes_done", sa.BigInteger(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("retries", sa.Integer(), nullable=False),
        sa.Column("not_before", moment, nullable=False),
        sa.Column("lease_until", moment, nullable=True),
        sa.Column("upload_id", sa.Text(), nullable=True),
        sa.Column("idempotency_key", sa.String(255), nullable=True),
        sa.Column("request_hash", sa.String(64), nullable=False),
        sa.Column("result", sa.JSON(), nullable=True),
        sa.Column("error", sa.JSON(), nullable=True),
        sa.Column("created_at", moment, nullable=False),
        sa.Column("started_at", moment, nullable=True),
        sa.Column("finished_at", moment, nullable=True),
        sa.Column("expires_at", moment, nullable=True),
        sa.UniqueConstraint("owner", "kind", "idempotency_key", name="uq_jobs_owner"),
    )
    op.create_index("ix_jobs_state", "jobs", ["state", "not_before"])
    op.create_table(
        "deployment",
        sa.Column("id", sa.Uuid(), primary_key=True),
        sa.Column("sa_orm_sentinel", sa.Integer(), nullable=True),
    )
    # With the type that the table's class has: it stores ids as bytes where the engine has no type.
    mark = sa.table("deployment", sa.column("id", GUID(length=16)))
    op.bulk_insert(mark, [{"id": uuid.uuid4()}])


def downgrade() -> None:
    """Drop the tables."""
    op.drop_table("deployment")
    op.drop_table("jobs")
