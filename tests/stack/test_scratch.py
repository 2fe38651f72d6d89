import os
import socket
import stat
from pathlib import Path

import pytest

from lake_api.stack import scratch
from lake_api.stack.errors import StackError
from lake_api.stack.scratch import short_scratch
from lake_api.stack.state import require_plain_path
from lake_api.stack.supervisor import Supervisor


def test_a_short_folder_is_used_as_it_is() -> None:
    found = short_scratch({"TMPDIR": "/tmp"})
    assert (found.path, found.made) == (Path("/tmp"), None)


@pytest.mark.parametrize("given", [{}, {"TMPDIR": ""}, {"TMPDIR": "/nowhere/at/all"}])
def test_a_folder_that_is_not_there_is_replaced_by_the_systems(given: dict[str, str]) -> None:
    assert os.access(short_scratch(given).path, os.W_OK)


@pytest.fixture
def long(tmp_path: Path) -> Path:
    folder = tmp_path / ("a folder" + "-with-a-long-name" * 6)
    folder.mkdir()
    return folder


def test_a_long_name_gets_a_short_one_that_only_its_owner_may_change(long: Path) -> None:
    found = short_scratch({"TMPDIR": str(long)})
    try:
        assert found.made is not None
        assert stat.S_IMODE(found.made.stat().st_mode) == 0o700
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(str(found.path / "tmp12345678"))
        assert [one.name for one in long.iterdir()] == ["tmp12345678"]
    finally:
        found.remove()
    assert not found.path.exists()
    assert [one.name for one in long.iterdir()] == ["tmp12345678"]


def test_without_any_short_folder_it_is_said_what_to_set(
    long: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scratch, "_SHORT_FOLDERS", ("/nowhere",))
    with pytest.raises(StackError, match="too long") as refused:
        short_scratch({"TMPDIR": str(long)})
    assert "TMPDIR" in (refused.value.hint or "")


@pytest.mark.parametrize("name", ["100%20 sure", "why?", "100% sure", "a\\b"])
def test_a_state_directory_that_a_url_would_change_is_refused_before_anything_starts(
    tmp_path: Path, name: str
) -> None:
    supervisor = Supervisor(home=tmp_path / name, root=tmp_path, env={})
    with pytest.raises(StackError, match="path with") as refused:
        supervisor.start()
    assert "LAKE_STATE_DIR" in (refused.value.hint or "")
    assert not (tmp_path / name).exists()


def test_an_installation_in_such_a_path_is_refused_too(tmp_path: Path) -> None:
    with pytest.raises(StackError, match="path with") as refused:
        require_plain_path(tmp_path, installation="/home/50%/checkout/.venv")
    assert "checkout" in (refused.value.hint or "")


@pytest.mark.parametrize("name", ["#1 & (co)", "o'clock; Größe", "a = b"])
def test_other_marks_in_its_path_are_no_reason(tmp_path: Path, name: str) -> None:
    require_plain_path(tmp_path / name)
