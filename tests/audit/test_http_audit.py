"""What is recorded of every call, and that nothing is answered where it can't be."""

import json
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx
import pytest

from lake_api.errors import QueryUnavailable
from tests.api.conftest import ADMIN, KEY, NOW, QUERY, TRIGGER, ScriptedEngine
from tests.usage.asking import OUTSIDE, SQL, TOKENS, Asker, bearer

RUN_ID = "a1b2c3d4-5e6f-4a7b-8c9d-0e1f2a3b4c5d"
RUNS = {"sql": "SELECT run_id FROM agent_run_log WHERE status = 'a-secret-of-theirs'"}


def rows_of(path: Path) -> list[dict[str, Any]]:
    with closing(sqlite3.connect(path)) as connection:
        connection.row_factory = sqlite3.Row
        found = connection.execute("SELECT * FROM audit ORDER BY id").fetchall()
    return [{**row, "datasets": json.loads(row["datasets"])} for row in map(dict, found)]


class Recorded:
    """A service of the test's own, and its table."""

    def __init__(self, url: str, path: Path, engine: ScriptedEngine) -> None:
        self.client = httpx.Client(base_url=url, trust_env=False)
        self.asker = Asker(self.client)
        self.engine = engine
        self.path = path

    def ask(self, body: dict[str, Any] = SQL, **headers: str) -> httpx.Response:
        return self.client.post(QUERY, json=body, headers=headers)

    @property
    def rows(self) -> list[dict[str, Any]]:
        return rows_of(self.path)

    @property
    def last(self) -> dict[str, Any]:
        return self.rows[-1]

    def break_table(self) -> None:
        """From now on no row can be inserted: what a full disk is, or a lost volume."""
        with closing(sqlite3.connect(self.path)) as connection:
            connection.execute(
                "CREATE TRIGGER broken BEFORE INSERT ON audit BEGIN SELECT RAISE(ABORT, 'no'); END"
            )
            connection.commit()

    def repair_table(self) -> None:
        with closing(sqlite3.connect(self.path)) as connection:
            connection.execute("DROP TRIGGER broken")
            connection.commit()


@pytest.fixture
def recorded(own_service: Any, tmp_path: Path) -> Iterator[Recorded]:
    engine = ScriptedEngine()
    with own_service(engine=engine) as url:
        found = Recorded(url, tmp_path / "service.db", engine)
        with found.client:
            # The socket listens before the service has started.
            assert found.client.get("/healthz").status_code == 200
            yield found


def test_a_query_leaves_who_what_when_and_what_it_cost(recorded: Recorded) -> None:
    answer = recorded.ask(RUNS, **{"X-Agent-ID": "aurora", "X-Cron-Run-ID": "run-7"})
    assert answer.status_code == 200
    [row] = recorded.rows
    assert row.pop("elapsed_ms") > 0
    assert row.pop("id")
    # The service's clock stands still; the row says when the call came, not when it was over.
    assert row.pop("asked_at")[:19] in {f"{NOW - timedelta(seconds=1):%Y-%m-%d %H:%M:%S}"}
    assert row == {
        "action": "query",
        "role": "agent",
        "caller": "aurora",
        "token_id": None,
        "swarm_id": None,
        "cron_run": "run-7",
        "subject": None,
        "call_id": answer.json()["query_id"],
        "sql_sha256": sha256(RUNS["sql"].encode()).hexdigest(),
        "sql_text": None,
        "datasets": ["agent_run_log"],
        "form": "json",
        "outcome": "ok",
        "code": None,
        "row_count": 5,
        "answer_bytes": len(answer.content),
        "read_bytes": 0,
    }


@pytest.mark.parametrize(
    ("body", "headers", "expected"),
    [
        (SQL, {"Accept": "text/csv"}, ("query", "csv", "ok", None)),
        (
            SQL,
            {"Accept": "application/vnd.apache.arrow.stream"},
            ("query", "arrow", "ok", None),
        ),
        ({**SQL, "dry_run": True}, {}, ("dry_run", "json", "ok", None)),
        (
            {"sql": "SELECT * FROM no_such_table"},
            {},
            ("query", "json", "rejected", "unknown_table"),
        ),
        ({"sql": "short"}, {}, ("query", "json", "invalid", "invalid_request")),
        (SQL, {"Accept": "text/html"}, ("query", "json", "invalid", "not_acceptable")),
        (
            SQL,
            {"Content-Type": "text/plain"},
            ("query", "json", "invalid", "unsupported_media_type"),
        ),
        (SQL, {"X-Internal-API-Key": "wrong"}, ("query", "json", "invalid", "invalid_api_key")),
        (
            SQL,
            {**OUTSIDE, "Authorization": "Bearer lake_agent_" + "A" * 43},
            ("query", "json", "invalid", "invalid_token"),
        ),
    ],
)
def test_every_form_and_every_refusal_leaves_a_row(
    recorded: Recorded, body: dict[str, Any], headers: dict[str, str], expected: tuple[str, ...]
) -> None:
    recorded.ask(body, **headers)
    [row] = recorded.rows
    assert (row["action"], row["form"], row["outcome"], row["code"]) == expected


