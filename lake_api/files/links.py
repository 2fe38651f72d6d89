"""Links to files: what a link says, and where it leads.

Belongs here: making and reading links.
Does not belong here: whether a link's holder may still read the file (`downloads`).

A link names a file and the caller to whom it was given, and is signed. It grants nothing of its
own: the service judges the holder's rights again at each use. Where `LAKE_EXPORT_URL` is set,
callers reach S3 by themselves, and links are S3's: those can't be taken back before they expire.
"""

import base64
import hmac
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

import msgspec

from lake_api.clock import Clock
from lake_api.doors import FILES
from lake_api.exports.objects import ExportObjects
from lake_api.identity import Caller, Role, caller_of_key
from lake_api.settings import Settings

_PURPOSE = b"ainative-lake file links v1"
_NOT_PLAIN = re.compile(r"[^A-Za-z0-9._-]+")
_MAX_PAYLOAD_CHARS = 1_024
_MAX_NAME_CHARS = 120


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredFile:
    """An object that callers may download. What lies under `key` never changes."""

    kind: str
    id: UUID
    key: str
    name: str
    media_type: str
    size_bytes: int
    etag: str
    expires_at: datetime | None
    datasets: tuple[str, ...] = ()
    form: str | None = None


class Link(msgspec.Struct, frozen=True, array_like=True):
    """What a link says. `holder` is the key of the caller to whom it was given.

    `standing` stands for the settings that let in a holder without a token: the admin's key, or
    the internal networks. A link does not outlive them.
    """

    kind: str
    file_id: UUID
    holder: str
    expires_ms: int
    standing: str = ""


class LinkSigner:
    """Signs links, and reads those that it signed. Replicas have the same secret."""

    def __init__(self, secret: str) -> None:
        self._key = hmac.digest(secret.encode(), _PURPOSE, "sha256")

    def text_of(self, link: Link) -> str:
        """The link as one segment of a path."""
        payload = _to_text(msgspec.msgpack.encode(link))
        return f"{payload}.{self._signature(payload)}"

    def read(self, text: str) -> Link | None:
        """What a text says that was signed here, or None."""
        payload, _, signature = text.partition(".")
        if len(payload) > _MAX_PAYLOAD_CHARS or not text.isascii():
            return None
        # Compared as text: several texts decode to the same bytes.
        if not hmac.compare_digest(signature, self._signature(payload)):
            return None
        return msgspec.msgpack.decode(base64.urlsafe_b64decode(f"{payload}=="), type=Link)

    def _signature(self, payload: str) -> str:
        return _to_text(hmac.digest(self._key, payload.encode(), "sha256"))


class FileLinks:
    """Makes links to files, as the settings of the service say."""

    def __init__(self, objects: ExportObjects, *, settings: Settings, clock: Clock) -> None:
        self._objects = objects
        self._settings = settings
        self._clock = clock
        self._signer = LinkSigner(settings.export_secret_key)

    def make(self, file: StoredFile, *, holder: Caller, own_url: str) -> tuple[str, datetime]:
        """A link for one caller, and until when it is good; never longer than the file.

        `own_url` is how the caller reaches the service.
        """
        now = self._clock()
        until = now + timedelta(seconds=self._settings.export_link_s)
        if file.expires_at is not None:
            until = min(until, file.expires_at)
        if self._settings.export_url:
            url = self._objects.link(file.key, file_name=file.name, expires=until - now)
            return url, until
        text = self._signer.text_of(
            Link(
                kind=file.kind,
                file_id=file.id,
                holder=holder.key,
                expires_ms=int(until.timestamp() * 1_000),
                standing=standing_of(holder.key, self._settings),
            )
        )
        return f"{own_url}{FILES}/{text}/{plain_name(file.name)}", until

    def read(self, text: str) -> Link | None:
        """What a link says that is good at the moment, or None."""
        link = self._signer.read(text)
        if link is None or link.expires_ms <= self._clock().astimezone(UTC).timestamp() * 1_000:
            return None
        if link.standing != standing_of(link.holder, self._settings):
            return None
        return link


def standing_of(holder: str, settings: Settings) -> str:
    """What stands for the settings that let the caller with this key in; nothing for a token's."""
    caller = caller_of_key(holder)
    if caller.token_id is not None:
        return ""
    if caller.role is Role.ADMIN:
        reason = f"key {settings.ainative_internal_api_key}"
    else:
        networks = sorted(map(str, settings.internal_networks))
        reason = f"networks {networks} but {sorted(map(str, settings.trusted_proxies))}"
    return _to_text(hmac.digest(settings.export_secret_key.encode(), reason.encode(), "sha256"))


def plain_name(name: str) -> str:
    """A file's name as the end of a URL: readers tell the type of a file by its ending."""
    plain = _NOT_PLAIN.sub("_", name)[-_MAX_NAME_CHARS:]
    return plain.strip(".") or "file"


def _to_text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
