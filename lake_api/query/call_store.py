"""Where counts of calls are kept: in this process, or in a store that replicas share.

Belongs here: opening the `limits` storage that the settings name.
Does not belong here: what is counted (`rate_limit`).
"""

import time
from typing import Any, cast

from limits.aio.storage import MemoryStorage, Storage
from limits.errors import ConfigurationError
from limits.storage import storage_from_string

from lake_api.settings import SettingsError

_TIMEOUT_S = 2.0
_SWEEP_S = 10.0


class SweptMemoryStorage(MemoryStorage):
    """Counts in memory; what is over is removed every ten seconds.

    The base class looks at every key there is with each call, each in a thread of its own: a call
    would cost more the more callers and cron runs there are. No count depends on the sweeping.
    """

    STORAGE_SCHEME = ["async+swept-memory"]  # noqa: RUF012 - as the base class declares it

    def __init__(self, uri: str | None = None, wrap_exceptions: bool = False, **_: str) -> None:
        super().__init__(uri, wrap_exceptions=wrap_exceptions, **_)
        self._swept_at = time.monotonic()

    async def _MemoryStorage__schedule_expiry(self) -> None:  # noqa: N802 - the base class's own
        now = time.monotonic()
        if now - self._swept_at >= _SWEEP_S:
            self._swept_at = now
            await cast(Any, super())._MemoryStorage__schedule_expiry()


def open_call_store(uri: str) -> Storage:
    """The storage of a `limits` URI.

    Raises:
        SettingsError: it is of an unknown kind, or its client library is not installed.
    """
    if uri.removeprefix("async+") == "memory://":
        return SweptMemoryStorage(wrap_exceptions=True)
    # The storages for asyncio have the same names with this prefix.
    uri = uri if uri.startswith("async+") else f"async+{uri}"
    options: dict[str, Any] = {}
    if "redis" in uri.partition("://")[0]:
        # A store that hangs must not hold up queries.
        options = {"socket_timeout": _TIMEOUT_S, "socket_connect_timeout": _TIMEOUT_S}
    try:
        storage = storage_from_string(
            uri, wrap_exceptions=True, implementation="redispy", **options
        )
    except ConfigurationError as error:
        hint = "; install ainative-lake[redis]" if options else ""
        raise SettingsError(f"LAKE_RATE_LIMIT_STORE: {error}{hint}") from error
    return cast(Storage, storage)
