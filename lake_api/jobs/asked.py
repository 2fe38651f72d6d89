"""What is asked for when a job or an export is made, and how far one is.

Belongs here: these shapes. Does not belong here: keeping them (`store`).
"""

import hashlib
from dataclasses import dataclass
from uuid import UUID

import msgspec

from lake_api.query.messages import Compression, FileForm

JOB = "job"
EXPORT = "export"


@dataclass(frozen=True, slots=True, kw_only=True)
class NewJob:
    """What is asked for."""

    kind: str
    sql: str
    datasets: tuple[str, ...]
    form: FileForm
    compression: Compression
    row_cap: int
    source_id: UUID | None = None
    idempotency_key: str | None = None

    @property
    def request_hash(self) -> str:
        """What two requests have in common that ask for the same."""
        asked = (self.sql, self.source_id, self.form, self.compression, self.row_cap)
        return hashlib.sha256(msgspec.json.encode(asked)).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a running job is."""

    stage: str
    rows: int
    bytes: int
