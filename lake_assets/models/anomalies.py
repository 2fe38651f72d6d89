"""`derived/predictions/agent_anomalies`: what is unusual about an agent's day.

Belongs here: rows and sentences.
Does not belong here: what is measured (`anomaly_measures`), what is usual (`anomaly_baseline`),
which of it is an alarm (`anomaly_alarms`).

The threshold is a score of 4, which chance would reach on 1 of 16,000 rows if all noise were as
modelled. `FALSE_ALARM_RATE` is what is stated in every row: the share of rows of ordinary days that
are flagged, as `make bench-models` measures it on simulated agents whose days vary more than chance
and on sample data without planted events, rounded up (docs/models.md).
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from datetime import date, timedelta

import pyarrow as pa

from lake_assets.models.anomaly_alarms import Finding, findings
from lake_assets.models.anomaly_baseline import LEAST_DAYS, score
from lake_assets.models.anomaly_measures import COLUMNS, measures
from lake_assets.models.anomaly_thresholds import FALSE_ALARM_RATE
from lake_assets.models.derivation import Derivation, Window
from lake_assets.models.series import Span

DETECTOR = "robust-weekly-baseline"
DETECTOR_VERSION = "1"
WINDOW_DAYS = 70

_CALLED: Mapping[str, str] = {
    "runs": "runs",
    "requests": "gateway requests",
    "tokens": "tokens",
    "calls": "model calls",
    "cost_usd": "cost",
    "tokens_per_call": "tokens",
    "usd_per_million_tokens": "tokens",
    "timeout_rate": "",
    "cancelled_rate": "",
    "unfinished_rate": "",
    "call_error_rate": "",
    "slow_latency_ms": "",
    "slow_duration_ms": "",
    "error_rate": "the share of failed runs",
    "request_error_rate": "the share of failed requests",
    "latency_ms": "typical latency of model calls",
    "duration_ms": "typical duration of runs",
}


def derive(inputs: Mapping[str, pa.Table], /, *, day: date) -> Iterator[Mapping[str, object]]:
    """One row per agent and metric that has a value on `day`."""
    span = Span(last=day, days=WINDOW_DAYS)
    scored = [(measure, score(measure)) for measure in measures(inputs, span)]
    for finding in findings(scored, span):
        yield _row(finding, day)


def _row(finding: Finding, day: date) -> Mapping[str, object]:
    expected = finding.expected
    known = expected is not None
    above = known and finding.observed > expected
    below = known and finding.observed < expected
    return {
        "anomaly_id": _identity(finding, day),
        "model_name": DETECTOR,
        "model_version": DETECTOR_VERSION,
        "agent_id": finding.agent,
        "metric": finding.metric,
        "observed_date": day,
        "observed_value": finding.observed,
        "expected_value": expected,
        "z_score": round(finding.z, 4) if known else None,
        "severity": finding.severity,
        "is_anomaly": finding.is_alarm,
        "direction": "above" if above else "below" if below else None,
        "baseline_start": day - timedelta(days=WINDOW_DAYS - 1) if known else None,
        "baseline_end": day - timedelta(days=1) if known else None,
        "details": json.dumps(_details(finding), ensure_ascii=False, sort_keys=True),
        "lower_bound": finding.lower if known else None,
        "upper_bound": finding.upper if known else None,
        "rank": finding.rank,
        "episode_start": finding.episode_start if finding.is_alarm else None,
        "false_alarm_rate": FALSE_ALARM_RATE if known else None,
        "merged_into": finding.merged_into or None,
        "explanation": explanation(finding, day),
    }


def _identity(finding: Finding, day: date) -> str:
    text = f"{finding.agent}\x1f{finding.metric}\x1f{day.isoformat()}"
    return hashlib.blake2b(text.encode(), digest_size=12).hexdigest()


def _details(finding: Finding) -> dict[str, object]:
    return {
        "baseline_days": finding.baseline_days,
        "rows": finding.trials,
        "also": list(finding.also),
    }


def explanation(finding: Finding, day: date) -> str:
    """What is unusual, or that nothing is, in one sentence with figures."""
    what = f"{finding.agent}: {_CALLED[finding.metric]}"
    seen = _told(finding.metric, finding.observed)
    if finding.expected is None:
        return (
            f"{what} came to {seen}, which can't be judged: {finding.baseline_days} earlier days "
            f"are known and {LEAST_DAYS} are needed."
        )
    usual = (
        f"{_told(finding.metric, finding.expected)} expected, "
        f"{_told(finding.metric, finding.lower)} to {_told(finding.metric, finding.upper)} usual"
    )
    if not finding.flagged:
        return f"{what} came to {seen}, nothing unusual ({usual})."
    told = f"{what} came to {seen}, {_compared(finding)} ({usual})"
    if finding.merged_into:
        return f"{told}; part of the alarm on {finding.merged_into}."
    if finding.episode_start is not None and finding.episode_start < day:
        told += f", since {finding.episode_start.isoformat()}"
    return f"{told}; with it: {', '.join(finding.also)}." if finding.also else f"{told}."


def _compared(finding: Finding) -> str:
    expected = finding.expected or 0.0
    side = "above" if finding.z > 0 else "below"
    deviations = f"{abs(finding.z):.1f} standard deviations {side} the usual"
    if expected > 0 and finding.observed > 0:
        ratio = finding.observed / expected
        times = f"{ratio:.1f} times" if ratio >= 1.05 else f"{100 * ratio:.0f} % of"
        return f"{times} the expected and {deviations}"
    return deviations


def _told(metric: str, value: float) -> str:
    if metric.endswith("error_rate"):
        return f"{100 * value:.1f} %"
    if metric == "cost_usd":
        return f"{value:,.2f} USD" if value >= 1 or value == 0 else f"{value:.4f} USD"
    unit = " ms" if metric.endswith("_ms") else ""
    return f"{value:,.0f}{unit}"


DERIVATION = Derivation(
    version=DETECTOR_VERSION,
    windows={name: Window(days=WINDOW_DAYS, columns=names) for name, names in COLUMNS.items()},
    derive=derive,
    refresh_d=7,
)
