"""`lake doctor`: useful when nothing works, and never with a secret."""

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lake_api.cli import doctor, doctor_lake
from lake_api.cli.secrets import Scrubber, address_of, is_secret_name, secrets_of
from lake_api.stack.state import PartState, StackState, write_state
from lake_assets.sources.config import UPSTREAMS
from tests.cli.conftest import KEY, lake

SECTIONS = {
    "versions", "system", "paths", "limits", "proxies", "ports", "language", "settings", "parts",
    "last errors", "advice",
}  # fmt: skip

PLANTED = {
    "HTTP_PROXY": ("http://corp:Pr0xy/pa55@proxy.corp:3128", ("Pr0xy", "pa55", "corp:Pr")),
    "https_proxy": ("corp:0therPa55@proxy.corp:3128", ("0therPa55",)),
    "ALL_PROXY": ("socks5://u:1234/5678@proxy.corp:1080", ("1234/5678", "5678")),
    "LAKE_DATABASE_URL": ("postgresql://svc:Db%21Word@db.corp/lake", ("Db%21Word", "Db!Word")),
    "PLATFORM_DATABASE_URL": ("postgresql://svc:pl4tform@db.corp/p", ("pl4tform",)),
    "MINIO_SECRET_KEY": ("min10-s3cret", ("min10-s3cret",)),
    "LAKE_TOKEN": ("lake_agent_AbCdEf0123456789", ("AbCdEf0123456789",)),
    "AINATIVE_INTERNAL_API_KEY": ("1nternal-k3y", ("1nternal-k3y",)),
    "LAKE_RATE_LIMIT_STORE": ("redis://:r3disPw@cache/0", ("r3disPw",)),
    "LAKE_ALERT_SLACK_URL": ("https://hooks.slack.com/services/T0/B0/xyzzy99", ("xyzzy99",)),
    "LAKE_QUERY_WORKERS": ("s3cret-in-the-wrong-place", ("s3cret-in-the-wrong-place",)),
    "MY_COMPANY_PASSWORD": ("hunter2hunter2", ("hunter2hunter2",)),
    "PIP_INDEX_URL": ("https://bot:p1pToken@pypi.corp/simple", ("p1pToken",)),
}  # fmt: skip
LOG = """\
2026-11-22 10:00:00 INFO fine
ERROR connecting to postgresql://svc:pl4tform@db.corp/p failed
ERROR Authorization: Bearer eyJhbGciOi.eyJzdWIiOi.c2lnbmF0
ERROR GET https://x.example/a?X-Amz-Signature=deadbeefcafe&sig=f00dface failed
ERROR {"password": "jsonPassw0rd", "x": 1} and secret_key='quotedS3cret'
ERROR token hunter2hunter2 was refused, key ghp_0123456789abcdef
"""
IN_LOG = ("eyJzdWIiOi", "deadbeefcafe", "f00dface", "jsonPassw0rd", "quotedS3cret", "ghp_0123")


