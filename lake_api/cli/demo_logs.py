"""What is left of a demo that failed: its logs, in one folder.

Belongs here: which files of a state directory are logs, and where they go.
Does not belong here: removing the rest (`demo`).
"""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

_LOG = ".log"
_RUN_OUTPUT = frozenset({".err", ".out"})
_DATA = frozenset({"data", "cache", "tmp"})
_RUN_ID_CHARS = 8


def keep_logs(home: Path) -> Path:
    """Move the logs of all parts and runs out of `home` into a new folder, and return it.

    Only its owner may read it: a log can hold what rows hold.
    """
    kept = Path(tempfile.mkdtemp(prefix=f"{home.name}-logs-", dir=home.parent))
    for log in sorted(_logs(home)):
        target = kept / _name(log.relative_to(home))
        if log.stat().st_size and not target.exists():
            shutil.move(log, target)
    return kept


def _logs(home: Path) -> Iterator[Path]:
    for folder, folders, files in os.walk(home):
        folders[:] = [name for name in folders if name not in _DATA]
        for name in files:
            path = Path(folder) / name
            # A log that was rotated is called `part.log.1`.
            if _LOG in path.suffixes or path.suffix in _RUN_OUTPUT:
                yield path


def _name(log: Path) -> str:
    """`api.log` of a part; `run-1a2b3c4d-STEP.err` of a run, which has folders of its own."""
    if log.suffix not in _RUN_OUTPUT:
        return log.name
    run = log.parts[-3] if len(log.parts) > 2 else ""
    return f"run-{run[:_RUN_ID_CHARS]}-{log.name}"
