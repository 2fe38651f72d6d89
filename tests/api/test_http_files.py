"""Links to exports and artifacts: what they answer, and what ends them at once."""

import json
import sqlite3
import ssl
from collections.abc import Iterator
from contextlib import ExitStack, closing
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from http.client import HTTPConnection, IncompleteRead
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import httpx
import obstore
import pyarrow.parquet as pq
import pytest

from lake_api.doors import FILES
from lake_api.files import downloads
from lake_api.files.links import Link, LinkSigner
from lake_api.query.reader_store import open_small
from lake_api.stack.s3 import S3Server
from tests.api.conftest import ADMIN
from tests.api.real_lake import RealLake
from tests.api.test_http_artifacts import ARTIFACTS, OUTSIDE, TOKENS, kept
from tests.api.test_http_exports import DAY, EXPORTS, finished, start

MB = 1024 * 1024
LARGE = bytes(range(256)) * 4096 * 16
# Each request has a client of its own, and reading the machine's certificates takes its time.
_NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
TEXT = b"run_id,cost\n" + b"a-1,0.5\n" * 1_000


class Clock:
    """The current time, and what a test adds to it."""

    def __init__(self) -> None:
        self.ahead = timedelta(0)

    def __call__(self) -> datetime:
        return datetime.now(tz=UTC) + self.ahead


@pytest.fixture(scope="module")
def clock() -> Clock:
    return Clock()


@pytest.fixture(scope="module")
def lake(open_lake: Any, s3: S3Server, clock: Clock) -> Iterator[RealLake]:
    keys = {
        "LAKE_EXPORT_ACCESS_KEY": s3.writer.access_key,
        "LAKE_EXPORT_SECRET_KEY": s3.writer.secret_key,
        "LAKE_ALLOWED_HOSTS": "lake.example.com",
    }
    with open_lake(clock=clock, **keys) as lake:
        lake.write("agent_run_log", DAY, ["aurora", "sage", "nova"])
        yield lake


class Holder:
    """A token and its headers."""

    def __init__(self, lake: RealLake, *, by: Any = ADMIN, **body: Any) -> None:
        wanted = {"kind": "agent", "name": f"a-{uuid4().hex[:8]}", **body}
        made = lake.client.post(TOKENS, json=wanted, headers=by).json()
        self.id, self.name = made["id"], made["name"]
        self.headers = {**OUTSIDE, "Authorization": f"Bearer {made['token']}"}


@pytest.fixture(scope="module")
def proxied(open_lake: Any, s3: S3Server) -> Iterator[RealLake]:
    """One whose clients come through a proxy on the same machine."""
    keys = {
        "LAKE_EXPORT_ACCESS_KEY": s3.writer.access_key,
        "LAKE_EXPORT_SECRET_KEY": s3.writer.secret_key,
        "LAKE_ALLOWED_HOSTS": "lake.example.com",
        "LAKE_TRUSTED_PROXIES": "127.0.0.1/32",
    }
    with open_lake(**keys) as lake:
        yield lake


@pytest.fixture
def agent() -> dict[str, str]:
    return {"X-Agent-ID": f"agent-{uuid4().hex[:8]}"}


