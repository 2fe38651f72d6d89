"""The lake's objects as the read side sees them: get and list, with short patience.

Belongs here: opening the store for a location, and telling its errors in the caller's terms.
Does not belong here: which objects are asked for (`snapshot`, `object_cache`).
"""

from datetime import timedelta

from obstore.store import S3Store

from lake_api.errors import QueryUnavailable
from lake_assets.catalog import LakeLocation

_CONNECT_TIMEOUT = timedelta(seconds=1)
_SMALL_TIMEOUT = timedelta(milliseconds=2_500)
_STALL_TIMEOUT = timedelta(seconds=5)
_WHOLE_TIMEOUT = timedelta(seconds=60)


def open_small(location: LakeLocation) -> S3Store:
    """A store for version tokens and lists: an S3 that does not answer is told within 3 s."""
    return _open(location, timeout=_SMALL_TIMEOUT, retry_for=timedelta(seconds=1))


def open_whole(location: LakeLocation) -> S3Store:
    """A store for whole objects, which may take long as long as bytes arrive."""
    return _open(location, timeout=_WHOLE_TIMEOUT, retry_for=timedelta(seconds=2))


def _open(location: LakeLocation, *, timeout: timedelta, retry_for: timedelta) -> S3Store:
    return S3Store(
        location.bucket,
        endpoint=location.endpoint,
        region=location.region,
        access_key_id=location.access_key,
        secret_access_key=location.secret_key,
        virtual_hosted_style_request=False,
        client_options={
            "allow_http": location.is_plain_http,
            "connect_timeout": _CONNECT_TIMEOUT,
            "read_timeout": min(_STALL_TIMEOUT, timeout),
            "timeout": timeout,
        },
        retry_config={
            "max_retries": 2,
            "retry_timeout": retry_for,
            "backoff": {
                "init_backoff": timedelta(milliseconds=50),
                "max_backoff": timedelta(milliseconds=400),
                "base": 2,
            },
        },
    )


def storage_unavailable() -> QueryUnavailable:
    """What a caller is told when S3 does not answer, or refuses the read side's key."""
    return QueryUnavailable(
        "The lake's object storage does not answer.",
        code="storage_unavailable",
        hint="Try again in a moment; `GET /readyz` says when storage is back.",
        retry=True,
    )
