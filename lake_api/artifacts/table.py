"""How files are known to the database.

Belongs here: the table. Does not belong here: reading and writing it (`store`).
"""

from datetime import datetime
from uuid import UUID

from advanced_alchemy.types import DateTimeUTC
from sqlalchemy import BigInteger, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from lake_api.database.base import Table


class ArtifactRow(Table):
    """One file; there before its object is, and gone after it.

    While it is written (`is_ready` false), `size_bytes` is what it may become, and `upload_id`
    names the upload of its parts. Once `lease_until` is over it will never be ready.
    """

    __tablename__ = "artifacts"

    owner: Mapped[str] = mapped_column(String(200), index=True)
    token_id: Mapped[UUID | None]
    swarm_id: Mapped[UUID | None] = mapped_column(index=True)
    is_shared: Mapped[bool]
    name: Mapped[str] = mapped_column(Text)
    media_type: Mapped[str] = mapped_column(String(128))
    size_bytes: Mapped[int] = mapped_column(BigInteger)
    sha256: Mapped[str] = mapped_column(String(64))
    is_ready: Mapped[bool]
    upload_id: Mapped[str | None] = mapped_column(Text)
    lease_until: Mapped[datetime] = mapped_column(DateTimeUTC(timezone=True))
    created_at: Mapped[datetime] = mapped_column(DateTimeUTC(timezone=True))
    expires_at: Mapped[datetime] = mapped_column(DateTimeUTC(timezone=True), index=True)
