import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from lake_api.stack import named_user
from lake_api.stack.named_user import command_with_name

UID = 54321
SYSTEM_PYTHON = Path("/usr/bin/python3")


def test_who_has_a_name_runs_the_program_itself() -> None:
    assert command_with_name(["initdb", "--version"]) == ["initdb", "--version"]


def test_who_has_none_runs_it_through_another_program(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "getuid", lambda: UID)
    command = command_with_name(["/bin/initdb", "--version"])
    assert command[-3:] == [named_user.__file__, "/bin/initdb", "--version"]


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that everyone may use; what pytest makes is closed."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o777)
    yield folder
    shutil.rmtree(folder)


def is_new_enough(python: Path) -> bool:
    """Whether the system's Python is there, open to every user, and knows the option `-P`."""
    return (
        python.exists()
        and subprocess.run([python, "-P", "-c", ""], capture_output=True, check=False).returncode
        == 0
    )


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")
@pytest.mark.skipif(not is_new_enough(SYSTEM_PYTHON), reason="needs a Python open to every user")
def test_a_user_without_a_name_has_one_for_the_program_and_owns_what_it_makes(
    open_folder: Path,
) -> None:
    script = shutil.copy(named_user.__file__, open_folder / "named_user.py")
    Path(script).chmod(0o644)
    made = open_folder / "made"
    ended = subprocess.run(
        [SYSTEM_PYTHON, "-P", script, "/bin/sh", "-c", f"id -un && touch {made}"],
        user=UID,
        group=UID,
        extra_groups=[],
        capture_output=True,
        text=True,
        check=False,
    )
    if ended.returncode == named_user.REFUSED:
        # A system that lets nobody make a namespace: it is said what to do.
        assert f"lake:x:{UID}:{UID}" in ended.stderr
        return
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.strip().isidentifier()
    assert made.stat().st_uid == UID
