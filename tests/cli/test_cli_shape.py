"""The command as a whole: its help, its weight, its signals; the Makefile and the demo's facts."""

import os
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from dagster_graphql.schema import create_schema
from graphql import parse, validate

from lake_api.cli.commands import main
from lake_api.cli.demo import QUESTIONS, own_environment
from lake_api.cli.demo_runs import RUN_PROGRESS
from lake_api.cli.failure import CommandFailed
from lake_api.cli.progress import live_line
from lake_api.cli.signals import ignoring, interrupting, setting
from lake_api.cli.tables import is_numeric, print_rows, stdout
from lake_api.query.guard import Guard
from lake_api.stack.errors import StackError
from lake_api.stack.state import lock
from lake_assets.catalog import load_catalog
from tests.cli.conftest import lake


@pytest.mark.parametrize("name", sorted(main.commands))
def test_every_command_explains_itself(name: str):
    command = main.commands[name]
    assert command.get_short_help_str(80).endswith(".")
    assert "..." not in command.get_short_help_str(45), "too long for the list"
    options = [one for one in command.params if isinstance(one, click.Option)]
    assert not [one.name for one in options if not one.help and not one.secondary_opts]
    assert lake(name, "--help").exit_code == 0


def test_help_waits_for_nothing_heavy():
    code = "import lake_api.cli, sys; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
    heavy = {b"httpx", b"rich", b"msgspec", b"psycopg", b"psutil", b"numpy", b"lake_assets"}
    assert not set(loaded.stdout.split()) & heavy


def test_an_error_of_the_stack_is_told_like_any_other(monkeypatch: pytest.MonkeyPatch):
    def fail(_name: str) -> None:
        raise StackError("s3 did not start", hint="free the port", log="last words")

    monkeypatch.setitem(main.commands, "fail", click.Command("fail", callback=lambda: fail("")))
    result = lake("fail")
    assert result.exit_code == 1
    assert result.stderr.splitlines() == ["lake: s3 did not start", "last words", "  free the port"]


def test_what_went_wrong_is_red_where_colour_is_wanted():
    @click.command()
    def fail() -> None:
        raise CommandFailed("what", hint="what to do")

    result = CliRunner().invoke(fail, color=True)
    assert result.stderr == "\x1b[31mlake: what\x1b[0m\n  what to do\n"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_being_told_to_stop(number: signal.Signals):
    before = signal.getsignal(number)
    with interrupting():
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(number)
        stopping = threading.Event()
        with setting(stopping):
            signal.raise_signal(number)
            assert stopping.is_set()
        with ignoring():
            signal.raise_signal(number)
    assert signal.getsignal(number) is before


def test_a_narrow_terminal_gets_the_columns_that_fit(capsys: pytest.CaptureFixture[str]):
    console = stdout()
    console.width = 20
    print_rows(console, ["one", "two", "three"], [["x" * 9, 1, 2]], column_types=["", "BIGINT"])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["one", "two"]
    assert lines[-1].startswith("1 more columns don't fit here (three)")
    assert max(len(line) for line in lines[:-1]) <= 20


@pytest.mark.parametrize("numeric", ["BIGINT", "UTINYINT", "HUGEINT", "DOUBLE", "DECIMAL(18,6)"])
def test_numbers_are_known_by_their_type(numeric: str):
    assert is_numeric(numeric)
    assert not is_numeric(f"{numeric}[]")


def test_progress_away_from_a_terminal_is_sparse(capsys: pytest.CaptureFixture[str]):
    with live_line(stdout()) as line:
        for done in range(100):
            line("working", done=done, total=100)
        line("done", done=100, total=100)
    assert capsys.readouterr().out == "working (0 of 100)\ndone (100 of 100)\n"


def test_the_demo_asks_what_the_service_lets_pass():
    guard = Guard(load_catalog())
    asked = [guard.check(question.sql) for question in QUESTIONS]
    assert [[dataset.sql_name for dataset in one.datasets] for one in asked] == [
        ["agent_run_log"],
        ["platform_llm_token_usage"],
        ["external_scc_edd_labor"],
        ["agent_run_log", "platform_llm_token_usage"],
        ["derived_predictions_token_cost_forecast"],
    ]


def test_the_demo_leads_to_nobody_elses_servers(tmp_path: Path):
    env = {"PATH": "/bin", "MINIO_URL": "x", "PLATFORM_DATABASE_URL": "x", "LAKE_BUCKET": "x"}
    # Parts refuse to start with these.
    env |= {"lake_schedules": "perhaps", "EDD_CES_RESOURCES": "x", "SEC_REQUESTS_PER_S": "many"}
    own = own_environment(env, tmp_path)
    assert own == {"PATH": "/bin", "TMPDIR": str(tmp_path / "tmp")}
    assert Path(own["TMPDIR"]).is_dir()


def test_the_demos_graphql_is_dagsters():
    assert validate(create_schema().graphql_schema, parse(RUN_PROGRESS)) == []


def make(root: Path, *arguments: str) -> str:
    env = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    done = subprocess.run(
        ["make", *arguments], cwd=root, env=env, capture_output=True, text=True, check=True
    )
    return done.stdout


def test_make_helps_with_every_target(project_root: Path):
    makefile = (project_root / "Makefile").read_text()
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    assert {"help", "demo", "up", "down", "test", "lint", "bench", "docs", "lock"} <= targets
    listed = re.findall(r"^make ([a-z-]+) +\S", make(project_root), re.MULTILINE)
    assert set(listed) == targets
    assert len(listed) == len(targets)


def test_ci_runs_what_people_run(project_root: Path):
    script = project_root / ".ci/run"
    assert os.access(script, os.X_OK)
    text = script.read_text()
    assert text.index("make lint") < text.index("make test")
    assert "set -euo pipefail" in text


def test_a_fault_that_nobody_foresaw_has_a_line_that_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch,
):
    def fail() -> None:
        raise KeyError("gone")

    monkeypatch.setitem(main.commands, "fail", click.Command("fail", callback=fail))
    result = lake("fail")
    assert result.exit_code == 1
    first, *middle, last = result.stderr.splitlines()
    assert first == "lake: KeyError: 'gone'"
    assert "Traceback (most recent call last):" in middle
    assert "`lake doctor`" in last


@pytest.mark.parametrize("command", [("status",), ("down",), ("up",), ("logs", "api")])
def test_a_broken_state_is_told_by_every_command(home: Path, command: tuple[str, ...]):
    with lock(home):
        (home / "stack.json").write_text("{")
        result = lake(*command)
    assert result.exit_code == 1
    assert "is broken" in result.stderr.splitlines()[0]
    assert "Remove it" in result.stderr.splitlines()[-1]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("LAKE_READER_ACESS_KEY", "x"),
        ("LAKE_SCHEDULES", "perhaps"),
        ("LAKE_LATE_ROWS_DAYS", "1e3"),
        ("LAKE_PLATFORM_LOCK_TIMEOUT_S", "1e300"),
        ("PLATFORM_DATABASE_URL", "mysql://host/db"),
        ("MINIO_SECRUE", "true"),
    ],
)
@pytest.mark.usefixtures("home")
def test_a_setting_that_cant_be_used_ends_lake_up_as_a_wrong_option_does(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
):
    monkeypatch.setenv(name, value)
    result = lake("up")
    assert result.exit_code == 2
    assert name in result.stderr.splitlines()[0]