def test_what_could_not_be_run_leaves_a_row(recorded: Recorded) -> None:
    recorded.engine.failure = QueryUnavailable("Not now.", code="storage_unavailable")
    assert recorded.ask().status_code == 200
    assert (recorded.last["outcome"], recorded.last["code"]) == (
        "unavailable",
        "storage_unavailable",
    )


def test_tokens_leave_rows_and_never_their_text(recorded: Recorded, problem: Any) -> None:
    swarm = recorded.asker.make(kind="swarm", name="org")
    agent = recorded.asker.make(by=swarm["token"], name="inner", operations=["jobs"])
    problem(recorded.asker.query(agent["token"]), 403, "operation_not_allowed")
    recorded.client.delete(f"{TOKENS}/{swarm['id']}", headers=ADMIN)
    nobody = recorded.client.delete(f"{TOKENS}/{swarm['id']}", headers=bearer(agent["token"]))
    assert nobody.status_code == 401
    rows = recorded.rows
    told = [(row["action"], row["outcome"], row["caller"], row["subject"]) for row in rows]
    assert told == [
        ("create_token", "begun", "admin", "swarm:org"),
        ("create_token", "ok", "admin", swarm["id"]),
        ("create_token", "begun", "org", "agent:inner"),
        ("create_token", "ok", "org", agent["id"]),
        ("query", "invalid", "inner", None),
        ("revoke_token", "begun", "admin", swarm["id"]),
        ("revoke_token", "ok", "admin", swarm["id"]),
        ("revoke_token", "refused", None, None),
    ]
    assert rows[0]["call_id"] == rows[1]["call_id"] != rows[2]["call_id"]
    assert (rows[4]["token_id"], rows[4]["swarm_id"]) == (agent["id"], swarm["id"])
    assert rows[-1]["code"] == "invalid_token"
    everything = json.dumps(rows)
    for secret in (swarm["token"], agent["token"], KEY):
        assert secret not in everything


def test_triggers_leave_rows(service: Any) -> None:
    path = Path(service.settings.database_url.removeprefix("sqlite:///"))
    run = {"__typename": "LaunchRunSuccess", "run": {"runId": RUN_ID}}
    service.dagster.say("LaunchRun", {"launchRun": run})
    assert service.client.get("/healthz").status_code == 200
    before = len(rows_of(path))
    answer = service.trigger("lake.export_agent_run_log", date="2026-11-20")
    assert answer.status_code == 200, answer.text
    assert service.trigger("lake.export_nothing").status_code == 400
    begun, over, last = rows_of(path)[before:]
    what = "lake.export_agent_run_log 2026-11-20..2026-11-20"
    assert (begun["action"], begun["outcome"], begun["subject"]) == ("trigger_task", "begun", what)
    assert (over["action"], over["call_id"]) == ("trigger_task", begun["call_id"])
    assert (over["outcome"], over["subject"]) == ("ok", f"{what} {RUN_ID}")
    assert (last["outcome"], last["code"], last["role"]) == ("refused", "unknown_task", "admin")


def test_commands_of_services_leave_rows(recorded: Recorded, problem: Any) -> None:
    path = "/api/v1/internal/lake/services/storage/commands/relist-snapshots/run"
    nothing = path.replace("relist-snapshots", "explode")
    problem(recorded.client.post(nothing, json={}, headers=ADMIN), 404, "unknown_command")
    problem(recorded.client.post(path, json={}), 401, "not_authenticated")
    recorded.break_table()
    problem(recorded.client.post(path, json={}, headers=ADMIN), 503, "audit_unavailable")
    recorded.repair_table()
    recorded.client.post(path, json={}, headers=ADMIN)
    told = [(row["action"], row["outcome"], row["subject"]) for row in recorded.rows]
    assert told[:3] == [
        ("run_command", "refused", None),
        ("run_command", "refused", None),
        ("run_command", "begun", "storage/relist-snapshots"),
    ]


def test_the_text_is_kept_where_it_is_logged(own_service: Any, tmp_path: Path) -> None:
    with own_service(LAKE_LOG_SQL="on") as url:
        found = Recorded(url, tmp_path / "service.db", ScriptedEngine())
        with found.client:
            found.ask(RUNS)
            found.ask({"sql": "SELECT '\0' FROM agent_run_log"})
    first, second = found.rows
    assert first["sql_text"] == RUNS["sql"]
    assert second["sql_text"] == "SELECT '\\0' FROM agent_run_log"