@pytest.fixture
def planted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Secrets in the environment; what must not be seen of them."""
    for name, (value, _) in PLANTED.items():
        monkeypatch.setenv(name, value)
    source_secrets = {
        one.name: f"planted-{number}-value"
        for number, one in enumerate(
            one for source in UPSTREAMS for one in source.settings if one.secret
        )
    }
    for name, value in source_secrets.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(doctor_lake, "_SHOWN_LINES", 50)
    return [*source_secrets.values(), *(text for _, texts in PLANTED.values() for text in texts)]


def test_nothing_runs_and_that_is_told(home: Path):
    result = lake("doctor", "--json")
    report = json.loads(result.stdout)
    assert set(report) == SECTIONS
    assert report["parts"]["running"].startswith("no;")
    assert report["versions"]["dagster"] != "missing"
    assert report["paths"]["state"]["path"] == str(home)
    assert result.exit_code == (1 if report["advice"] else 0)
    assert not home.exists(), "looking changes nothing"


def test_people_get_the_same_sections():
    text = lake("doctor").stdout
    assert [name for name in SECTIONS - {"advice"} if f"\n{name}\n" not in text] == []


@pytest.mark.parametrize("flags", [(), ("--json",)])
def test_no_secret_is_told(
    running: StackState, home: Path, planted: list[str], flags: tuple[str, ...]
):
    log = home / "api.log"
    log.write_text(LOG + f"ERROR the key was {KEY}, the store said it's secret\n")
    (home / "s3").mkdir()
    (home / "s3" / "writer.secret").write_text("f1le-s3cret\n")
    log.write_text(log.read_text() + "ERROR refused f1le-s3cret\n")
    owner = "postgresql://lake_owner:0wnerPw@127.0.0.1/platform"
    write_state(home, replace(running, owner_database_url=owner))
    log.write_text(log.read_text() + "ERROR password 0wnerPw is wrong\n")
    output = lake("doctor", *flags).output
    seen = [
        text
        for text in (*planted, *IN_LOG, KEY, "it's secret", "f1le-s3cret", "0wnerPw")
        if text in output
    ]
    assert seen == []
    assert "proxy.corp" in output
    assert "connecting to postgresql://<hidden>@db.corp" in output
    assert "LAKE_DATABASE_URL" in output


def test_a_setting_that_cant_be_read_is_named(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("LAKE_QUERY_WORKERS", "many-s3crets")
    result = lake("doctor", "--json")
    assert result.exit_code == 1
    (advice,) = [one for one in json.loads(result.stdout)["advice"] if "LAKE_" in one["problem"]]
    assert advice["problem"] == "the value of LAKE_QUERY_WORKERS can't be used"
    assert "many-s3crets" not in result.output


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b'{"pid": "x"}', b"[]"])
def test_a_broken_state_is_told_and_hides_nothing_else(
    running: StackState, home: Path, content: bytes
):
    assert running.pid
    (home / "stack.json").write_bytes(content)
    result = lake("doctor", "--json")
    assert result.exit_code == 1
    report = json.loads(result.stdout)
    assert [one for one in report["advice"] if "is broken" in one["problem"]]
    assert not [name for name in SECTIONS - {"advice"} if "could not be read" in report[name]]


def test_a_state_that_may_not_be_read_is_told(home: Path, monkeypatch: pytest.MonkeyPatch):
    def refuse(_path: Path) -> bytes:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_bytes", refuse)
    report = json.loads(lake("doctor", "--json").stdout)
    (advice,) = [one for one in report["advice"] if str(home) in one["problem"]]
    assert "LAKE_STATE_DIR" in advice["do"]


def test_a_state_directory_that_is_a_file(home: Path):
    home.write_text("no folder")
    result = lake("doctor", "--json")
    assert result.exit_code == 1
    assert set(json.loads(result.stdout)) == SECTIONS


def test_a_part_that_died_is_told_with_its_last_words(running: StackState, home: Path):
    log = home / "dagster-daemon.log"
    log.write_text("fine\n" * 10 + "Traceback (most recent call last):\nValueError: no such day\n")
    gone = PartState(name="dagster-daemon", state="failed", pid=None, log=str(log))
    write_state(home, replace(running, parts=(gone,)))
    result = lake("doctor", "--json")
    assert result.exit_code == 1
    report = json.loads(result.stdout)
    assert report["last errors"]["dagster-daemon"][-1] == "ValueError: no such day"
    assert {"problem": "the part dagster-daemon does not run",
            "do": "`lake logs dagster-daemon` says why; `lake up` tries again at once."} in (
        report["advice"]
    )  # fmt: skip


def test_a_section_that_fails_leaves_the_others(monkeypatch: pytest.MonkeyPatch):
    def broken(*_: Any) -> dict[str, Any]:
        raise RuntimeError("s3cret-of-a-library")

    monkeypatch.setitem(doctor._SECTIONS, "limits", broken)
    result = lake("doctor", "--json")
    report = json.loads(result.stdout)
    assert report["limits"] == {"could not be read": "RuntimeError"}
    assert report["versions"]["python"]


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("http://proxy:3128", "http://proxy:3128"),
        ("http://u:p@proxy:3128", "http://proxy:3128"),
        ("u:p@proxy:3128", "proxy:3128"),
        ("proxy:3128", "proxy:3128"),
        ("http://u:12/34@proxy", "set, and not readable as a URL"),
        ("http://u:12#34@proxy", "set, and not readable as a URL"),
        ("http://u:pa/ss@proxy", "set, and not readable as a URL"),
        ("http://[half", "set, and not readable as a URL"),
        ("http://proxy:3128/path?key=x", "http://proxy:3128"),
    ],
)
def test_of_a_url_only_the_place_is_shown(url: str, shown: str):
    assert address_of(url) == shown


@pytest.mark.parametrize(
    "name",
    ["MINIO_SECRET_KEY", "LAKE_TOKEN", "FRED_API_KEY", "PGPASSWORD", "DB_PASSWD", "MY_CREDENTIALS",
     "SENTRY_DSN", "GITHUB_TOKEN", "SIGNING_KEY", "AUTH", "BASIC_AUTH"],
)  # fmt: skip
def test_secrets_are_known_by_their_names(name: str):
    assert is_secret_name(name)


@pytest.mark.parametrize("name", ["PWD", "PATH", "LAKE_LOG_SQL", "KEYBOARD", "LAKE_CACHE_DIR"])
def test_other_settings_are_no_secrets(name: str):
    assert not is_secret_name(name)


def test_a_secret_is_hidden_however_it_is_spelled():
    scrubber = Scrubber(secrets_of({"A_URL": "postgresql://u:p%40ss/w@h/d", "B_KEY": "a b&c"}))
    for text in ("p@ss/w", "p%40ss/w", "p%40ss%2Fw", "a b&c", "a%20b%26c"):
        assert text not in scrubber.text(f"it said {text}.")
    assert scrubber.text("nothing to hide: 12 rows") == "nothing to hide: 12 rows"


def test_the_environment_is_left_as_it_was():
    before = dict(os.environ)
    mask = os.umask(0o077)
    try:
        assert lake("doctor").exit_code in {0, 1}
        assert os.umask(0o077) == 0o077
    finally:
        os.umask(mask)
    assert dict(os.environ) == before


def test_a_misspelt_setting_is_told_with_the_nearest_name(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("LAKE_READER_ACESS_KEY", "s3cret-reader")
    result = lake("doctor", "--json")
    assert result.exit_code == 1
    advice = [one["problem"] for one in json.loads(result.stdout)["advice"]]
    assert [one for one in advice if "did you mean LAKE_READER_ACCESS_KEY?" in one]
    assert "s3cret-reader" not in result.output


def test_a_database_that_is_no_postgres_is_told(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PLATFORM_DATABASE_URL", "mysql://svc:hush@db.corp/p")
    result = lake("doctor", "--json")
    advice = [one["problem"] for one in json.loads(result.stdout)["advice"]]
    assert "the value of PLATFORM_DATABASE_URL can't be used" in advice


def test_lines_of_a_harmless_level_are_no_errors(running: StackState, home: Path):
    log = home / "dagster-daemon.log"
    log.write_text(
        "\x1b[32m2026-12-01\x1b[0m - dagster.daemon.SensorDaemon - \x1b[34mINFO\x1b[0m - "
        "Checking for new runs for sensor: failed_datasets\n"
        '{"level": "info", "logger": "uvicorn.error", "message": "Application startup complete."}\n'
        "\x1b[32m2026-12-01\x1b[0m - dagster.daemon - \x1b[31mERROR\x1b[0m - no code server\n"
    )
    part = PartState(name="dagster-daemon", state="running", pid=os.getpid(), log=str(log))
    write_state(home, replace(running, parts=(part,)))
    report = json.loads(lake("doctor", "--json").stdout)
    assert report["last errors"] == {
        "dagster-daemon": ["2026-12-01 - dagster.daemon - ERROR - no code server"]
    }


@pytest.mark.parametrize(
    ("file", "shown"),
    [("max\n", "none"), ("9223372036854771712\n", "none"), ("2147483648\n", "2,147,483,648")],
)
def test_no_memory_limit_is_told_as_none(file: str, shown: str, monkeypatch: pytest.MonkeyPatch):
    read_text = Path.read_text

    def instead(path: Path, **options: Any) -> str:
        return file if str(path).startswith("/sys/fs/cgroup") else read_text(path, **options)

    monkeypatch.setattr(Path, "read_text", instead)
    report = json.loads(lake("doctor", "--json").stdout)
    assert report["limits"]["memory limit of the container"] == shown


@pytest.mark.parametrize(
    "url",
    ["mysql://svc:hush@db.corp/p", "db.corp/p", "postgresql://", "host=db.corp password=hush"],
)
def test_up_refuses_a_database_that_is_no_postgres(
    url: str, home: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("PLATFORM_DATABASE_URL", url)
    result = lake("up")
    assert result.exit_code == 2
    assert "PLATFORM_DATABASE_URL: must be the URL of a Postgres database" in result.output
    assert "hush" not in result.output
    assert not home.exists(), "nothing was started"
