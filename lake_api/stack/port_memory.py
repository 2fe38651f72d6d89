"""Which ports the parts of a stack had, so that they have the same the next time.

Belongs here: the file in the state directory.
Does not belong here: choosing ports (`ports`).

A port that was chosen in the place of a taken one is remembered for the preferred port: who asks
for another one the next time gets that one.
"""

import threading
from pathlib import Path

import msgspec

from lake_api.stack.secret_files import write_private

_FILE = "ports.json"


class Had(msgspec.Struct, frozen=True, kw_only=True):
    """The port that was preferred for a part, and the one that it had."""

    preferred: int
    port: int


class PortMemory:
    """The ports of one state directory."""

    def __init__(self, home: Path) -> None:
        self._file = home / _FILE
        self._had = self._read()
        # Parts start beside each other.
        self._lock = threading.Lock()

    def recall(self, part: str, preferred: int) -> int:
        """The port that the part had when this one was preferred, or the preferred one itself."""
        had = self._had.get(part)
        return had.port if had is not None and had.preferred == preferred else preferred

    def keep(self, part: str, preferred: int, port: int) -> None:
        """Remember what the part has now."""
        with self._lock:
            self._had[part] = Had(preferred=preferred, port=port)
            write_private(self._file, msgspec.json.encode(self._had).decode())

    def _read(self) -> dict[str, Had]:
        try:
            return msgspec.json.decode(self._file.read_bytes(), type=dict[str, Had])
        except (FileNotFoundError, msgspec.DecodeError):
            # A file that can't be read costs the memory, and nothing else.
            return {}
