"""Sentences, names and documents for text and JSON columns.

Belongs here: what people and programs could have written, in many scripts, and JSON objects.
Does not belong here: which row gets which.
"""

import json
import random
from collections.abc import Callable, Mapping
from functools import cache
from types import MappingProxyType

from lake_assets.sample_data.seeds import seed_of
from lake_assets.sample_data.world import AGENT_IDS, ORGS, PEOPLE

_COMMENTS = (
    "Great answer, thank you!",
    "",
    "Too slow 🐢",
    "Wrong file was edited, see line 42.",
    "完璧です。ありがとう!",
    "شكرا، كان هذا مفيدا جدا",
    "לא עבד אצלי",
    'He said "it works", but it doesn\'t; 50% of tabs\tare lost',
    "Très bien 👍🏽, mais la réponse était trop longue.",
    "Cafe\u0301 \u2615 \u2260 caf\u00e9",
    "👩‍👩‍👧‍👦 family plan is missing",
    "Line one\nline two",
    "C:\\temp\\out, and a back\\slash",
)

_TITLES = (
    "Fix the flaky login test",
    "Weekly report for the board",
    "Refund request #1042",
    "Summarise 40 support threads",
    "Überprüfung der Rechnung",
    "顧客への返信を下書きする",
    "تقرير المبيعات الأسبوعي",
    "Migrate vectors to the new index 🚚",
    "Find duplicates in the CRM",
    "Draft release notes",
    "Negotiate renewal with Vega & Söhne",
    "Triage overnight alerts",
)

_ERRORS = (
    "upstream timed out after 30000 ms",
    "rate limit reached: retry after 12 s",
    "tool `web_search` returned status 502",
    'invalid JSON at position 118: unexpected "}"',
    "context length exceeded",
    "permission denied for resource “reports/2026”",
    "Verbindung zurückgesetzt",
    "接続がタイムアウトしました",
)

_QUERIES = (
    "how to deploy an agent",
    "pricing",
    "webhook retries",
    "ベクトル検索",
    "límite de tokens",
    "حدود الاستخدام",
    "error 429",
    "mcp server auth",
    "sum of 'cost_usd' by model",
    "🤖",
)

TEXTS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "comment": _COMMENTS,
        "content": (*_TITLES, *_COMMENTS),
        "description": ("Usage of models", "Monthly plan", "Promotional credits", "Correction", ""),
        "error_message": _ERRORS,
        "notes": ("Reviewed without findings", "", "Prüfung durch Dritte", "Screenshot is cut off"),
        "page_url": tuple(
            f"https://app.ainative.example/{path}"
            for path in ("", "agents", "agents/new", "docs", "pricing", "projects/données")
        ),
        "prompt": tuple(f"Please help: {title}" for title in _TITLES),
        "prompt_name": ("summarise", "classify-ticket", "write-email", "sql-helper", "übersetzen"),
        "query_text": _QUERIES,
        "referrer": (
            "",
            "https://www.google.com/",
            "https://news.ycombinator.com/",
            "https://t.co/x",
        ),
        "response": (*_TITLES, "I can't do that.", ""),
        "schedule": ("*/5 * * * *", "0 * * * *", "30 7 * * 1-5"),
        "subject": _TITLES,
        "title": _TITLES,
        "user_agent": (
            "ainative-sdk-python/3.2.0",
            "cody-cli/1.4.2 node/24.11.0",
            "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15",
            "curl/8.11.1",
            "",
        ),
    }
)

PEOPLE_NAMES = PEOPLE
COMPANY_NAMES: tuple[str, ...] = tuple(label for _, label in ORGS)
DOCUMENTS = 64


@cache
def documents(name: str, columns: str = "") -> tuple[str, ...]:
    """JSON texts for a column called `name`; `columns` tells apart what should differ."""
    make = _MAKERS.get(name, _metadata)
    # Not for secrets: a seeded generator that gives the same documents everywhere.
    rng = random.Random(seed_of("documents", name, columns))  # noqa: S311
    return tuple(
        json.dumps(make(rng), ensure_ascii=False, sort_keys=True) for _ in range(DOCUMENTS)
    )


Json = Mapping[str, object]


def _metadata(rng: random.Random) -> Json:
    document: dict[str, object] = {
        "trace": {"sampled": rng.random() < 0.2, "depth": rng.randrange(9)},
        "tags": rng.sample(["beta", "nightly", "vip", "größe", "再試行", "🔥"], rng.randrange(4)),
    }
    if rng.random() < 0.3:
        document["note"] = rng.choice(_COMMENTS)
    if rng.random() < 0.1:
        # Beyond 2**53: a reader that goes through doubles would damage it.
        document["sequence"] = 2**53 + 1 + 2 * rng.randrange(1_000)
    return document


def _config(rng: random.Random) -> Json:
    return {
        "limits": {"max_steps": rng.choice([10, 25, 50]), "budget_usd": round(rng.random() * 9, 2)},
        "tools": rng.sample(["web_search", "query", "read_file", "post_message"], 2),
        "temperature": round(rng.random(), 2),
        "notify": None if rng.random() < 0.5 else rng.choice(PEOPLE),
    }


def _filters(rng: random.Random) -> Json:
    return {"type": rng.choice(["doc", "agent", "template"]), "since_days": rng.choice([7, 30, 90])}


def _flags(rng: random.Random) -> Json:
    flags = {"verbose": True, "output": "json", "agent": rng.choice(AGENT_IDS), "dry_run": False}
    return {name: flags[name] for name in rng.sample(sorted(flags), rng.randrange(4))}


def _state(rng: random.Random) -> Json:
    return {
        "status": rng.choice(["active", "paused"]),
        "limits": {"daily_usd": rng.choice([5, 20, 100]), "models": rng.sample(["a", "b", "c"], 2)},
        "owner": rng.choice(PEOPLE),
    }


def _variants(rng: random.Random) -> list[Json]:
    return [
        {"sku": f"V{rng.randrange(10_000):04d}", "size": size, "stock": rng.randrange(50)}
        for size in ("S", "M", "L")[: rng.randrange(1, 4)]
    ]


_MAKERS: Mapping[str, Callable[[random.Random], object]] = MappingProxyType(
    {
        "after_state": _state,
        "before_state": _state,
        "config": _config,
        "filters": _filters,
        "flags": _flags,
        "variants": _variants,
    }
)
