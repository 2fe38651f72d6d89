"""What is done with files is recorded (who, what, how it ended, how many bytes), or not done."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest

from lake_api.stack.s3 import S3Server
from tests.api.real_lake import RealLake
from tests.usage.asking import Asker, bearer

ROUTE = "/api/v1/internal/lake/artifacts"


@pytest.fixture(scope="module")
def lake(open_lake: Any, s3: S3Server) -> Iterator[RealLake]:
    keys = {
        "LAKE_EXPORT_ACCESS_KEY": s3.writer.access_key,
        "LAKE_EXPORT_SECRET_KEY": s3.writer.secret_key,
    }
    with open_lake(**keys) as lake:
        yield lake


def rows(lake: RealLake, caller: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(lake.cache / "service.db")) as connection:
        return connection.execute(
            "SELECT action, outcome, code, subject, answer_bytes FROM audit WHERE caller = ? "
            "ORDER BY id",
            [caller],
        ).fetchall()


def test_a_file_leaves_rows_from_its_first_byte_to_its_end(lake: RealLake) -> None:
    token = Asker(lake.client).make(name="keeper", operations=["artifacts"])["token"]
    kept = lake.client.post(
        ROUTE, params={"name": "a.txt"}, content=b"12345", headers=bearer(token)
    ).json()
    path = f"{ROUTE}/{kept['id']}"
    assert lake.client.get(path, headers=bearer(token)).status_code == 200
    assert lake.client.get(ROUTE, headers=bearer(token)).status_code == 200
    assert lake.client.delete(path, headers=bearer(token)).status_code == 200
    assert lake.client.get(path, headers=bearer(token)).status_code == 404
    assert rows(lake, "keeper") == [
        ("keep_artifact", "begun", None, "a.txt", 0),
        ("keep_artifact", "ok", None, kept["id"], 5),
        ("read_artifact", "ok", None, kept["id"], 5),
        ("list_artifacts", "ok", None, None, 0),
        ("delete_artifact", "begun", None, kept["id"], 0),
        ("delete_artifact", "ok", None, kept["id"], 0),
        ("read_artifact", "refused", "unknown_artifact", kept["id"], 0),
    ]


def test_nothing_is_kept_or_removed_that_can_not_be_recorded(lake: RealLake, problem: Any) -> None:
    token = Asker(lake.client).make(name="unseen", operations=["artifacts"])["token"]
    kept = lake.client.post(
        ROUTE, params={"name": "a.txt"}, content=b"12345", headers=bearer(token)
    ).json()
    with closing(sqlite3.connect(lake.cache / "service.db")) as connection:
        connection.execute(
            "CREATE TRIGGER full BEFORE INSERT ON audit BEGIN SELECT RAISE(ABORT, 'full'); END"
        )
        try:
            for method, path, more in (
                ("POST", ROUTE, {"params": {"name": "b.txt"}, "content": b"1"}),
                ("GET", f"{ROUTE}/{kept['id']}", {}),
                ("DELETE", f"{ROUTE}/{kept['id']}", {}),
            ):
                answer = lake.client.request(method, path, headers=bearer(token), **more)
                problem(answer, 503, "audit_unavailable")
        finally:
            connection.execute("DROP TRIGGER full")
    listed = lake.client.get(ROUTE, headers=bearer(token)).json()
    assert [one["id"] for one in listed["artifacts"]] == [kept["id"]]
