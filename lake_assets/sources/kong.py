"""Kong's own counters, from the metrics page of every gateway node.

**What.** `/metrics` of the Admin or Status API, with the Prometheus plugin on: text in Prometheus'
format. Each node counts for itself, so every node has to be named.

**Pages.** None. A text whose last line has no line feed broke off.

**A day** has one scrape, shortly before midnight UTC: counters are cumulative, so that a day is the
difference of two scrapes. Past counts can't be asked for.

**A revision** overwrites: a later scrape of the day takes the place of an earlier one.

**Traps.** Counters fall to 0 when a node restarts; they are stored as they are exposed, and a
decrease is for the reader to see. A node that does not answer must not look like a quiet one: it
gets a row `up` of 0, as Prometheus itself does, and the others are stored; if none answers, the run
fails. Most counters are off until the plugin's settings ask for them. The parser adds `_total` to
counters that Kong names without. A consumer may be named by an e-mail address: its hash is stored.

**Unconfirmed:** which labels later versions add; all of them are in `labels`.
"""

from collections.abc import Iterator, Mapping, Sequence

import msgspec
from prometheus_client.parser import text_string_to_metric_families

from lake_assets.sources import config
from lake_assets.sources.answers import TEXT, Answer, AskAgain
from lake_assets.sources.collect import Ask, Collector, Row
from lake_assets.sources.errors import NotConfigured, SourceMismatch, SourceUnavailable
from lake_assets.sources.personal import has_address, hashed

_COLUMNS = {
    "service": "service",
    "route": "route",
    "consumer": "consumer",
    "workspace": "workspace",
    "status_code": "code",
    "source": "source",
    "direction": "direction",
}
"""Columns, and the labels that they are read from."""

_TYPES = frozenset({"counter", "gauge", "histogram", "summary"})


def collect(ask: Ask) -> Iterator[Row]:
    """Every sample of every node, and whether it answered."""
    nodes = [node.rstrip("/") for node in config.listed(ask.settings["KONG_BASE_URL"])]
    if any("@" in node or not node.startswith(("https://", "http://")) for node in nodes):
        raise NotConfigured("KONG_BASE_URL must list addresses as http://host:8001, without logins")
    answered = 0
    for node in nodes:
        try:
            samples = _samples(ask, node)
            answered += 1
        except SourceUnavailable as error:
            if node == nodes[-1] and not answered:
                raise
            ask.warn(f"no counters of one node: {error}")
            samples = ()
        for sample in (_row("up", "gauge", {}, float(bool(samples))), *samples):
            yield {**sample, "node_url": node, "scraped_at": ask.now}


def _samples(ask: Ask, node: str) -> Sequence[Row]:
    """The samples of a node.

    Raises:
        SourceUnavailable: it does not answer.
    """
    token = ask.settings["KONG_ADMIN_TOKEN"]
    found = ask.http.read(
        f"{node}/metrics",
        kinds=TEXT,
        parse=_parsed,
        headers={"kong-admin-token": token} if token else {},
    )
    return found or ()


def _parsed(answer: Answer) -> Sequence[Row]:
    text = answer.body.read().decode("utf-8", "replace")
    if not text.endswith("\n"):
        raise AskAgain(f"{answer.where}: the text ends within a line")
    rows: list[Row] = []
    try:
        for family in text_string_to_metric_families(text):
            kind = family.type if family.type in _TYPES else "unknown"
            added = "_total" if kind == "counter" and f"# TYPE {family.name} " in text else ""
            rows += [
                _row(sample.name.removesuffix(added), kind, sample.labels, sample.value)
                for sample in family.samples
            ]
    except ValueError as error:
        raise SourceMismatch(f"{answer.where}: not in Prometheus' format: {error}") from error
    if not any(str(row["metric"]).startswith("kong_") for row in rows):
        raise SourceMismatch(f"{answer.where}: no counters of Kong in it; is this its API?")
    return rows


def _row(metric: str, kind: str, labels: Mapping[str, str], value: float) -> Row:
    known = {name: hashed(said) if has_address(said) else said for name, said in labels.items()}
    return {
        "metric": metric,
        "metric_type": kind,
        **{column: known.get(label) or None for column, label in _COLUMNS.items()},
        "bucket_le": float(known["le"]) if "le" in known else None,
        "sample_value": float(value),
        "labels": msgspec.json.encode(known).decode(),
    }


COLLECTOR = Collector(
    upstream=config.KONG,
    collect=collect,
    reach_d=0,
    gone="Kong shows its counters of the moment, which belong to today",
)
