"""`python -m lake_api.serve`: the service as one process.

Belongs here: reading the environment, the listening socket, start and stop.
Does not belong here: wiring (`app`).

SIGTERM and SIGINT let running requests finish, then close the engine and its workers. With
`--parent-pid` the same happens when that process is gone, however it ended.
"""

import argparse
import asyncio
import os
import sys
import tempfile
from collections.abc import Sequence

import uvicorn

from lake_api.app import create_app
from lake_api.database.database import Database
from lake_api.heap import keep_heap_small
from lake_api.settings import Settings, SettingsError, check_environment
from lake_api.stack.environment import with_direct_loopback
from lake_api.web.front_door import DoorLimits, allowed_connections, bounded_protocol
from lake_api.web.logs import configure_logging
from lake_assets.catalog import LakeLocation, load_catalog

_GRACE_S = 10
_BACKLOG = 512
_PARENT_CHECK_S = 0.5


class ServiceServer(uvicorn.Server):
    """A server that also stops when its parent process is gone."""

    def __init__(self, config: uvicorn.Config, *, parent_pid: int | None = None) -> None:
        super().__init__(config)
        self._parent_pid = parent_pid

    async def main_loop(self) -> None:
        """Serve until told to stop, or orphaned."""
        watch = asyncio.create_task(self._stop_with_parent())
        try:
            await super().main_loop()
        finally:
            watch.cancel()

    async def _stop_with_parent(self) -> None:
        while self._parent_pid is not None and not self.should_exit:
            if os.getppid() != self._parent_pid:
                self.should_exit = True
            await asyncio.sleep(_PARENT_CHECK_S)


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until stopped; 2 when a setting can't be used."""
    options = _parser().parse_args(arguments)
    # A proxy can't reach this machine's loopback interface, where storage may be.
    os.environ.update(with_direct_loopback(os.environ))
    keep_heap_small()
    configure_logging()
    try:
        settings = check_environment(os.environ)
        location = LakeLocation.from_mapping(os.environ, reader=True)
        app = create_app(settings=settings, catalog=load_catalog(), location=location)
        _require_cache(settings)
        Database.require_usable(settings.database_url)
    except SettingsError as error:
        print(f"lake_api.serve: {error}", file=sys.stderr)  # noqa: T201 - this is the command's say
        return 2
    config = uvicorn.Config(
        app,
        host=options.host,
        port=options.port,
        loop="uvloop",
        http=bounded_protocol(DoorLimits(connections=allowed_connections())),
        ws="none",
        lifespan="on",
        # Who the peer is decides who may ask: no header may change it.
        proxy_headers=False,
        server_header=False,
        access_log=False,
        log_config=None,
        timeout_graceful_shutdown=_GRACE_S,
        backlog=_BACKLOG,
    )
    server = ServiceServer(config, parent_pid=options.parent_pid)
    server.run()
    return 0 if server.started else 1


def _require_cache(settings: Settings) -> None:
    """Refuse a directory of the cache that can't be written to."""
    try:
        settings.cache_path.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=settings.cache_path):
            pass
    except OSError as error:
        raise SettingsError(
            "LAKE_CACHE_DIR: must be a directory that the service may write to "
            f"({settings.cache_path}: {error.strerror})"
        ) from error


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m lake_api.serve", description=main.__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--parent-pid", type=int, default=None)
    return parser


if __name__ == "__main__":
    sys.exit(main())
