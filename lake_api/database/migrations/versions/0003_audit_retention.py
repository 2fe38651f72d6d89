"""Rows of the audit table may go once they are old; the database itself says how old.

Nothing of the last thirty days can be deleted, whatever the service asks for, and nothing can be
changed. Which days were removed is written down.
"""

import sqlalchemy as sa
from alembic import op

revision = "0003_audit_retention"
down_revision = "0002_audit"
branch_labels = None
depends_on = None

_SQLITE = (
    "DROP TRIGGER audit_keeps_rows",
    # Moments are stored as texts in UTC, which sort as they do.
    "CREATE TRIGGER audit_keeps_rows BEFORE DELETE ON audit "
    "WHEN OLD.asked_at IS NULL OR OLD.asked_at >= datetime('now', '-30 days') "
    "BEGIN SELECT RAISE(ABORT, 'audit is append-only'); END",
)
_SQLITE_BEFORE = (
    "DROP TRIGGER audit_keeps_rows",
    "CREATE TRIGGER audit_keeps_rows BEFORE DELETE ON audit "
    "BEGIN SELECT RAISE(ABORT, 'audit is append-only'); END",
)
_POSTGRES = (
    "DROP TRIGGER audit_keeps_rows ON audit",
    "CREATE TRIGGER audit_keeps_rows BEFORE UPDATE OR TRUNCATE ON audit "
    "FOR EACH STATEMENT EXECUTE FUNCTION audit_is_append_only()",
    "CREATE TRIGGER audit_keeps_new_rows BEFORE DELETE ON audit "
    "FOR EACH ROW WHEN (OLD.asked_at >= now() - interval '30 days') "
    "EXECUTE FUNCTION audit_is_append_only()",
)
_POSTGRES_BEFORE = (
    "DROP TRIGGER audit_keeps_new_rows ON audit",
    "DROP TRIGGER audit_keeps_rows ON audit",
    "CREATE TRIGGER audit_keeps_rows BEFORE UPDATE OR DELETE OR TRUNCATE ON audit "
    "FOR EACH STATEMENT EXECUTE FUNCTION audit_is_append_only()",
)


def upgrade() -> None:
    """Let old rows go, and make the table of days that went."""
    op.create_table(
        "audit_pruned",
        sa.Column("day", sa.Date(), primary_key=True),
        sa.Column("rows", sa.BigInteger(), nullable=False),
        sa.Column("pruned_at", sa.DateTime(timezone=True), nullable=False),
    )
    _run(_SQLITE, _POSTGRES)


def downgrade() -> None:
    """Let no row go."""
    _run(_SQLITE_BEFORE, _POSTGRES_BEFORE)
    op.drop_table("audit_pruned")


def _run(sqlite: tuple[str, ...], postgres: tuple[str, ...]) -> None:
    for statement in sqlite if op.get_bind().dialect.name == "sqlite" else postgres:
        op.execute(statement)
