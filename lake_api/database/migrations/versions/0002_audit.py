"""What was asked for: a table that only grows."""

import sqlalchemy as sa
from alembic import op

revision = "0002_audit"
down_revision = "0001_tokens"
branch_labels = None
depends_on = None

_SQLITE = (
    "CREATE TRIGGER audit_keeps_rows BEFORE DELETE ON audit "
    "BEGIN SELECT RAISE(ABORT, 'audit is append-only'); END",
    "CREATE TRIGGER audit_keeps_values BEFORE UPDATE ON audit "
    "BEGIN SELECT RAISE(ABORT, 'audit is append-only'); END",
    # INSERT OR REPLACE deletes without telling the trigger of deletes.
    "CREATE TRIGGER audit_replaces_nothing BEFORE INSERT ON audit "
    "WHEN EXISTS (SELECT 1 FROM audit WHERE id = NEW.id) "
    "BEGIN SELECT RAISE(ABORT, 'audit is append-only'); END",
)
_POSTGRES = (
    "CREATE FUNCTION audit_is_append_only() RETURNS trigger LANGUAGE plpgsql AS "
    "$$ BEGIN RAISE EXCEPTION 'audit is append-only'; END $$",
    "CREATE TRIGGER audit_keeps_rows BEFORE UPDATE OR DELETE OR TRUNCATE ON audit "
    "FOR EACH STATEMENT EXECUTE FUNCTION audit_is_append_only()",
)


def upgrade() -> None:
    """Make the table, and have the database refuse to change a row of it."""
    op.create_table(
        "audit",
        sa.Column("id", sa.String(36), primary_key=True),
        sa.Column("asked_at", sa.DateTime(timezone=True), nullable=False, index=True),
        sa.Column("action", sa.String(32), nullable=False),
        sa.Column("role", sa.String(16)),
        sa.Column("caller", sa.String(128)),
        sa.Column("token_id", sa.String(36)),
        sa.Column("swarm_id", sa.String(36)),
        sa.Column("cron_run", sa.String(128)),
        sa.Column("subject", sa.String(256)),
        sa.Column("call_id", sa.String(36)),
        sa.Column("sql_sha256", sa.String(64)),
        sa.Column("sql_text", sa.Text()),
        sa.Column("datasets", sa.JSON(), nullable=False),
        sa.Column("form", sa.String(16)),
        sa.Column("outcome", sa.String(16), nullable=False),
        sa.Column("code", sa.String(64)),
        sa.Column("row_count", sa.BigInteger(), nullable=False),
        sa.Column("answer_bytes", sa.BigInteger(), nullable=False),
        sa.Column("read_bytes", sa.BigInteger(), nullable=False),
        sa.Column("elapsed_ms", sa.Float(), nullable=False),
    )
    for statement in _SQLITE if op.get_bind().dialect.name == "sqlite" else _POSTGRES:
        op.execute(statement)


def downgrade() -> None:
    """Drop the table."""
    op.drop_table("audit")
    if op.get_bind().dialect.name != "sqlite":
        op.execute("DROP FUNCTION audit_is_append_only()")
