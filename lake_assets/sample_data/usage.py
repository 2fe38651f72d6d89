"""What a row's work used: tokens, what they cost, and time.

Belongs here: amounts that several columns tell in their own way, so that they agree.
Does not belong here: who and when (`actors`), how it went (`course`), a single column (`rules`).
"""

from typing import NamedTuple

import numpy as np

from lake_assets.sample_data import actors, course
from lake_assets.sample_data.frame import Frame
from lake_assets.sample_data.planted import Metric
from lake_assets.sample_data.values import MICRO, Floats, Ints


class Tokens(NamedTuple):
    """Tokens of a row: cached ones are part of the prompt, reasoning ones of the completion."""

    prompt: Ints
    completion: Ints
    cached: Ints
    reasoning: Ints


def tokens(frame: Frame) -> Tokens:
    """The tokens of the model calls behind each row."""
    return frame.memo("tokens", _tokens)


def _tokens(frame: Frame) -> Tokens:
    rng = frame.rng("tokens")
    size = actors.habit_of(frame, "appetite")
    if frame.has_numbers("steps"):
        size = size * frame.values("steps").data
    prompt = rng.lognormal(6.8, 0.7, frame.rows) * size
    for mask, factor in frame.effects(Metric.TOKENS):
        prompt = np.where(mask, prompt * factor, prompt)
    completion = rng.lognormal(5.4, 0.7, frame.rows) * size
    completion = np.where(course.failed(frame) & (rng.random(frame.rows) < 0.6), 0, completion)
    told = [_told(frame, name) for name in ("prompt_tokens", "completion_tokens")]
    prompt, completion = (
        own if other is None else other
        for own, other in zip((prompt, completion), told, strict=True)
    )
    cached = prompt * np.where(rng.random(frame.rows) < 0.3, rng.random(frame.rows) * 0.9, 0)
    reasoning = completion * np.where(rng.random(frame.rows) < 0.2, rng.random(frame.rows), 0)
    whole = [np.floor(part).astype(np.int64) for part in (prompt, completion, cached, reasoning)]
    return Tokens(*whole)


def _told(frame: Frame, name: str) -> Ints | None:
    """Tokens that the row it refers to has counted already."""
    carried = frame.carried(name) if frame.has_numbers(name) else None
    return None if carried is None else carried.data


def token_cost(frame: Frame) -> Ints:
    """Their price by the model's price list, in micro-dollars."""
    models = actors.models_of(frame)
    price_in = np.array([each.input_usd_per_mtok for each in models])[actors.model(frame)]
    price_out = np.array([each.output_usd_per_mtok for each in models])[actors.model(frame)]
    used = tokens(frame)
    # Dollars per million tokens are micro-dollars per token.
    return np.rint(used.prompt * price_in + used.completion * price_out).astype(np.int64)


def taken_us(frame: Frame) -> Ints:
    """How long it took, in µs: whole milliseconds, or whole seconds where those are stored."""
    return frame.memo("taken", _taken_us)


def _taken_us(frame: Frame) -> Ints:
    median_ms, spread = _usual_time_ms(frame)
    taken = frame.rng("taken").lognormal(np.log(median_ms), spread, frame.rows)
    taken = taken * actors.habit_of(frame, "slowness")
    for mask, factor in frame.effects(Metric.LATENCY):
        taken = np.where(mask, taken * factor, taken)
    unit = MICRO if _is_in_seconds(frame) else 1_000
    return np.maximum(1, np.rint(taken * 1_000 / unit)).astype(np.int64) * unit


def _is_in_seconds(frame: Frame) -> bool:
    return frame.has_numbers("duration_s") and not frame.has_numbers("latency_ms")


def _usual_time_ms(frame: Frame) -> tuple[Floats, float]:
    ones = np.ones(frame.rows)
    if frame.has_numbers("steps"):
        return ones * 9_000 * frame.values("steps").data, 0.5
    if _is_in_seconds(frame) or frame.table.dataset.watermark == "updated_at":
        return ones * 900_000, 0.8
    if frame.has("model", "latency_ms"):
        medians = np.array([float(each.latency_ms) for each in actors.models_of(frame)])
        return medians[actors.model(frame)], 0.5
    return ones * 240, 0.9
