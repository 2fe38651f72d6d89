"""How jobs and exports are stored, and the mark of this deployment.

Belongs here: the tables. Does not belong here: reading and writing them (`store`).
"""

from datetime import datetime
from typing import Any
from uuid import UUID

from advanced_alchemy.types import DateTimeUTC
from sqlalchemy import JSON, BigInteger, Index, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from lake_api.database.base import Table


class JobRow(Table):
    """One job or export.

    `attempt` counts how often it was begun: whoever runs it writes only while the number is the
    one that it was given, so that two can't bring one job to an end. `retries` counts those that
    ended by accident. `upload_id` names an upload that is not complete.
    """

    __tablename__ = "jobs"
    __table_args__ = (
        UniqueConstraint("owner", "kind", "idempotency_key"),
        Index("ix_jobs_state", "state", "not_before"),
    )

    kind: Mapped[str] = mapped_column(String(16))
    owner: Mapped[str] = mapped_column(String(200))
    token_id: Mapped[UUID | None]
    swarm_id: Mapped[UUID | None]
    sql: Mapped[str] = mapped_column(Text)
    source_id: Mapped[UUID | None]
    form: Mapped[str] = mapped_column(String(16))
    compression: Mapped[str] = mapped_column(String(16))
    row_cap: Mapped[int] = mapped_column(BigInteger)
    datasets: Mapped[list[str]] = mapped_column(JSON)
    state: Mapped[str] = mapped_column(String(16))
    stage: Mapped[str] = mapped_column(String(16))
    rows_done: Mapped[int] = mapped_column(BigInteger)
    bytes_done: Mapped[int] = mapped_column(BigInteger)
    attempt: Mapped[int]
    retries: Mapped[int]
    not_before: Mapped[datetime] = mapped_column(DateTimeUTC(timezone=True))
    lease_until: Mapped[datetime | None] = mapped_column(DateTimeUTC(timezone=True))
    upload_id: Mapped[str | None] = mapped_column(Text)
    idempotency_key: Mapped[str | None] = mapped_column(String(255))
    request_hash: Mapped[str] = mapped_column(String(64))
    result: Mapped[dict[str, Any] | None] = mapped_column(JSON)
    error: Mapped[dict[str, Any] | None] = mapped_column(JSON)
    created_at: Mapped[datetime] = mapped_column(DateTimeUTC(timezone=True))
    started_at: Mapped[datetime | None] = mapped_column(DateTimeUTC(timezone=True))
    finished_at: Mapped[datetime | None] = mapped_column(DateTimeUTC(timezone=True))
    expires_at: Mapped[datetime | None] = mapped_column(DateTimeUTC(timezone=True))


class DeploymentRow(Table):
    """The one row that tells this database from others whose objects lie in the same bucket."""

    __tablename__ = "deployment"
