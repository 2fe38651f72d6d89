"""The bodies of the artifact routes.

Belongs here: answer structs and their examples. Does not belong here: rules (`store`, `service`).
"""

from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec


class ArtifactInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A file. `media_type` is what its bytes look like; it is served as bytes to be saved."""

    id: UUID
    name: str
    media_type: str
    size_bytes: int
    sha256: str
    shared: bool
    token_id: UUID | None
    created_at: datetime
    expires_at: datetime
    url: str | None
    url_expires_at: datetime | None


class ArtifactList(msgspec.Struct, frozen=True, kw_only=True):
    """A page of files, newest first; links are in the answer to a single one."""

    artifacts: tuple[ArtifactInfo, ...]
    page: int
    page_size: int
    total: int


ARTIFACT_EXAMPLE: dict[str, Any] = {
    "id": "0199a5a0-7c1e-7b52-9d0e-5f0c8f2d8a13",
    "name": "weekly report.pdf",
    "media_type": "application/pdf",
    "size_bytes": 182_420,
    "sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "shared": False,
    "token_id": "0199a5a0-7c1e-7b52-9d0e-5f0c8f2d8a11",
    "created_at": "2026-11-22T10:30:00Z",
    "expires_at": "2026-11-29T10:30:00Z",
    "url": "https://lake.example.com/api/v1/internal/lake/files/…/weekly_report.pdf",
    "url_expires_at": "2026-11-22T10:35:00Z",
}
LISTED_EXAMPLE: dict[str, Any] = {
    "artifacts": [{**ARTIFACT_EXAMPLE, "url": None, "url_expires_at": None}],
    "page": 1,
    "page_size": 50,
    "total": 1,
}
