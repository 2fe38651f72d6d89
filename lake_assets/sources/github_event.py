"""An event of GitHub's feeds, as it comes and as the lake keeps it.

Belongs here: fields of an event, and what of its payload is kept.
Does not belong here: asking for feeds (`github`).
"""

from datetime import datetime
from typing import Any

import msgspec

from lake_assets.sources.collect import Row
from lake_assets.sources.personal import masked

_LEFT_OUT = frozenset({"body", "body_html", "body_text", "commits", "email"})


class Account(msgspec.Struct):
    """A user, a bot or an organisation."""

    id: int
    login: str


class Repository(msgspec.Struct):
    """Where it happened."""

    id: int
    name: str


class Event(msgspec.Struct):
    """One event of a feed."""

    id: str
    type: str
    actor: Account
    repo: Repository
    payload: dict[str, Any]
    public: bool
    created_at: datetime
    org: Account | None = None

    def row(self) -> Row:
        """The columns, without texts of people."""
        payload = self.payload
        subject: dict[str, Any] = payload.get("pull_request") or payload.get("issue") or {}
        return {
            "event_id": self.id,
            "event_type": self.type,
            "repo": self.repo.name,
            "repo_id": self.repo.id,
            "actor_login": self.actor.login,
            "actor_id": self.actor.id,
            "org_login": self.org.login if self.org else None,
            "action": payload.get("action"),
            "ref": payload.get("ref"),
            "head_sha": payload.get("head") or (subject.get("head") or {}).get("sha"),
            "number": payload.get("number") or subject.get("number"),
            "is_public": self.public,
            "payload": msgspec.json.encode(masked(payload, leave_out=_LEFT_OUT)).decode(),
            "created_at": self.created_at,
        }
