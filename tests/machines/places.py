"""Folders for a checkout, and what must be there besides.

Belongs here: making and removing them. Does not belong here: which case wants which (`cases`).
"""

import shutil
import socket
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_DEFAULT_PORTS = (8000, 3000, 4266, 8333, 5432)


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where the files of a checkout go, where a visitor enters, what to remove, what to hold.

    `root` is the root of another system, in which `entry` is.
    """

    files: Path
    entry: Path
    remove: Path
    held: Sequence[socket.socket] = ()
    root: Path | None = None


def below(name: str) -> Callable[[Path], Place]:
    """A folder with this name (or several, one in the other)."""

    def make(folder: Path) -> Place:
        files = folder / name
        files.mkdir(parents=True)
        return Place(files=files, entry=files, remove=folder)

    return make


def private(folder: Path) -> Place:
    """A folder that nobody else may enter."""
    folder.chmod(0o700)
    return below("checkout")(folder)


def in_home_of_root(_folder: Path) -> Place:
    """Below the home of root."""
    files = Path(tempfile.mkdtemp(prefix="lake-machines-", dir="/root"))
    return Place(files=files, entry=files, remove=files)


def behind_a_link(folder: Path) -> Place:
    """Entered by way of a symbolic link."""
    place = below("files")(folder)
    link = folder / "link"
    link.symlink_to(place.files, target_is_directory=True)
    return Place(files=place.files, entry=link, remove=folder)


def on_another_file_system(_folder: Path) -> Place:
    """In memory."""
    files = Path(tempfile.mkdtemp(prefix="lake-machines-", dir="/dev/shm"))
    files.chmod(0o755)
    return Place(files=files, entry=files, remove=files)


def taken_ports(folder: Path) -> Place:
    """Somebody listens on every port that a part prefers."""
    held: list[socket.socket] = []
    for port in _DEFAULT_PORTS:
        with suppress(OSError):
            held.append(socket.create_server(("127.0.0.1", port)))
    place = below("checkout")(folder)
    return Place(files=place.files, entry=place.entry, remove=folder, held=held)


def bare_debian(folder: Path) -> Place:
    """A Debian with what is needed and nothing else: no compiler, no curl, no locale."""
    root = folder / "debian"
    subprocess.run(["debootstrap", "--variant=minbase", "bookworm", root], check=True)
    _take_over(root, "etc/resolv.conf")
    subprocess.run(
        [
            *("chroot", root, "env", "DEBIAN_FRONTEND=noninteractive"),
            *("apt-get", "install", "--yes", "--no-install-recommends", "python3-venv", "make"),
        ],
        check=True,
    )
    # Last: installing packages writes a bundle without the machine's own certificates.
    _take_over(root, "etc/ssl/certs/ca-certificates.crt")
    files = root / "root" / "checkout"
    files.mkdir()
    return Place(files=files, entry=Path("/root/checkout"), remove=folder, root=root)


def _take_over(root: Path, name: str) -> None:
    """What the network of this machine wants."""
    if Path("/", name).exists():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(Path("/", name), root / name)
