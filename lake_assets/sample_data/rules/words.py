"""Columns that say it in words: states, names, sentences, JSON.

Belongs here: rules for text and JSON columns that are no ids, from the name of the column.
Does not belong here: the words themselves (`pools`, `texts`).
"""

from dataclasses import replace

import numpy as np

from lake_assets.catalog import Column
from lake_assets.sample_data import actors, course
from lake_assets.sample_data.frame import Frame
from lake_assets.sample_data.pools import pool_of
from lake_assets.sample_data.rules import baskets
from lake_assets.sample_data.rules.identity import own_key
from lake_assets.sample_data.rules.match import rules
from lake_assets.sample_data.texts import COMPANY_NAMES, PEOPLE_NAMES, TEXTS, documents
from lake_assets.sample_data.values import Form, Values, coded
from lake_assets.sample_data.world import AGENT_NAMES

_STATES = ("succeeded", "failed", "running", "timed_out")
_CLOUDS = ("aws", "gcp", "railway")
_SOME = 12
_ADDRESSES = (
    *(f"203.0.113.{host}" for host in range(1, 40)),
    *(f"2001:db8::{host:x}" for host in range(1, 20)),
)


def words(frame: Frame, column: Column) -> Values:
    """A text column."""
    name = column.name
    pool = pool_of(column)
    if name in course.STATUS_NAMES:
        return course.status(frame, name, pool or _STATES)
    if name.startswith(("error_", "failure_")):
        return _of(frame, column, pool).where_null(~course.failed(frame))
    if name in {"model", "model_id"} and not column.values:
        return coded(actors.model(frame), tuple(each.name for each in actors.models_of(frame)))
    if name in {"provider", "inference_provider"}:
        return _provider(frame, column)
    if name == "agent_name" and pool == AGENT_NAMES:
        return coded(actors.agent(frame), AGENT_NAMES)
    return _of(frame, column, pool)


def _of(frame: Frame, column: Column, pool: tuple[str, ...] | None) -> Values:
    if pool is not None:
        return frame.words(column.name, pool)
    if column.name in TEXTS:
        return frame.words(column.name, TEXTS[column.name], steepness=0.4)
    return _RULES.make(frame, column)


def _numbered(frame: Frame, column: Column) -> Values:
    spelled = Form(prefix=f"{column.name[:3].upper()}-", digits=10)
    return replace(own_key(frame, column), form=spelled)


def _address(frame: Frame, column: Column) -> Values:
    return frame.words(column.name, _ADDRESSES, steepness=0.6)


def _url(frame: Frame, column: Column) -> Values:
    paths = tuple(f"https://files.example/{column.name}/{number}" for number in range(_SOME))
    return frame.words(column.name, paths)


def _name(frame: Frame, column: Column) -> Values:
    people = frame.has("email_hash")
    return frame.words(column.name, PEOPLE_NAMES if people else COMPANY_NAMES, steepness=0.3)


def _label(frame: Frame, column: Column) -> Values:
    labels = tuple(f"{column.name}-{number}" for number in range(1, _SOME + 1))
    return frame.words(column.name, labels)


_RULES = rules(
    (r"(.*_)?(number|sku|ref)", _numbered),
    (r"(.*_)?(ip|ip_address)", _address),
    (r"(.*_)?(url|uri)", _url),
    (r"(.*_)?name", _name),
    otherwise=_label,
)


def _provider(frame: Frame, column: Column) -> Values:
    """Who runs the model of the row; where there is no model, whose cloud it is."""
    if not (frame.has("model") or frame.has("model_id")):
        return frame.words(column.name, column.values or _CLOUDS)
    providers = tuple(each.provider for each in actors.models_of(frame))
    if not column.values:
        return coded(actors.model(frame), providers)
    listed = [
        column.values.index(provider) if provider in column.values else place % len(column.values)
        for place, provider in enumerate(providers)
    ]
    return coded(np.array(listed)[actors.model(frame)], column.values)


def document(frame: Frame, column: Column) -> Values:
    """A JSON column."""
    if column.name == "line_items":
        return baskets.line_items(frame)
    return frame.words(column.name, documents(column.name, frame.table.partition), steepness=0.2)
