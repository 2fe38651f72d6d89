"""Commands on a machine that is too busy to answer in time: nothing is launched twice."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from lake_api.cli import demo
from lake_api.cli.dagster_http import DagsterHttp
from lake_api.cli.demo_runs import Work, write_all
from lake_api.cli.failure import CommandFailed
from lake_api.cli.patience import NoAnswer, Patience
from lake_api.stack.errors import StackError
from lake_api.stack.supervisor import Supervisor
from lake_api.tasks.schemas import STATUS_EXAMPLE, TRIGGERED_EXAMPLE
from lake_assets.catalog import load_catalog
from lake_assets.models.forecast_rows import RULES
from tests.cli.conftest import Service, lake

RUN_ID = "a1b2c3d4-5e6f-4a7b-8c9d-0e1f2a3b4c5d"
Answer = Callable[[dict[str, Any]], dict[str, Any]]


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lake_api.cli.dagster_http._PAUSE_S", 0.01)
    monkeypatch.setattr("lake_api.cli.patience._PAUSE_S", 0.01)


class Dagster:
    """Answers each operation with what it is told; an exception of httpx is raised instead."""

    def __init__(self, **answers: list[Any]) -> None:
        self.answers = answers
        self.asked: list[tuple[str, dict[str, Any]]] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        body = json.loads(request.content)
        operation = body["query"].split("(")[0].split()[1]
        self.asked.append((operation, body["variables"]))
        answers = self.answers[operation]
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        if isinstance(answer, Exception):
            raise answer
        return httpx.Response(200, json={"data": answer})

    def count(self, operation: str) -> int:
        return sum(name == operation for name, _ in self.asked)

    def client(self, *, patience_s: float = 30.0) -> DagsterHttp:
        transport = httpx.MockTransport(self)
        return DagsterHttp("http://d", hint="wait", patience_s=patience_s, transport=transport)


LATE = httpx.ReadTimeout("late")
REFUSED = httpx.ConnectError("refused")
LAUNCHED = {"launchRun": {"__typename": "LaunchRunSuccess", "run": {"runId": RUN_ID}}}
FOUND = {"runsOrError": {"__typename": "Runs", "results": [{"runId": RUN_ID}]}}
NOT_YET = {"runsOrError": {"__typename": "Runs", "results": []}}


def test_a_launch_whose_answer_is_late_is_looked_for():
    dagster = Dagster(LaunchRun=[LATE], FindRun=[LATE, NOT_YET, FOUND])
    assert dagster.client().launch_run({"jobName": "x"}, {"a": "b"}) == RUN_ID
    (_, launch), *searches = dagster.asked
    tags = launch["params"]["executionMetadata"]["tags"]
    assert tags[0] == {"key": "a", "value": "b"}
    assert [name for name, _ in searches] == ["FindRun"] * 3
    assert all(variables == {"tags": tags[1:]} for _, variables in searches)


def test_a_launch_that_was_never_sent_is_sent_again():
    dagster = Dagster(LaunchRun=[REFUSED, REFUSED, LAUNCHED])
    assert dagster.client().launch_run({"jobName": "x"}, {}) == RUN_ID
    assert dagster.count("LaunchRun") == 3


def test_a_backfill_whose_answer_is_late_is_looked_for():
    found: dict[str, Any] = {"partitionBackfillsOrError": {"results": []}}
    dagster = Dagster(LaunchBackfill=[LATE], FindBackfill=[found])
    client = dagster.client(patience_s=0.05)
    with pytest.raises(CommandFailed, match="has not answered") as failure:
        client.launch_backfill(("a",), ["2026-11-21"], {})
    assert failure.value.hint == "wait"
    launch_tag = dagster.asked[0][1]["params"]["tags"][-1]
    found["partitionBackfillsOrError"]["results"] = [{"id": "qwertyui", "tags": [launch_tag]}]
    assert dagster.count("LaunchBackfill") == 1


def test_a_question_is_repeated_until_it_is_answered():
    dagster = Dagster(Q=[LATE, REFUSED, {"x": 1}])
    assert dagster.client().ask("query Q(", {}) == {"x": 1}


def test_dagsters_refusal_is_told_at_once():
    refusal = {"launchRun": {"__typename": "PythonError", "message": "boom"}}
    dagster = Dagster(LaunchRun=[refusal])
    with pytest.raises(CommandFailed, match="refused the launch: boom"):
        dagster.client().launch_run({"jobName": "x"}, {})
    assert dagster.count("LaunchRun") == 1


def test_many_datasets_are_several_launches_of_few():
    datasets = list(load_catalog())[:40]
    work = Work(job="platform_events", datasets=datasets, tags={}, days=3)
    steps = work.steps()
    assert sorted(one.partition for step in steps for one in step.datasets) == sorted(
        one.partition for one in datasets
    )
    sizes = [len(step.datasets) for step in steps]
    assert max(sizes) <= 16
    assert max(sizes) - min(sizes) <= 1
    assert sum(step.partitions for step in steps) == work.partitions == 120


def test_runs_are_followed_through_silence_and_counted():
    done = {"runOrError": {"status": "SUCCESS", "stats": {"materializations": 3}}}
    under_way = {"runOrError": {"status": "STARTED", "stats": None}}
    dagster = Dagster(LaunchRun=[LAUNCHED], RunProgress=[under_way, LATE, done])
    work = Work(job="j", datasets=list(load_catalog())[:3], tags={})
    lines: list[tuple[str, int, int]] = []

    def line(text: str, *, done: int, total: int) -> None:
        lines.append((text.strip(), done, total))

    runs = write_all(
        dagster.client(), [work], line=line, failed=lambda _: CommandFailed("", hint="")
    )
    assert runs == 1
    assert lines[0] == ("runs launched", 0, 1)
    assert lines[-1] == ("partitions written", 3, 3)


@pytest.mark.usefixtures("running")
def test_a_wait_outlives_a_service_that_is_busy_for_a_moment(service: Service):
    busy = {"status": 503, "code": "dagster_unavailable", "title": "t", "detail": "d"}
    service.say({**TRIGGERED_EXAMPLE, "task": "lake.export_agent_run_log"})
    service.say({**busy, "retry": True}, status=503)
    service.say({**busy, "retry": True}, status=503)
    service.say({**STATUS_EXAMPLE, "status": "succeeded"})
    result = lake("trigger", "lake.export_agent_run_log")
    assert result.exit_code == 0, result.stderr
    methods = [method for method, *_ in service.requests]
    assert methods == ["POST", "GET", "GET", "GET"]


def test_patience_has_an_end_and_none_for_refusals():
    patience = Patience(silence_s=-1.0)
    with pytest.raises(NoAnswer):
        patience.wait_after(NoAnswer("silent", hint=""))
    with pytest.raises(CommandFailed, match="refused"):
        Patience().wait_after(CommandFailed("refused", hint=""))


@pytest.fixture
def temp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return tmp_path


def test_the_logs_of_a_demo_that_failed_stay(temp: Path, monkeypatch: pytest.MonkeyPatch):
    def start(self: Supervisor) -> None:
        home = self._home
        run = home / "dagster" / "storage" / "0123456789abcdef" / "compute_logs"
        run.mkdir(parents=True)
        (run / "step.err").write_text("the reason")
        (run / "step.out").touch()
        (home / "postgres" / "data").mkdir(parents=True)
        (home / "postgres" / "postgres.log").write_text("database")
        (home / "postgres" / "data" / "rows.log").write_text("rows")
        (home / "logs").mkdir()
        (home / "logs" / "api.log").write_text("words")
        (home / "logs" / "api.log.1").write_text("earlier words")
        raise StackError("api ended while it started", hint="free its port", log="last words")

    monkeypatch.setattr(Supervisor, "start", start)
    result = lake("demo")
    assert result.exit_code == 1
    first, *_, last = result.stderr.splitlines()
    assert first == "lake: api ended while it started"
    assert "last words" in result.stderr
    assert last.startswith("  free its port")
    (kept,) = temp.iterdir()
    assert last.endswith(str(kept))
    assert kept.stat().st_mode & 0o077 == 0
    assert {log.name: log.read_text() for log in kept.iterdir()} == {
        "api.log": "words",
        "api.log.1": "earlier words",
        "postgres.log": "database",
        "run-01234567-step.err": "the reason",
    }


def test_a_fault_that_nobody_foresaw_keeps_the_logs_too(
    temp: Path, monkeypatch: pytest.MonkeyPatch
):
    def play(*_: object) -> None:
        raise ValueError("strange\nthings")

    monkeypatch.setattr(demo, "_play", play)
    result = lake("demo")
    assert result.exit_code == 1
    assert result.stderr.startswith("lake: ValueError: strange\n")
    assert [path.name.startswith("lake-demo-") for path in temp.iterdir()] == [True]
    assert str(next(temp.iterdir())) in result.stderr


def test_forecasts_of_the_demo_have_days_enough_for_a_choice():
    origins = RULES.origins(demo.FORECAST_DAYS)
    assert len(origins) == RULES.windows
    inputs = {one.partition for one in demo._forecast_inputs(load_catalog())}
    shown = load_catalog()["derived/predictions/token_cost_forecast"]
    assert set(shown.upstreams) <= inputs
