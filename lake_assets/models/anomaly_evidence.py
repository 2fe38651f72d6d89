"""What else is known of an alarm: the unit price, the failures, the models behind it.

Belongs here: figures from the rows of an alarm's agent, on the day and before it.
Does not belong here: finding alarms, the sentences (`anomaly_sentences`).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lake_assets.models.anomaly_alarms import ALL_AGENTS, Finding
from lake_assets.models.anomaly_measures import (
    CALL_NOT_FAILED,
    CALLS,
    FIRST_REFUSED,
    NOT_FAILED,
    REQUESTS,
    RUNS,
    clean,
)
from lake_assets.models.series import Flags, Floats, Span, names_of, places

_COMPARED_D = 28
"""Days before the alarm that the day is compared with."""
_LEAST_SHARE = 0.2
"""Share of the rise that a status or a model must explain to be named."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """Figures beside an alarm; what is not known is None or empty."""

    price: float | None = None
    """US dollars per million tokens on the day, and before it."""
    usual_price: float | None = None
    failure: str = ""
    """The status that rose most, and its shares of the rows on the day and before it."""
    failure_share: float = 0.0
    usual_failure_share: float = 0.0
    model: str = ""
    """The model whose share of the tokens rose most, and its shares."""
    model_share: float = 0.0
    usual_model_share: float = 0.0


def evidence(inputs: Mapping[str, pa.Table], finding: Finding, span: Span) -> Evidence:
    """What the rows tell of an alarm."""
    gather = _GATHERED.get(finding.metric)
    if gather is None:
        return Evidence()
    name, of_rows = gather
    if name not in inputs:
        return Evidence()
    compared = Span(last=span.last, days=min(span.days, _COMPARED_D + 1))
    table = inputs[name]
    at = places(table, compared)
    inside = (at >= 0) & (at < compared.days)
    if finding.agent != ALL_AGENTS:
        is_it = pc.call_function("equal", [names_of(table, "agent_id"), finding.agent])
        inside &= is_it.to_numpy()
    return of_rows(table.filter(pa.array(inside)), at[inside] == compared.days - 1)


def _of_run_statuses(rows: pa.Table, today: Flags) -> Evidence:
    return _of_statuses(_texts(rows, "status"), today, NOT_FAILED)


def _of_call_statuses(rows: pa.Table, today: Flags) -> Evidence:
    return _of_statuses(_texts(rows, "status"), today, CALL_NOT_FAILED)


def _of_responses(rows: pa.Table, today: Flags) -> Evidence:
    codes = np.nan_to_num(clean(rows, "status_code")).astype(np.int64)
    fine = tuple(str(code) for code in np.unique(codes[codes < FIRST_REFUSED]))
    return _of_statuses(pa.chunked_array([pa.array(codes).cast(pa.string())]), today, fine)


def _of_statuses(texts: pa.ChunkedArray, today: Flags, fine: Sequence[str]) -> Evidence:
    word, share, before = _risen(texts, np.ones(len(texts)), today, fine)
    return Evidence(failure=word, failure_share=share, usual_failure_share=before)


def _of_prices(rows: pa.Table, today: Flags) -> Evidence:
    tokens, cost = (np.nan_to_num(clean(rows, name)) for name in ("total_tokens", "cost_usd"))
    tokens = np.maximum(tokens, 0.0)
    word, share, before = _risen(_texts(rows, "model"), tokens, today, ())
    # A model that is as much used as ever explains nothing.
    is_new = share - before >= _LEAST_SHARE
    return Evidence(
        price=_price(cost[today], tokens[today]),
        usual_price=_price(cost[~today], tokens[~today]),
        model=word if is_new else "",
        model_share=share,
        usual_model_share=before,
    )


def _price(cost: Floats, tokens: Floats) -> float | None:
    total = float(np.rint(tokens * 1e3).sum()) / 1e3
    return 1e6 * float(np.rint(cost * 1e6).sum()) / 1e6 / total if total > 0 else None


def _texts(rows: pa.Table, column: str) -> pa.ChunkedArray:
    if column in rows.column_names:
        return names_of(rows, column)
    return pa.chunked_array([pa.array([""] * rows.num_rows, pa.string())])


def _risen(
    texts: pa.ChunkedArray, weights: Floats, today: Flags, fine: Sequence[str]
) -> tuple[str, float, float]:
    """The text whose share rose most, and its shares today and before; empty where none rose."""
    encoded = texts.dictionary_encode().combine_chunks()
    words: list[str] = encoded.dictionary.to_pylist()
    codes = encoded.indices.to_numpy(zero_copy_only=False)
    now, before = (
        np.bincount(codes[which], weights[which], minlength=len(words))
        / max(float(weights[which].sum()), 1e-9)
        for which in (today, ~today)
    )
    best = "", 0.0, 0.0
    for place, word in sorted(enumerate(words), key=lambda each: each[1]):
        rise = now[place] - before[place]
        if word and word not in fine and rise > best[1] - best[2]:
            best = word, float(now[place]), float(before[place])
    return best


_GATHERED: Mapping[str, tuple[str, Callable[[pa.Table, Flags], Evidence]]] = {
    "error_rate": (RUNS, _of_run_statuses),
    "timeout_rate": (RUNS, _of_run_statuses),
    "call_error_rate": (CALLS, _of_call_statuses),
    "request_error_rate": (REQUESTS, _of_responses),
    "tokens": (CALLS, _of_prices),
    "cost_usd": (CALLS, _of_prices),
    "usd_per_million_tokens": (CALLS, _of_prices),
}
