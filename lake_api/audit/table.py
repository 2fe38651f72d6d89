"""How what happened is stored.

Belongs here: the table. Does not belong here: writing it (`log`).

The dataset `platform/lake_query_audit` reads these columns by name, in `lake_assets`. Triggers of
the database refuse to change a row, and to delete one of the last thirty days.
"""

from datetime import date, datetime

from sqlalchemy import JSON, BigInteger, Date, DateTime, Float, String, Text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from lake_api.database.base import Table


class _Base(DeclarativeBase):
    metadata = Table.metadata


class AuditRow(_Base):
    """One thing that was asked for. Ids are text, which is the same on every engine."""

    __tablename__ = "audit"

    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    asked_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), index=True)
    action: Mapped[str] = mapped_column(String(32))
    role: Mapped[str | None] = mapped_column(String(16))
    caller: Mapped[str | None] = mapped_column(String(128))
    token_id: Mapped[str | None] = mapped_column(String(36))
    swarm_id: Mapped[str | None] = mapped_column(String(36))
    cron_run: Mapped[str | None] = mapped_column(String(128))
    subject: Mapped[str | None] = mapped_column(String(256))
    call_id: Mapped[str | None] = mapped_column(String(36))
    sql_sha256: Mapped[str | None] = mapped_column(String(64))
    sql_text: Mapped[str | None] = mapped_column(Text())
    datasets: Mapped[list[str]] = mapped_column(JSON)
    form: Mapped[str | None] = mapped_column(String(16))
    outcome: Mapped[str] = mapped_column(String(16))
    code: Mapped[str | None] = mapped_column(String(64))
    row_count: Mapped[int] = mapped_column(BigInteger())
    answer_bytes: Mapped[int] = mapped_column(BigInteger())
    read_bytes: Mapped[int] = mapped_column(BigInteger())
    elapsed_ms: Mapped[float] = mapped_column(Float())


class PrunedDayRow(_Base):
    """A day whose rows were removed, once the lake had them."""

    __tablename__ = "audit_pruned"

    day: Mapped[date] = mapped_column(Date(), primary_key=True)
    rows: Mapped[int] = mapped_column(BigInteger())
    pruned_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
