"""What patterns mean, and what they can't be."""

import pytest

from lake_api.tokens.grants import EVERYTHING, BadPattern, Grant, checked_patterns
from lake_api.tokens.secret import TokenKind, hash_of, is_token, mint
from lake_assets.catalog import load_catalog

CATALOG = load_catalog()


RECORDED = {"platform/lake_query_audit"}


def readable(*patterns: str, within: Grant | None = None) -> set[str]:
    grant = Grant(datasets=patterns, within=within)
    return {one.partition for one in CATALOG if grant.may_read(one)}


def below(*prefixes: str) -> set[str]:
    """What patterns can name: all but what the service records of its callers."""
    names = {one.partition for one in CATALOG} - RECORDED
    return {name for name in names if name.startswith(prefixes)}


def test_everything_is_everything():
    assert {one.partition for one in CATALOG if EVERYTHING.may_read(one)} == below("") | RECORDED


def test_what_all_callers_did_is_read_by_those_who_are_named():
    [name] = RECORDED
    assert readable("*", "platform/*") == below("")
    assert readable(name) == RECORDED
    assert readable(name, f"!{name}") == set()
    assert readable(name, within=Grant()) == set()
    assert readable(name, within=Grant(datasets=("*", name))) == RECORDED


@pytest.mark.parametrize(
    ("patterns", "expected"),
    [
        (("external/scc/*",), below("external/scc/")),
        (("agent_run_log",), {"agent_run_log"}),
        (("agent_run",), set()),
        (("platform/*", "!platform/llm*"), below("platform/") - below("platform/llm")),
        (("!platform/llm*", "platform/*"), below("platform/") - below("platform/llm")),
        (("*", "!*"), set()),
        (("*_log",), {one for one in below("") if one.endswith("_log")}),
        (("external.scc/*",), set()),
    ],
)
def test_patterns_say_which_datasets(patterns, expected):
    assert readable(*patterns) == expected


def test_nobody_has_more_than_the_swarm():
    swarm = Grant(datasets=("external/*", "!external/scc/*"), operations=frozenset({"query"}))
    agent = Grant(operations=frozenset({"query", "jobs"})).inside(swarm)
    assert {one.partition for one in CATALOG if agent.may_read(one)} == below("external/") - below(
        "external/scc/"
    )
    assert [agent.may(one) for one in ("query", "jobs", "trigger")] == [True, False, False]


@pytest.mark.parametrize(
    "patterns", [(), ("",), ("!",), ("Platform/*",), ("a b",), ("../x",), ("!a",), ("a",) * 65]
)
def test_what_is_no_pattern_is_refused(patterns):
    with pytest.raises(BadPattern):
        checked_patterns(patterns)


def test_tokens_are_random_and_recognised():
    texts = {mint(kind) for kind in TokenKind for _ in range(50)}
    assert len(texts) == 100
    assert all(map(is_token, texts))
    assert len({hash_of(text) for text in texts}) == 100
    for text in ("", "lake_agent_", "lake_agent_" + "a" * 42, "lake_admin_" + "a" * 43):
        assert not is_token(text)
