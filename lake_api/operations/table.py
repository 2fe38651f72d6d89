"""How commands of services are stored.

Belongs here: the table. Does not belong here: reading and writing it (`store`).
"""

from datetime import datetime
from typing import Any

from advanced_alchemy.types import DateTimeUTC
from sqlalchemy import JSON, String
from sqlalchemy.orm import Mapped, mapped_column

from lake_api.database.base import Table


class OperationRow(Table):
    """One command. Until `lease_until` the process that runs it is believed to live."""

    __tablename__ = "operations"

    operation_id: Mapped[str] = mapped_column(String(64), unique=True)
    service: Mapped[str] = mapped_column(String(32))
    command: Mapped[str] = mapped_column(String(32))
    request_digest: Mapped[str] = mapped_column(String(64))
    task_id: Mapped[str | None] = mapped_column(String(64))
    result: Mapped[dict[str, Any] | None] = mapped_column(JSON)
    error: Mapped[dict[str, Any] | None] = mapped_column(JSON)
    created_at: Mapped[datetime] = mapped_column(DateTimeUTC(timezone=True), index=True)
    lease_until: Mapped[datetime] = mapped_column(DateTimeUTC(timezone=True))
    finished_at: Mapped[datetime | None] = mapped_column(DateTimeUTC(timezone=True))
