"""A short name for the folder of temporary files.

Belongs here: that name. Does not belong here: what is put there.

Dagster's code server listens on a Unix socket in the folder for temporary files, and the system
takes about a hundred bytes for the path of a socket. Where `TMPDIR` is longer, the parts get a
symbolic link with a short name, so that what they write still lands where the user wants it.
"""

import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from lake_api.stack.errors import StackError

# macOS takes 103 bytes, Linux 107; a name such as `/tmp0a1b2c3d` comes after the folder.
_LONGEST_BYTES = 80
_SHORT_FOLDERS = ("/tmp", "/var/tmp", "/dev/shm")  # noqa: S108 - a private folder is made in it


@dataclass(frozen=True, slots=True, kw_only=True)
class Scratch:
    """The folder for temporary files; `made` is what has to be removed in the end."""

    path: Path
    made: Path | None = None

    def remove(self) -> None:
        """Remove the short name; what was written stays where it is."""
        if self.made is not None:
            shutil.rmtree(self.made, ignore_errors=True)


def short_scratch(env: Mapping[str, str]) -> Scratch:
    """The folder that `TMPDIR` names, or the system's, under a name that is short enough.

    Raises:
        StackError: the name is too long, and no short one can be made.
    """
    folder = Path(_usable(env.get("TMPDIR", "")) or tempfile.gettempdir()).absolute()
    if len(os.fsencode(folder)) <= _LONGEST_BYTES:
        return Scratch(path=folder)
    for short in filter(_usable, _SHORT_FOLDERS):
        # Its mode is 0700: nobody else can put another link in the place of ours.
        made = Path(tempfile.mkdtemp(prefix="lake-", dir=short))
        link = made / "t"
        link.symlink_to(folder, target_is_directory=True)
        return Scratch(path=link, made=made)
    raise StackError(
        f"the name of the folder for temporary files is too long for a socket in it: {folder}",
        hint="set TMPDIR to a folder with a name of 80 bytes at most",
    )


def _usable(folder: str) -> str:
    return folder if os.path.isdir(folder) and os.access(folder, os.W_OK | os.X_OK) else ""
