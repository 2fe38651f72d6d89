"""`derived/predictions/agent_anomalies`: what is unusual about an agent's day.

Belongs here: rows.
Does not belong here: what is measured (`anomaly_measures`), what is usual (`anomaly_baseline`),
which of it is an alarm (`anomaly_alarms`, `anomaly_thresholds`), sentences (`anomaly_sentences`).

`FALSE_ALARM_RATE` is what is stated in every row: the share of rows of ordinary days that are
flagged, as `make bench-models` measures it on simulated agents whose days vary more than chance
and on sample data without planted events, rounded up (docs/models.md).
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from datetime import date, timedelta

import pyarrow as pa

from lake_assets.models.anomaly_alarms import Finding, findings
from lake_assets.models.anomaly_baseline import score
from lake_assets.models.anomaly_evidence import Evidence, evidence
from lake_assets.models.anomaly_measures import COLUMNS, measures
from lake_assets.models.anomaly_sentences import explanation
from lake_assets.models.anomaly_thresholds import FALSE_ALARM_RATE
from lake_assets.models.derivation import Derivation, Window
from lake_assets.models.series import Span

DETECTOR = "robust-weekly-baseline"
DETECTOR_VERSION = "2"
WINDOW_DAYS = 70


def derive(inputs: Mapping[str, pa.Table], /, *, day: date) -> Iterator[Mapping[str, object]]:
    """One row per agent and metric that has a value on `day`, and one of all agents per metric."""
    span = Span(last=day, days=WINDOW_DAYS)
    scored = [(measure, score(measure)) for measure in measures(inputs, span)]
    found = {finding.label: finding for finding in findings(scored, span)}
    for finding in found.values():
        known = evidence(inputs, finding, span) if finding.is_alarm else Evidence()
        yield _row(finding, day, found, known)


def _row(
    finding: Finding, day: date, found: Mapping[str, Finding], evidence: Evidence
) -> Mapping[str, object]:
    expected = finding.expected
    known = expected is not None
    side = _side(finding)
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
        "direction": side,
        "baseline_start": day - timedelta(days=WINDOW_DAYS - 1) if known else None,
        "baseline_end": day - timedelta(days=1) if known else None,
        "details": json.dumps(_details(finding, evidence), ensure_ascii=False, sort_keys=True),
        "lower_bound": finding.lower if known else None,
        "upper_bound": finding.upper if known else None,
        "rank": finding.rank,
        "episode_start": finding.episode_start if finding.is_alarm else None,
        "false_alarm_rate": FALSE_ALARM_RATE if known else None,
        "merged_into": finding.merged_into or None,
        "detected_by": finding.test,
        "changed_on": finding.changed_on,
        "excess_value": finding.excess,
        "explanation": explanation(finding, day, found=found, evidence=evidence),
    }


def _identity(finding: Finding, day: date) -> str:
    text = f"{finding.agent}\x1f{finding.metric}\x1f{day.isoformat()}"
    return hashlib.blake2b(text.encode(), digest_size=12).hexdigest()


def _side(finding: Finding) -> str | None:
    if finding.expected is None:
        return None
    more = finding.z if finding.flagged else finding.observed - finding.expected
    return "above" if more > 0 else "below" if more < 0 else None


def _details(finding: Finding, evidence: Evidence) -> dict[str, object]:
    known = {name: value for name, value in asdict(evidence).items() if value not in {None, ""}}
    return {
        "baseline_days": finding.baseline_days,
        "rows": finding.trials,
        "also": list(finding.also),
        **(known if evidence != Evidence() else {}),
    }


DERIVATION = Derivation(
    version=DETECTOR_VERSION,
    windows={name: Window(days=WINDOW_DAYS, columns=names) for name, names in COLUMNS.items()},
    derive=derive,
    refresh_d=7,
)