def ask(url: str, method: str = "GET", **headers: str) -> httpx.Response:
    """A request with nothing but the link, as a browser or pandas sends it."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return httpx.request(method, url, headers=named, trust_env=False, verify=_NO_TLS)


def exported(lake: RealLake, headers: dict[str, str], **more: Any) -> dict[str, Any]:
    """An export that is over, with the link of whoever asked for it."""
    made = finished(lake, start(lake, headers=headers, **more))
    assert made["state"] == "succeeded", made
    return lake.client.get(f"{EXPORTS}/{made['id']}", headers=headers).json()


def refused(url: str) -> dict[str, Any]:
    """What a link that opens nothing is told, for both methods."""
    looked, got = ask(url, "HEAD"), ask(url)
    assert (looked.status_code, looked.content) == (404, b"")
    assert looked.headers["content-type"] == "application/problem+json"
    assert got.status_code == 404, got.text
    assert got.headers["content-length"] == looked.headers["content-length"]
    assert got.json()["code"] == "unknown_file"
    return got.json()


def audit_rows(lake: RealLake, subject: str) -> list[dict[str, Any]]:
    with closing(sqlite3.connect(lake.cache / "service.db")) as connection:
        connection.row_factory = sqlite3.Row
        found = connection.execute(
            "SELECT * FROM audit WHERE action = 'download_file' AND subject = ? ORDER BY id",
            [subject],
        ).fetchall()
    return [dict(row) for row in found]


def test_a_link_leads_to_the_service_and_says_what_it_answers(lake: RealLake, agent: Any) -> None:
    made = kept(lake, TEXT, agent, name="übersicht 100% #1.csv")
    assert made["url"].startswith(f"{lake.client.base_url}{FILES}/")
    assert made["url"].endswith("/_bersicht_100__1.csv")
    looked, got = ask(made["url"], "HEAD"), ask(made["url"])
    assert (looked.status_code, looked.content) == (200, b"")
    assert (got.status_code, got.content) == (200, TEXT)
    same, of_get = (
        {name: value for name, value in one.headers.items() if name not in {"date", "server"}}
        for one in (looked, got)
    )
    assert same == of_get
    assert same == {
        "accept-ranges": "bytes",
        "cache-control": "private, no-store",
        "content-disposition": 'attachment; filename="_bersicht 100_ #1.csv"; '
        "filename*=UTF-8''%C3%BCbersicht%20100_%20%231.csv",
        "content-length": str(len(TEXT)),
        "content-security-policy": "default-src 'none'; sandbox",
        "content-type": "application/octet-stream",
        "etag": f'"{sha256(TEXT).hexdigest()}"',
        "referrer-policy": "no-referrer",
        "x-content-type-options": "nosniff",
    }


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ("bytes=0-0", (0, 1)),
        ("bytes=10-19", (10, 20)),
        ("BYTES=10-19", (10, 20)),
        ("bytes=8000-", (8_000, len(TEXT))),
        ("bytes=-12", (len(TEXT) - 12, len(TEXT))),
        ("bytes=-999999", (0, len(TEXT))),
        ("bytes=8000-999999999999", (8_000, len(TEXT))),
    ],
)
def test_one_range(lake: RealLake, agent: Any, asked: str, expected: tuple[int, int]) -> None:
    made = kept(lake, TEXT, agent)
    answer = ask(made["url"], range=asked)
    first, end = expected
    assert (answer.status_code, answer.content) == (206, TEXT[first:end])
    assert answer.headers["content-range"] == f"bytes {first}-{end - 1}/{len(TEXT)}"
    assert answer.headers["content-length"] == str(end - first)


@pytest.mark.parametrize(
    "asked", ["bytes=0-1,5-6", "bytes=5-2", "bytes=", "bytes=-", "rows=0-1", "bytes=a-b", "x"]
)
def test_what_is_no_single_range_is_the_whole_file(lake: RealLake, agent: Any, asked: str) -> None:
    answer = ask(kept(lake, TEXT, agent)["url"], range=asked)
    assert (answer.status_code, answer.content) == (200, TEXT)
    assert "content-range" not in answer.headers


@pytest.mark.parametrize("asked", [f"bytes={len(TEXT)}-", "bytes=99999-100000", "bytes=-0"])
def test_a_range_behind_the_end(lake: RealLake, agent: Any, problem: Any, asked: str) -> None:
    answer = ask(kept(lake, TEXT, agent)["url"], range=asked)
    problem(answer, 416, "range_not_satisfiable")
    assert answer.headers["content-range"] == f"bytes */{len(TEXT)}"


def test_a_part_of_another_version_is_not_continued(lake: RealLake, agent: Any) -> None:
    made = kept(lake, TEXT, agent)
    etag = ask(made["url"], "HEAD").headers["etag"]
    part = ask(made["url"], range="bytes=5-", if_range=etag)
    assert (part.status_code, part.content) == (206, TEXT[5:])
    whole = ask(made["url"], range="bytes=5-", if_range='"another"')
    assert (whole.status_code, whole.content) == (200, TEXT)


def test_a_file_is_sent_as_it_is_stored(lake: RealLake, agent: Any) -> None:
    made = exported(lake, agent, sql="SELECT i AS run_id FROM range(50000) r(i)")
    answer = ask(made["url"], accept_encoding="gzip")
    assert answer.headers["content-type"] == "text/csv"
    assert "content-encoding" not in answer.headers
    assert len(answer.content) == made["bytes"]
    part = ask(made["url"], accept_encoding="gzip", range="bytes=0-9999")
    assert (part.status_code, part.content) == (206, answer.content[:10_000])


def test_a_file_of_several_pieces(lake: RealLake, agent: Any) -> None:
    made = kept(lake, LARGE, agent, name="large.bin")
    assert sha256(ask(made["url"]).content).digest() == sha256(LARGE).digest()
    first = downloads.PIECE_BYTES - 3
    answer = ask(made["url"], range=f"bytes={first}-{first + 6}")
    assert answer.content == LARGE[first : first + 7]


def test_an_empty_file(lake: RealLake, agent: Any) -> None:
    made = exported(lake, agent, sql="SELECT run_id FROM agent_run_log WHERE false", format="jsonl")
    assert made["bytes"] == 0
    assert ask(made["url"], "HEAD").headers["content-length"] == "0"
    assert (ask(made["url"]).status_code, ask(made["url"]).content) == (200, b"")
    assert ask(made["url"], range="bytes=0-").status_code == 416


def test_a_reader_of_parquet_takes_ranges(lake: RealLake, agent: Any) -> None:
    """As DuckDB and pyarrow do: the size, the footer, then columns, with nothing but the link."""
    sql = "SELECT i AS n, hash(i) AS h FROM range(300000) r(i)"
    made = exported(lake, agent, sql=sql, format="parquet")
    with RangeFile(made["url"]) as file:
        table = pq.read_table(file, columns=["n"], pre_buffer=False)
        assert sum(table.column("n").to_pylist()) == 299_999 * 150_000
        assert file.requests > 1
        assert file.read_bytes < made["bytes"]


class RangeFile:
    """A file of Python over a link: each read is a range."""

    def __init__(self, url: str) -> None:
        self._client = httpx.Client(trust_env=False)
        self._url = url
        self._size = int(self._client.head(url).headers["content-length"])
        self._at = 0
        self.requests = self.read_bytes = 0
        self.closed = False
        self.mode = "rb"

    def __enter__(self) -> "RangeFile":
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def writable(self) -> bool:
        return False

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = 0) -> int:
        self._at = offset + (0, self._at, self._size)[whence]
        return self._at

    def read(self, count: int = -1) -> bytes:
        end = self._size if count < 0 else min(self._size, self._at + count)
        if end <= self._at:
            return b""
        answer = self._client.get(self._url, headers={"Range": f"bytes={self._at}-{end - 1}"})
        assert answer.status_code == 206
        self._at = end
        self.requests += 1
        self.read_bytes += len(answer.content)
        return answer.content

    def flush(self) -> None:
        return None

    def close(self) -> None:
        self.closed = True


# ---- what ends a link


def test_a_revoked_token_ends_its_links_at_once(lake: RealLake) -> None:
    holder, other = Holder(lake), Holder(lake)
    export = exported(lake, holder.headers)
    file = kept(lake, TEXT, holder.headers)
    theirs = kept(lake, TEXT, other.headers)
    assert {ask(one["url"]).status_code for one in (export, file, theirs)} == {200}
    lake.client.delete(f"{TOKENS}/{holder.id}", headers=ADMIN)
    assert refused(export["url"]) == refused(file["url"])
    assert ask(theirs["url"]).status_code == 200


def test_a_revoked_swarm_ends_the_links_of_all_its_agents(lake: RealLake) -> None:
    swarm = Holder(lake, kind="swarm")
    one = Holder(lake, by=swarm.headers)
    links = [
        exported(lake, one.headers)["url"],
        kept(lake, TEXT, one.headers)["url"],
        kept(lake, TEXT, swarm.headers)["url"],
    ]
    assert {ask(url, "HEAD").status_code for url in links} == {200}
    lake.client.delete(f"{TOKENS}/{swarm.id}", headers=ADMIN)
    for url in links:
        refused(url)


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("datasets", ["external/*"]),
        ("operations", ["query", "artifacts"]),
        ("expires_at", "2026-01-01 00:00:00"),
    ],
)
@pytest.mark.parametrize("whose", ["its own", "its swarm's"])
def test_a_right_that_is_taken_back_ends_a_link(
    lake: RealLake, column: str, value: Any, whose: str
) -> None:
    swarm = Holder(lake, kind="swarm")
    one = Holder(lake, by=swarm.headers)
    url = exported(lake, one.headers)["url"]
    assert ask(url).status_code == 200
    changed = one.id if whose == "its own" else swarm.id
    change(
        lake,
        f"UPDATE tokens SET {column} = ? WHERE id = ?",
        json.dumps(value) if isinstance(value, list) else value,
        UUID(changed).bytes,
    )
    refused(url)


def change(lake: RealLake, statement: str, *values: str | bytes) -> None:
    with closing(sqlite3.connect(lake.cache / "service.db")) as connection:
        assert connection.execute(statement, values).rowcount == 1
        connection.commit()


def test_sharing_that_is_withdrawn_ends_the_links_of_others_only(lake: RealLake) -> None:
    swarm = Holder(lake, kind="swarm")
    one, two = Holder(lake, by=swarm.headers), Holder(lake, by=swarm.headers)
    made = kept(lake, TEXT, one.headers, shared=True)
    theirs = lake.client.get(f"{ARTIFACTS}/{made['id']}", headers=two.headers).json()["url"]
    assert ask(theirs).content == TEXT
    change(lake, "UPDATE artifacts SET is_shared = 0 WHERE id = ?", UUID(made["id"]).bytes)
    refused(theirs)
    assert ask(made["url"]).content == TEXT


def test_what_is_removed_or_over_ends_its_links(lake: RealLake, agent: Any, clock: Clock) -> None:
    export, file = exported(lake, agent), kept(lake, TEXT, agent)
    removed = kept(lake, TEXT, agent)
    lake.client.delete(f"{ARTIFACTS}/{removed['id']}", headers=agent)
    told = refused(removed["url"])
    lake.client.delete(f"{EXPORTS}/{export['id']}", headers=agent)
    assert refused(export["url"]) == told
    assert ask(file["url"]).status_code == 200
    clock.ahead = timedelta(seconds=290)
    try:
        assert ask(file["url"]).status_code == 200
        clock.ahead = timedelta(seconds=301)
        assert refused(file["url"]) == told
        # It is the link that is over, not the file.
        fresh = lake.client.get(f"{ARTIFACTS}/{file['id']}", headers=agent).json()["url"]
        assert ask(fresh).content == TEXT
    finally:
        clock.ahead = timedelta(0)


def test_a_file_whose_object_is_gone(lake: RealLake, agent: Any) -> None:
    made = kept(lake, TEXT, agent)
    obstore.delete(
        open_small(lake.bucket), [key for key in lake.export_keys() if made["id"] in key]
    )
    refused(made["url"])


def test_a_link_can_not_be_bent(lake: RealLake, agent: Any) -> None:
    made, other = kept(lake, TEXT, agent), kept(lake, b"other", agent, name="y.pdf")
    url = made["url"]
    base, _, name = url.rpartition("/")
    head, _, text = base.rpartition("/")
    payload, _, signature = text.partition(".")
    others = other["url"].rpartition("/")[0].rpartition("/")[2]
    told = refused(f"{head}/nothing/{name}")
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    last = alphabet.index(signature[-1])
    forged = LinkSigner("another secret").text_of(
        Link(kind="artifact", file_id=UUID(made["id"]), holder="admin:admin", expires_ms=2**50)
    )
    bent = [
        *(f"{head}/{payload}.{signature[:-1]}{alphabet[last ^ bit]}/{name}" for bit in (1, 2, 3)),
        f"{head}/{payload}.{signature}=/{name}",
        f"{head}/{payload}.{signature}./{name}",
        f"{head}/{payload}/{name}",
        f"{head}/.{signature}/{name}",
        f"{head}/{payload}./{name}",
        f"{head}/{payload[:-1]}.{signature}/{name}",
        f"{head}/{payload}.{others.partition('.')[2]}/{name}",
        f"{head}/{others}/{name}",
        f"{head}/{text.swapcase()}/{name}",
        f"{head}/{text}/other.pdf",
        f"{head}/{text}/{name}%00",
        f"{head}/{text}%C3%BC/{name}",
        f"{head}/{'A' * 4_000}.{signature}/{name}",
        f"{head}/{forged}/{name}",
    ]
    for one in bent:
        assert refused(one) == told, one
    assert ask(url).content == TEXT


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
def test_a_link_only_reads(lake: RealLake, agent: Any, problem: Any, method: str) -> None:
    made = kept(lake, TEXT, agent)
    answer = ask(made["url"], method)
    problem(answer, 405, "method_not_allowed")
    assert {"GET", "HEAD"} <= set(answer.headers["allow"].split(", "))
    assert ask(made["url"]).content == TEXT


def test_a_link_is_for_hosts_that_name_the_service(
    lake: RealLake, agent: Any, problem: Any
) -> None:
    made = kept(lake, TEXT, agent)
    problem(ask(made["url"], host="evil.example.net"), 421, "unknown_host")
    assert ask(made["url"], host="lake.example.com").content == TEXT


def test_what_a_link_holder_shows_besides_changes_nothing(lake: RealLake, agent: Any) -> None:
    made = kept(lake, TEXT, agent)
    shown = {"Authorization": "Bearer none", "X-Internal-API-Key": "none", **OUTSIDE}
    assert httpx.get(made["url"], headers=shown, trust_env=False).content == TEXT


# ---- downloads that last


def opened(url: str) -> HTTPConnection:
    """A connection over which an answer has begun, of which only the head is read."""
    address = urlsplit(url)
    connection = HTTPConnection(address.hostname or "", address.port, timeout=30)
    connection.request("GET", address.path)
    return connection


def test_a_download_ends_when_its_right_does(
    lake: RealLake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(downloads, "JUDGE_AGAIN_S", 0.0)
    holder = Holder(lake)
    made = kept(lake, LARGE * 2, holder.headers, name="large.bin")
    with closing(opened(made["url"])) as connection:
        answer = connection.getresponse()
        assert answer.read(100) == LARGE[:100]
        lake.client.delete(f"{TOKENS}/{holder.id}", headers=ADMIN)
        # What is missing is seen: the answer never ends as if it were whole.
        with pytest.raises((IncompleteRead, ConnectionError)):
            answer.read()


def test_many_at_a_time_wait_and_whoever_leaves_makes_room(
    lake: RealLake, agent: Any, problem: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(downloads, "TURN_S", 0.2)
    made = kept(lake, LARGE * 2, agent, name="large.bin")
    with ExitStack() as stack:
        for _ in range(downloads.DOWNLOADS_OF_ONE):
            connection = stack.enter_context(closing(opened(made["url"])))
            assert connection.getresponse().status == 200
        refusal = ask(made["url"], range="bytes=0-0")
        problem(refusal, 429, "too_many_downloads")
        assert refusal.headers["retry-after"] == "1"
        assert ask(made["url"], "HEAD").status_code == 200
        other = kept(lake, TEXT, {"X-Agent-ID": "another"})
        assert ask(other["url"]).content == TEXT
    # They have left without reading: nothing is read for them any more.
    monkeypatch.setattr(downloads, "TURN_S", 20.0)
    assert ask(made["url"], range="bytes=0-0").content == LARGE[:1]


# ---- who is told of it


def test_a_use_is_recorded_once_and_ranges_do_not_flood(lake: RealLake) -> None:
    holder = Holder(lake)
    made = exported(lake, holder.headers)
    ask(made["url"], "HEAD")
    whole = ask(made["url"])
    with httpx.Client(trust_env=False) as client:
        for _ in range(140):
            assert client.get(made["url"], headers={"Range": "bytes=0-0"}).status_code == 206
    rows = audit_rows(lake, made["id"])
    assert 60 <= len(rows) <= 122
    assert {row["outcome"] for row in rows} == {"ok"}
    assert {(row["caller"], row["token_id"]) for row in rows} == {(holder.name, holder.id)}
    of_whole = next(row for row in rows if row["answer_bytes"] == len(whole.content))
    assert json.loads(of_whole["datasets"]) == ["agent_run_log"]
    assert of_whole["form"] == "csv"
    # Another link is another use, however many came before it.
    fresh = lake.client.get(f"{EXPORTS}/{made['id']}", headers=holder.headers).json()["url"]
    before = len(audit_rows(lake, made["id"]))
    ask(fresh)
    assert len(audit_rows(lake, made["id"])) == before + 1


def test_a_refused_use_tells_whose_link_it_was(lake: RealLake) -> None:
    holder = Holder(lake)
    made = kept(lake, TEXT, holder.headers)
    lake.client.delete(f"{TOKENS}/{holder.id}", headers=ADMIN)
    refused(made["url"])
    row = audit_rows(lake, made["id"])[-1]
    assert (row["outcome"], row["code"], row["token_id"]) == ("refused", "unknown_file", holder.id)


def test_no_file_without_its_row(lake: RealLake, agent: Any, problem: Any) -> None:
    made = kept(lake, LARGE, agent)
    with closing(sqlite3.connect(lake.cache / "service.db")) as connection:
        connection.execute(
            "CREATE TRIGGER broken BEFORE INSERT ON audit BEGIN SELECT RAISE(ABORT, 'no'); END"
        )
        connection.commit()
        problem(ask(made["url"]), 503, "audit_unavailable")
        connection.execute("DROP TRIGGER broken")
        connection.commit()
    assert ask(made["url"]).content == LARGE


def test_the_signature_does_not_stand_in_metrics(lake: RealLake, agent: Any) -> None:
    made = kept(lake, TEXT, agent)
    ask(made["url"])
    text = lake.client.get("/metrics", headers=ADMIN).text
    assert f'route="{FILES}/{{link}}/{{name}}"' in text.replace(":str", "")
    assert made["url"].rpartition("/")[0].rpartition("/")[2] not in text


# ---- where a link leads


@pytest.mark.parametrize(
    ("headers", "scheme"),
    [
        ({"X-Forwarded-Proto": "https"}, "https"),
        ({"X-Forwarded-Proto": "https, http"}, "https"),
        ({"X-Forwarded-Proto": "gopher"}, "http"),
        ({"Forwarded": 'for=192.0.2.1;proto=https;by="[::1]"'}, "https"),
        ({"Forwarded": "proto=https, proto=http"}, "https"),
        ({}, "http"),
    ],
)
def test_a_trusted_proxy_names_the_scheme(
    lake: RealLake, proxied: RealLake, headers: dict[str, str], scheme: str
) -> None:
    shown = {**ADMIN, "Host": "lake.example.com:8443", **headers}
    for one, told in ((proxied, scheme), (lake, "http")):
        made = kept(one, b"x", shown)
        assert made["url"].startswith(f"{told}://lake.example.com:8443{FILES}/")
        one.client.delete(f"{ARTIFACTS}/{made['id']}", headers=ADMIN)
