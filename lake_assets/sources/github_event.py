"""An event of GitHub's feeds, as it comes and as the lake keeps it.

Belongs here: fields of an event, and what of its payload is kept.
Does not belong here: asking for feeds (`github`).
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, cast

import msgspec

from lake_assets.sources.collect import Row
from lake_assets.sources.personal import masked
from lake_assets.sources.values import Loosely, json_text

_LEFT_OUT = frozenset({"body", "body_html", "body_text", "commits", "email"})


class Account(msgspec.Struct):
    """A user, a bot or an organisation."""

    id: Loosely[int | None] = None
    login: Loosely[str | None] = None


class Repository(msgspec.Struct):
    """Where it happened."""

    id: Loosely[int]
    name: Loosely[str]


class Event(msgspec.Struct):
    """One event of a feed."""

    id: str | int
    type: Loosely[str]
    actor: Account | None
    repo: Repository
    payload: Loosely[dict[str, Any]]
    public: bool
    created_at: datetime
    org: Account | None = None

    def row(self) -> Row:
        """The columns, without texts of people."""
        payload, actor = _fields(self.payload), self.actor or Account()
        subject = _fields(payload.get("pull_request") or payload.get("issue"))
        return {
            "event_id": str(self.id),
            "event_type": self.type,
            "repo": self.repo.name,
            "repo_id": self.repo.id,
            "actor_login": actor.login,
            "actor_id": actor.id,
            "org_login": self.org.login if self.org else None,
            "action": payload.get("action"),
            "ref": payload.get("ref"),
            "head_sha": payload.get("head") or _fields(subject.get("head")).get("sha"),
            "number": payload.get("number") or subject.get("number"),
            "is_public": self.public,
            "payload": json_text(masked(self.payload, leave_out=_LEFT_OUT)),
            "created_at": self.created_at,
        }


def _fields(value: object) -> Mapping[str, Any]:
    return cast("Mapping[str, Any]", value) if isinstance(value, Mapping) else {}
