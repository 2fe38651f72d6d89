"""What a token for some datasets can learn of the others: nothing, from any route that it may ask.

The catalogue is the real one, whose texts refer from dataset to dataset.
"""

import json
import re
import uuid
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from lake_api.app import create_app
from lake_api.datasets.examples import example_sql
from lake_api.settings import Settings
from lake_api.stack.s3 import S3Server
from lake_api.tool.guide import EXAMPLES
from lake_assets.catalog import Catalog, load_catalog
from tests.api.conftest import ADMIN, database_in, own_bucket, serving

LAKE = "/api/v1/internal/lake"
DATASETS = f"{LAKE}/datasets"
TOOL = f"{LAKE}/tool-definition"
CATALOG: Catalog = load_catalog()
OUTSIDE = {"X-Forwarded-For": "203.0.113.9"}


@pytest.fixture(scope="module")
def client(s3: S3Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    folder = tmp_path_factory.mktemp("grants")
    settings = Settings.from_mapping(
        {
            "AINATIVE_INTERNAL_API_KEY": ADMIN["X-Internal-API-Key"],
            "LAKE_DATABASE_URL": database_in(folder),
            "LAKE_CACHE_DIR": str(folder),
            "LAKE_QUERY_WORKERS": "1",
            "LAKE_HEAVY_WORKERS": "0",
            "LAKE_DAGSTER_URL": "http://127.0.0.1:9",
            "LAKE_CALLS_PER_MINUTE": "100000",
        }
    )
    with own_bucket(s3) as location:
        app = create_app(settings=settings, catalog=CATALOG, location=location)
        with serving(app) as url, httpx.Client(base_url=url, trust_env=False, timeout=60) as opened:
            yield opened


@pytest.fixture(scope="module")
def ask(client: httpx.Client) -> Any:
    """Asks with a token for some datasets."""
    tokens: dict[tuple[str, ...], str] = {}

    def asked(path: str, *patterns: str, **options: Any) -> httpx.Response:
        if patterns not in tokens:
            body = {"kind": "agent", "name": "narrow", "datasets": list(patterns)}
            made = client.post(f"{LAKE}/tokens", json=body, headers=ADMIN)
            tokens[patterns] = made.json()["token"]
        headers = {**OUTSIDE, "Authorization": f"Bearer {tokens[patterns]}"}
        return client.request(options.pop("method", "GET"), path, headers=headers, **options)

    return asked


def readable(patterns: tuple[str, ...]) -> tuple[set[str], set[str]]:
    """The names that a token may know, and those that it may not."""
    mine, others = set[str](), set[str]()
    for dataset in CATALOG:
        prefixes = tuple(pattern.removesuffix("*") for pattern in patterns)
        of = mine if dataset.partition.startswith(prefixes) else others
        of |= {dataset.partition, dataset.sql_name}
    assert mine
    assert others
    return mine, others


def names_in(answer: httpx.Response, names: set[str]) -> set[str]:
    """Which names stand in an answer: in any byte of body and headers, whatever is around them."""
    told = answer.text + json.dumps(dict(answer.headers))
    words = set(re.findall(r"[a-z0-9_]+(?:/[a-z0-9_]+)*", told))
    parts = {part for word in words for part in (word, *word.split("/"))}
    return {name for name in names if name in parts or ("/" in name and name in told)}


GRANTS = [
    ("external/scc/*",),
    ("external/scc/sec_xbrl",),
    ("rlhf_signals",),
    ("derived/*",),
    ("platform/agent_*",),
    ("business/equity/grants",),
    ("external/*", "platform/mcp_usage"),
]


def paths(client: httpx.Client) -> list[str]:
    """Every route that can be got, with names filled in."""
    document = client.get("/schema/openapi.json").json()
    return [path for path, methods in document["paths"].items() if "get" in methods]


@pytest.mark.parametrize("patterns", GRANTS, ids=" ".join)
def test_no_route_names_what_may_not_be_read(
    client: httpx.Client, ask: Any, patterns: tuple[str, ...]
) -> None:
    mine, others = readable(patterns)
    asked = 0
    for path in paths(client):
        names = sorted(mine) if "{name}" in path else [""]
        for name in names:
            filled = re.sub(r"{\w+}", str(uuid.uuid4()), path.replace("{name}", name))
            answer = ask(filled, *patterns)
            # Dagster is away here, and what needs it says so.
            assert answer.status_code < 500 or answer.status_code == 503, path
            assert not names_in(answer, others), (path, name)
            asked += 1
    assert asked > len(mine)
    for query in ("?columns=all", "?format=anthropic", "?format=mcp", "?guide=parameter",
                  "?tools=all", "?max_chars=12000"):  # fmt: skip
        answer = ask(TOOL + query, *patterns)
        assert answer.status_code == 200
        assert not names_in(answer, others), query
        assert names_in(answer, mine)


@pytest.mark.parametrize("patterns", GRANTS, ids=" ".join)
def test_the_list_is_what_may_be_read(ask: Any, patterns: tuple[str, ...]) -> None:
    mine, _ = readable(patterns)
    body = ask(DATASETS, *patterns).json()
    assert {line["partition"] for line in body["datasets"]} == {n for n in mine if n in CATALOG}
    assert body["total"] == len(body["datasets"])


def test_what_may_not_be_read_is_answered_as_if_it_were_not(ask: Any, problem: Any) -> None:
    patterns = ("external/scc/*",)
    _, others = readable(patterns)
    texts = set[str]()
    for name in sorted(others):
        # No dataset has this name; it is as far from each readable name.
        unknown = name[:-1] + "0"
        for tail in ("", "/sample", "/profile"):
            hidden = ask(f"{DATASETS}/{name}{tail}", *patterns)
            nowhere = ask(f"{DATASETS}/{unknown}{tail}", *patterns)
            problem(hidden, 404, "unknown_dataset")
            texts |= {hidden.text, nowhere.text}
            assert not names_in(hidden, others)
    # Detail and field are the same for all; a hint offers names of the token's own only.
    assert {json.loads(text)["detail"] for text in texts} == {
        "There is no dataset of this name that you may read."
    }
    same = ask(f"{DATASETS}/qqqq", *patterns)
    hidden = ask(f"{DATASETS}/stripe_events", *patterns)
    assert without_id(same) == without_id(hidden)
    assert {**same.headers, "date": ""} == {**hidden.headers, "date": ""}


def test_the_tool_answers_hidden_names_alike(ask: Any, problem: Any) -> None:
    hidden = ask(f"{TOOL}?datasets=stripe_events", "external/scc/*")
    nowhere = ask(f"{TOOL}?datasets=qqqq", "external/scc/*")
    problem(hidden, 404, "unknown_dataset")
    assert without_id(hidden) == without_id(nowhere)


def without_id(answer: httpx.Response) -> dict[str, Any]:
    # The asked name itself comes back as the fragment.
    own = {"query_id", "fragment"}
    return {key: value for key, value in answer.json().items() if key not in own}


def test_a_search_finds_nothing_beyond(ask: Any) -> None:
    for text in ("stripe", "agent_run_log", "platform/", "business/"):
        assert ask(DATASETS, "external/scc/*", params={"q": text}).json()["total"] == 0


def test_texts_keep_their_sense_without_the_names(ask: Any) -> None:
    body = ask(f"{DATASETS}/rlhf_signals", "rlhf_signals").json()
    [run_id] = [column for column in body["columns"] if column["name"] == "run_id"]
    assert run_id["description"] == "The agent run, as in another dataset; null outside of a run."
    whole = ask(f"{DATASETS}/rlhf_signals", "*").json()
    [run_id] = [column for column in whole["columns"] if column["name"] == "run_id"]
    assert "`agent_run_log`" in run_id["description"]


def test_a_token_without_the_operation_gets_nothing(client: httpx.Client, problem: Any) -> None:
    body = {"kind": "agent", "name": "jobs-only", "operations": ["jobs"]}
    token = client.post(f"{LAKE}/tokens", json=body, headers=ADMIN).json()["token"]
    headers = {**OUTSIDE, "Authorization": f"Bearer {token}"}
    for path in (DATASETS, f"{DATASETS}/agent_run_log", f"{DATASETS}/agent_run_log/sample",
                 f"{DATASETS}/agent_run_log/profile", TOOL):  # fmt: skip
        problem(client.get(path, headers=headers), 403, "operation_not_allowed")
        problem(client.get(path, headers=OUTSIDE), 401, "not_authenticated")


def test_the_document_is_the_same_for_all_and_names_no_dataset(
    client: httpx.Client, ask: Any, service: Any
) -> None:
    document = client.get("/schema/openapi.json", headers=ADMIN)
    assert ask("/schema/openapi.json", "external/scc/*").content == document.content
    assert service.client.get("/schema/openapi.json").content == document.content
    names = {name for one in CATALOG for name in (one.partition, one.sql_name)}
    assert not names_in(document, names)
    assert not [task for one in CATALOG for task in one.tasks if task in document.text]


def test_others_can_not_be_counted(ask: Any) -> None:
    page = ask(DATASETS, "external/scc/*", params={"page": 2, "page_size": 500}).json()
    assert page["datasets"] == []
    assert page["total"] == sum(one.partition.startswith("external/scc/") for one in CATALOG)


@pytest.mark.parametrize("tail", ["/profile", "/sample?mode=random", "/sample?mode=per_day"])
def test_the_engine_takes_what_discovery_asks_of_every_dataset(
    client: httpx.Client, tail: str
) -> None:
    for dataset in CATALOG:
        answer = client.get(f"{DATASETS}/{dataset.sql_name}{tail}")
        assert answer.status_code == 200, answer.text
        body = answer.json()
        assert body["partition"] == dataset.partition
        assert body["warnings"] == [f"`{dataset.sql_name}` has no data yet"]


def test_the_engine_takes_every_example(client: httpx.Client) -> None:
    for sql in (*map(example_sql, CATALOG), *(one.sql for one in EXAMPLES)):
        answer = client.post(f"{LAKE}/query", json={"sql": sql})
        assert answer.status_code == 200, answer.text
        assert answer.json()["error"] is None
