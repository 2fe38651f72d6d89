"""Stand-ins for outside sources as a part of the stack."""

from contextlib import closing
from pathlib import Path

import httpx
import pytest

from lake_api.cli import up
from lake_api.stack.errors import StackError
from lake_api.stack.fakes import require_fakes, start_fakes
from lake_api.stack.process import child_environment
from lake_assets.sources.config import UPSTREAMS
from tests.cli.conftest import lake


def test_an_installation_without_fakes_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(StackError, match="not part of this installation"):
        require_fakes(tmp_path)

    monkeypatch.setenv("LAKE_STATE_DIR", str(tmp_path / "home"))
    monkeypatch.setattr(up, "project_root", lambda: tmp_path)
    for flags in ((), ("--detach",)):
        result = lake("up", "--with-fakes", *flags)
        assert result.exit_code == 1
        assert "not part of this installation" in result.stderr
        assert "set the keys of the sources" in result.stderr
    assert not (tmp_path / "home").exists()


def test_fakes_configure_every_source_and_come_back_where_they_were(
    tmp_path: Path, project_root: Path
) -> None:
    def start():
        return start_fakes(
            root=project_root,
            env=child_environment({}),
            state=tmp_path / "fakes.json",
            log=tmp_path / "fakes.log",
        )

    child, settings = start()
    try:
        assert [upstream.why_not(settings) for upstream in UPSTREAMS] == [""] * len(UPSTREAMS)
        url = f"{settings['NPM_BASE_URL']}/downloads/range/2026-11-01:2026-11-02/lake-client"
        with closing(httpx.Client(trust_env=False)) as client:
            assert len(client.get(url).json()["downloads"]) == 2
            child.stop()
            with pytest.raises(httpx.ConnectError):
                client.get(url)
            child, again = start()
            assert again == settings
            assert client.get(url).is_success
    finally:
        child.stop()
    assert (tmp_path / "fakes.json").stat().st_mode & 0o077 == 0
