"""The virtual environments of the peers, one each, made when they are first needed.

Belongs here: creating and filling them.
Does not belong here: what runs in them (`contenders`).
"""

import shutil
import subprocess
import sys
from pathlib import Path

_REQUIREMENTS = Path(__file__).parents[1] / "peers"
_INSTALL_S = 300


class PeerMissing(Exception):
    """A peer can't be measured; the message says why."""


def peer_environment(name: str, directory: Path) -> Path:
    """The `bin` folder of the peer's environment.

    Raises:
        PeerMissing: it could not be installed.
    """
    requirements = _REQUIREMENTS / f"{name}.txt"
    home = directory / name
    wanted = requirements.read_text(encoding="utf-8")
    installed = home / "installed.txt"
    if installed.exists() and installed.read_text(encoding="utf-8") == wanted:
        return home / "bin"
    print(f"Installing {name} into an environment of its own …", flush=True)
    shutil.rmtree(home, ignore_errors=True)
    pip = [home / "bin" / "python", "-m", "pip", "--disable-pip-version-check", "--quiet"]
    for command in (
        [sys.executable, "-m", "venv", home],
        [*pip, "install", "--requirement", requirements],
    ):
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, timeout=_INSTALL_S, check=False
            )
        except subprocess.TimeoutExpired:
            raise PeerMissing(f"its installation took more than {_INSTALL_S} s") from None
        if done.returncode:
            lines = done.stderr.strip().splitlines() or ["no reason was given"]
            raise PeerMissing(f"it could not be installed: {lines[-1][:200]}")
    installed.write_text(wanted, encoding="utf-8")
    return home / "bin"
