"""Loopback servers that stand in for outside sources, for trying the lake without any key.

Belongs here: how they are started, and the settings that point collectors at them.
Does not belong here: what they answer (`tests/fakes` of the checkout).
"""

import sys
from collections.abc import Mapping
from pathlib import Path

import msgspec

from lake_api.stack.errors import StackError
from lake_api.stack.process import Child, Launch


class Told(msgspec.Struct):
    """What the fakes write down once all of them listen."""

    pid: int
    settings: dict[str, str]


def require_fakes(root: Path) -> None:
    """Refuse early where there are none.

    Raises:
        StackError: this installation has no fakes.
    """
    if not (root / "tests" / "fakes" / "__main__.py").is_file():
        raise StackError(
            "the stand-ins for outside sources are not part of this installation",
            hint="Use `--with-fakes` in a checkout of the project, or set the keys of the sources.",
        )


def start_fakes(
    *, root: Path, env: Mapping[str, str], state: Path, log: Path
) -> tuple[Child, Mapping[str, str]]:
    """The process, and the settings that point at it; listening when this returns.

    Started again with the same `state`, it has the same ports.

    Raises:
        StackError: it did not start; the error has its log.
    """
    command = [sys.executable, "-m", "tests.fakes", f"--state={state}"]
    child = Child(Launch(name="fakes", argv=command, env=env, cwd=root, log=log))
    settings: dict[str, str] = {}

    def is_ready() -> bool:
        settings.update(_settings(state, child.pid))
        return bool(settings)

    child.wait_until(is_ready)
    return child, settings


def _settings(state: Path, pid: int) -> Mapping[str, str]:
    """What this process wrote; what an earlier one left behind does not count."""
    if not state.exists():
        return {}
    told = msgspec.json.decode(state.read_bytes(), type=Told)
    return told.settings if told.pid == pid else {}
