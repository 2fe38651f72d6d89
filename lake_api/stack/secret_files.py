"""Secrets that a state directory keeps for itself: made once, readable for the owner only.

Belongs here: making and reading them.
Does not belong here: what they are for.
"""

import os
import secrets
from pathlib import Path

_BYTES = 24


def private_directory(path: Path) -> Path:
    """The directory, made for its owner only where it was missing."""
    path.mkdir(parents=True, exist_ok=True, mode=0o700)
    return path


def write_private(path: Path, text: str) -> None:
    """Replace a file whole, with mode 0600 from its first moment."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    draft.replace(path)


def secret(path: Path) -> str:
    """The secret kept in `path`, a new random one where there is none yet."""
    if not path.exists():
        write_private(path, secrets.token_urlsafe(_BYTES))
    return path.read_text(encoding="utf-8").strip()