def test_refusals_over_and_over_do_not_fill_the_disk(recorded: Recorded) -> None:
    token = recorded.asker.make(limits={"requests_per_hour": 1})["token"]
    for _ in range(70):
        recorded.asker.query(token)
        recorded.client.post(QUERY, json=SQL, headers=OUTSIDE)
    rows = recorded.rows
    limited = [row for row in rows if row["code"] == "rate_limited"]
    unknown = [row for row in rows if row["code"] == "not_authenticated"]
    # A minute may have ended in between.
    assert 60 <= len(limited) < 69
    assert 60 <= len(unknown) < 70


# ---- fail closed


def test_no_answer_without_a_row_and_answers_again_with_one(
    recorded: Recorded, problem: Any
) -> None:
    token = recorded.asker.make(limits={"rows_per_day": 1_000})["token"]
    assert recorded.asker.query(token).status_code == 200
    recorded.break_table()
    for body, headers in (
        (SQL, {}),
        (SQL, {"Accept": "text/csv"}),
        ({**SQL, "dry_run": True}, {}),
        ({"sql": "SELECT * FROM no_such_table"}, {}),
    ):
        withheld = recorded.ask(body, **headers)
        told = problem(withheld, 503, "audit_unavailable")
        assert told["retry"] is True
        assert "agent-0" not in withheld.text
        assert "no_such_table" not in withheld.text
        assert withheld.headers["Retry-After"] == "5"
    problem(recorded.asker.query(token), 503, "audit_unavailable")
    recorded.repair_table()
    assert recorded.ask().status_code == 200
    # What was not answered is not counted either, once the sums are read again.
    with closing(sqlite3.connect(recorded.path)) as connection:
        assert connection.execute("SELECT sum(rows) FROM usage_days").fetchone() == (5,)


def test_a_database_that_breaks_while_the_query_runs(
    own_service: Any, tmp_path: Path, problem: Any
) -> None:
    class Breaking(ScriptedEngine):
        async def run(self, *args: Any, **options: Any) -> Any:
            result = await super().run(*args, **options)
            found.break_table()
            return result

    engine = Breaking()
    with own_service(engine=engine) as url:
        found = Recorded(url, tmp_path / "service.db", engine)
        with found.client:
            problem(found.ask(), 503, "audit_unavailable")
    assert engine.limits == [100]
    assert found.rows == []


def test_nothing_is_changed_that_can_not_be_recorded(recorded: Recorded, problem: Any) -> None:
    made = recorded.asker.make()
    recorded.break_table()
    body = {"kind": "agent", "name": "late"}
    refused = recorded.client.post(TOKENS, json=body, headers=ADMIN)
    problem(refused, 503, "audit_unavailable")
    problem(
        recorded.client.delete(f"{TOKENS}/{made['id']}", headers=ADMIN), 503, "audit_unavailable"
    )
    task = {"task": "lake.export_agent_run_log", "kwargs": {"date": "2026-11-20"}}
    # Dagster is not there: had it been asked, this would be another error.
    problem(recorded.client.post(TRIGGER, json=task, headers=ADMIN), 503, "audit_unavailable")
    recorded.repair_table()
    tokens = recorded.client.get(TOKENS, headers=ADMIN).json()["tokens"]
    assert [(one["name"], one["state"]) for one in tokens] == [("aurora", "live")]


def test_a_log_line_tells_that_the_answer_was_withheld(
    recorded: Recorded, caplog: pytest.LogCaptureFixture
) -> None:
    recorded.break_table()
    with caplog.at_level("INFO", logger="lake_api.query"):
        recorded.ask()
    [line] = [vars(one) for one in caplog.records if one.name == "lake_api.query"]
    assert (line["outcome"], line["code"]) == ("error", "audit_unavailable")


# ---- append-only


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM audit",
        "UPDATE audit SET caller = 'nobody'",
        "REPLACE INTO audit SELECT * FROM audit",
        "INSERT INTO audit SELECT * FROM audit WHERE true ON CONFLICT DO UPDATE SET code = 'x'",
    ],
)
def test_rows_can_not_be_changed(recorded: Recorded, statement: str) -> None:
    recorded.ask()
    before = recorded.rows
    with closing(sqlite3.connect(recorded.path)) as connection:
        with pytest.raises(sqlite3.IntegrityError, match="append-only"):
            connection.execute(statement)
        connection.rollback()
    assert recorded.rows == before


# ---- many at once


def test_rows_of_calls_at_the_same_time(recorded: Recorded) -> None:
    def ask(number: int) -> None:
        with httpx.Client(base_url=recorded.client.base_url, trust_env=False) as client:
            for _ in range(10):
                client.post(QUERY, json=SQL, headers={"X-Agent-ID": f"agent-{number}"})

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(8)]
    for one in threads:
        one.start()
    for one in threads:
        one.join(timeout=30)
    rows = recorded.rows
    assert len(rows) == len({row["call_id"] for row in rows}) == 80
    assert {row["caller"] for row in rows} == {f"agent-{number}" for number in range(8)}
