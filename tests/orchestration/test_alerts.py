"""Messages about datasets that failed or went stale: one each, kept until they are delivered."""

import json
import logging
import time
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import dagster as dg
import pytest
from dagster._core.events import DagsterEvent

from lake_assets.catalog import data_key
from lake_assets.orchestration.alerts import (
    SLACK,
    WEBHOOK,
    Alert,
    Memory,
    as_cursor,
    remembered,
    tell,
    without_secrets,
)
from lake_assets.orchestration.build import build_defs
from lake_assets.orchestration.history import prune
from lake_assets.orchestration.sensors import FAILED_SENSOR, STALE_SENSOR
from tests.conftest import settings_of
from tests.orchestration.test_exports import insert_plays, utc

NOW = datetime(2026, 11, 23, 5, tzinfo=UTC)
ALERT = Alert(event="dataset_failed", dataset="plays", reason="no table", at=NOW, task="lake.x")


class Receiver:
    """A webhook that keeps what it took; `status` is how it answers."""

    def __init__(self) -> None:
        self.bodies: list[dict] = []
        self.status = 200
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                if receiver.status == 200:
                    receiver.bodies.append(body)
                self.send_response(receiver.status)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Nothing on the terminal."""

        self._server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/hook-with-a-secret"
        self._thread = Thread(target=self._server.serve_forever)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    yield receiver
    receiver.close()


def test_a_message_is_logged_and_goes_to_each_receiver(receiver, caplog):
    memory = Memory()
    with caplog.at_level(logging.WARNING, logger="lake.alerts"):
        tell([ALERT], memory, env={WEBHOOK: receiver.url, SLACK: receiver.url}, now=NOW)
    (line,) = [json.loads(record.message) for record in caplog.records]
    assert (line["event"], line["dataset"], line["reason"]) == (
        "dataset_failed", "plays", "no table",
    )  # fmt: skip
    assert receiver.bodies == [
        line,
        {"text": "plays could not be written: no table\nAgain by hand: lake trigger lake.x"},
    ]
    assert not memory.undelivered


def test_what_was_not_taken_is_tried_again_further_and_further_apart(receiver, caplog):
    env, memory = {WEBHOOK: receiver.url}, Memory()
    receiver.status = 503
    tries = []
    for second in range(0, 300, 10):
        before = memory.undelivered[0].attempts if memory.undelivered else 0
        alerts = [ALERT] if second == 0 else []
        tell(alerts, memory, env=env, now=NOW + timedelta(seconds=second))
        memory = remembered(as_cursor(memory))
        if memory.undelivered[0].attempts > before:
            tries.append(second)
    assert tries == [0, 30, 90, 210]
    receiver.status = 200
    tell([], memory, env=env, now=NOW + timedelta(hours=2))
    assert [body["dataset"] for body in receiver.bodies] == ["plays"]
    assert not memory.undelivered
    assert receiver.url not in caplog.text
    assert "hook-with-a-secret" not in caplog.text


def test_a_message_that_nobody_takes_is_given_up_after_a_day(receiver, caplog):
    env, memory = {WEBHOOK: receiver.url}, Memory()
    receiver.status = 404
    tell([ALERT], memory, env=env, now=NOW)
    tell([], memory, env=env, now=NOW + timedelta(hours=25))
    assert not memory.undelivered
    assert "alert_given_up" in caplog.text


def test_secrets_are_masked():
    env = {"FRED_API_KEY": "0123456789abcdef", "PLATFORM_DATABASE_URL": "postgresql://u:p@h/d"}
    said = "GET https://x/?key=0123456789abcdef and postgresql://me:mine@host/db\nmore"
    assert without_secrets(said, env) == "GET https://x/?key=*** and postgresql://***@host/db"


def evaluate(music, name: str, cursor: str | None) -> tuple[list[dict], str | None]:
    """The messages of one tick, and the cursor after it."""
    messages: list[dict] = []
    handler = logging.Handler()
    handler.emit = lambda record: messages.append(json.loads(record.getMessage()))
    log = logging.getLogger("lake.alerts")
    log.addHandler(handler)
    try:
        with dg.build_sensor_context(
            instance=music.instance, cursor=cursor, definitions=music.defs
        ) as context:
            result = music.defs.resolve_sensor_def(name).evaluate_tick(context)
    finally:
        log.removeHandler(handler)
    return messages, result.cursor


def test_a_dataset_that_fails_is_told_once_until_it_is_well(music):
    messages, cursor = evaluate(music, FAILED_SENSOR, None)
    assert messages == []

    insert_plays(music, (1, utc(21)))
    music.sql(f"ALTER TABLE {music.schema}.plays RENAME TO gone")
    for day in ("2026-11-20", "2026-11-21"):
        assert not music.materialize("music/plays", day).success
    messages, cursor = evaluate(music, FAILED_SENSOR, cursor)
    (message,) = messages
    assert message["dataset"] == "music/plays"
    assert message["event"] == "dataset_failed"
    assert "the platform database has no table" in message["reason"]
    assert evaluate(music, FAILED_SENSOR, cursor)[0] == []

    music.sql(f"ALTER TABLE {music.schema}.gone RENAME TO plays")
    assert music.materialize("music/plays", "2026-11-21").success
    messages, cursor = evaluate(music, FAILED_SENSOR, cursor)
    assert messages == []

    insert_plays(music, (1, utc(21)))
    assert music.materialize("music/plays", "2026-11-21").success
    messages, cursor = evaluate(music, FAILED_SENSOR, cursor)
    (message,) = messages
    assert (message["event"], message["reason"]) == (
        "check_failed", "unique_key: 2026-11-21: 1 rows repeat a key",
    )  # fmt: skip


def test_pruning_repeats_no_alarm_and_loses_none(music, tmp_path):
    """The storage forgets between two ticks, also of a failure that no tick has seen yet."""
    home = tmp_path / "dagster"
    home.mkdir()
    quiet = {"telemetry": {"enabled": False}}
    with dg.DagsterInstance.local_temp(str(home), overrides=quiet) as instance:
        music.instance = instance
        _, cursor = evaluate(music, FAILED_SENSOR, None)
        insert_plays(music, (1, utc(21)))
        music.sql(f"ALTER TABLE {music.schema}.plays RENAME TO gone")
        assert not music.materialize("music/plays", "2026-11-21").success
        assert prune(instance, before=datetime.now(tz=UTC) + timedelta(days=1)).runs == 1

        (message,), cursor = evaluate(music, FAILED_SENSOR, cursor)
        assert "the platform database has no table" in message["reason"]
        prune(instance, before=datetime.now(tz=UTC) + timedelta(days=1))
        assert evaluate(music, FAILED_SENSOR, cursor)[0] == []

        music.sql(f"ALTER TABLE {music.schema}.gone RENAME TO plays")
        assert music.materialize("music/plays", "2026-11-21").success
        messages, cursor = evaluate(music, FAILED_SENSOR, cursor)
        assert messages == []
        prune(instance, before=datetime.now(tz=UTC) + timedelta(days=1))
        music.sql(f"ALTER TABLE {music.schema}.plays RENAME TO gone")
        assert not music.materialize("music/plays", "2026-11-21").success
        assert len(evaluate(music, FAILED_SENSOR, cursor)[0]) == 1


@pytest.mark.parametrize("limit_s", [0, 3600], ids=["took too long", "was terminated"])
def test_a_run_that_took_too_long_is_told_and_one_that_somebody_ended_is_not(music, limit_s):
    _, cursor = evaluate(music, FAILED_SENSOR, None)
    job = music.defs.resolve_implicit_global_asset_job_def()
    run = music.instance.create_run_for_job(
        job.get_subset(asset_selection={dg.AssetKey(["music", "plays"])}),
        tags={"dagster/partition": "2026-11-21", "dagster/max_runtime": str(limit_s or 1)},
    )
    music.instance.report_run_canceling(run)
    for event_type, message in (
        (dg.DagsterEventType.RUN_START, "began"),
        (dg.DagsterEventType.RUN_CANCELED, "ended"),
    ):
        event = DagsterEvent(event_type.value, job_name=run.job_name, message=message)
        moment = time.time() + (0 if message == "began" else 2)
        music.instance.report_dagster_event(event, run.run_id, timestamp=moment)

    told, _ = evaluate(music, FAILED_SENSOR, cursor)

    expected = [] if limit_s else [("music/plays", "the run took longer than 1 s and was ended")]
    assert [(one["dataset"], one["reason"]) for one in told] == expected


def test_a_stale_dataset_is_told_once_until_its_newest_day_is_there(music):
    def at(moment: datetime) -> None:
        music.defs = build_defs(catalog=music.catalog, env=env, clock=lambda: moment)

    env = settings_of(music.store.location) | {"PLATFORM_DATABASE_URL": music.url}
    plays = music.catalog["music/plays"]
    assert evaluate(music, STALE_SENSOR, None)[0] == [], "nothing was ever written"
    music.store.put_whole(data_key(plays, date(2026, 11, 21)), b"rows")
    at(utc(23, 12))
    messages, cursor = evaluate(music, STALE_SENSOR, None)
    assert messages == []

    at(utc(23, 13))
    messages, cursor = evaluate(music, STALE_SENSOR, cursor)
    assert [(message["dataset"], message["reason"]) for message in messages] == [
        (
            "music/plays",
            "its newest day is 2026-11-21, and 2026-11-22 is due; it is stale since "
            "2026-11-23 12:30 UTC, 36 hours after that day was due",
        )
    ]
    assert evaluate(music, STALE_SENSOR, cursor)[0] == []
    assert newest_day_check(music) is False

    # A backfill of old days makes nothing fresh, neither for the alarm nor on the asset's page.
    insert_plays(music, (1, utc(3)))
    filled = music.materialize("music/plays", "2026-11-03")
    assert filled.success
    (verdict,) = [
        check for check in filled.get_asset_check_evaluations() if check.check_name == "newest_day"
    ]
    assert not verdict.passed
    assert verdict.severity is dg.AssetCheckSeverity.WARN
    messages, cursor = evaluate(music, STALE_SENSOR, cursor)
    assert messages == []
    assert newest_day_check(music) is False

    insert_plays(music, (2, utc(22)))
    assert music.materialize("music/plays", "2026-11-22").success
    messages, cursor = evaluate(music, STALE_SENSOR, cursor)
    assert messages == []
    assert newest_day_check(music) is True
    at(utc(29))
    assert len(evaluate(music, STALE_SENSOR, cursor)[0]) == 1


def newest_day_check(music) -> bool:
    """What the asset's page says."""
    key = dg.AssetCheckKey(dg.AssetKey(["music", "plays"]), "newest_day")
    records = music.instance.event_log_storage.get_latest_asset_check_execution_by_key([key])
    return records[key].event.dagster_event.asset_check_evaluation_data.passed
