"""How the sums of a day are stored.

Belongs here: the table. Does not belong here: reading and adding to it (`day_sums`).
"""

from datetime import date
from uuid import UUID

from sqlalchemy import BigInteger, Date, Uuid
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from lake_api.database.base import Table


class _Base(DeclarativeBase):
    metadata = Table.metadata


class DayRow(_Base):
    """What one token used on one UTC day; a swarm's has what its agents used as well."""

    __tablename__ = "usage_days"

    token_id: Mapped[UUID] = mapped_column(Uuid(), primary_key=True)
    day: Mapped[date] = mapped_column(Date(), primary_key=True)
    rows: Mapped[int] = mapped_column(BigInteger())
    bytes: Mapped[int] = mapped_column(BigInteger())
    ms: Mapped[int] = mapped_column(BigInteger())
