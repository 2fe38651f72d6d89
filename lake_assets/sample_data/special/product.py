"""What people do in the product: searching, watching, planning.

Belongs here: special columns of `platform/search_queries`, `platform/video_views`,
`platform/sprint_plans`, `platform/social_analytics` and the like.
Does not belong here: what holds for columns of any dataset (`rules`).
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np

from lake_assets.catalog import Column
from lake_assets.sample_data.frame import Frame
from lake_assets.sample_data.rhythm import falling_weights
from lake_assets.sample_data.texts import TEXTS
from lake_assets.sample_data.values import Ints, Values, coded, plain

_SPRINTS = 10
_SPRINT_DAYS = 14


def _results(frame: Frame, _column: Column) -> Values:
    found = frame.rng("results").geometric(0.08, frame.rows)
    return plain(np.where(frame.chance("nothing found", 0.09), 0, found))


def _zero_results(frame: Frame, _column: Column) -> Values:
    return plain(frame.values("result_count").data == 0)


def _clicked(frame: Frame, _column: Column) -> Values:
    found = frame.values("result_count").data
    rank = np.minimum(found, frame.rng("rank").geometric(0.4, frame.rows))
    return plain(rank).where_null((found == 0) | frame.chance("no click", 0.35))


def _watched(frame: Frame, _column: Column) -> Values:
    length = frame.values("video_seconds").data
    return plain((length * frame.rng("watched").beta(2, 1.5, frame.rows)).round(3))


def _completion(frame: Frame, _column: Column) -> Values:
    length, watched = (frame.values(name).data for name in ("video_seconds", "watch_seconds"))
    return plain((100 * watched / np.maximum(length, 0.001)).round(2))


def _sprint(frame: Frame) -> Ints:
    """The sprint of each item, 0 for the one that is going on."""
    return frame.choose("sprint", falling_weights(_SPRINTS))


def _sprint_id(frame: Frame, _column: Column) -> Values:
    return coded(_sprint(frame), tuple(f"spr_{_SPRINTS - ago:04d}" for ago in range(_SPRINTS)))


def _sprint_name(frame: Frame, _column: Column) -> Values:
    return coded(_sprint(frame), tuple(f"Sprint {_SPRINTS - ago} 🏃" for ago in range(_SPRINTS)))


def _sprint_start(frame: Frame, _column: Column) -> Values:
    return plain(frame.day_number - 6 - _SPRINT_DAYS * _sprint(frame))


def _sprint_end(frame: Frame, _column: Column) -> Values:
    return plain(frame.day_number - 7 + _SPRINT_DAYS - _SPRINT_DAYS * _sprint(frame))


def _step_index(frame: Frame, _column: Column) -> Values:
    return plain(frame.values("step").data + 1)


_HANDLES = ("ainative", "ainative_dev", "ainative.jp", "ainative_العربية")


def _of_account(words: tuple[str, ...]) -> Callable[[Frame, Column], Values]:
    def make(frame: Frame, column: Column) -> Values:
        known = words or column.values
        return coded(frame.values("account_id").data % len(known), known)

    return make


def _followers(frame: Frame, _column: Column) -> Values:
    return plain(1_000 + 7_919 * frame.values("account_id").data)


def _engagement(frame: Frame, _column: Column) -> Values:
    reactions = sum(frame.values(name).data for name in ("likes", "comments", "shares", "clicks"))
    return plain((reactions / np.maximum(1, frame.values("impressions").data)).round(6))


def _impressions(frame: Frame, _column: Column) -> Values:
    reactions = sum(frame.values(name).data for name in ("likes", "comments", "shares", "clicks"))
    return plain(reactions * frame.rng("impressions").integers(5, 60, frame.rows))


def _reach(frame: Frame, _column: Column) -> Values:
    return plain(frame.values("impressions").data * 7 // 10)


def _prompt_name(frame: Frame, _column: Column) -> Values:
    names = TEXTS["prompt_name"]
    return coded(frame.values("prompt_id").data % len(names), names)


SPECIAL: Mapping[str, Mapping[str, Callable[[Frame, Column], Values]]] = MappingProxyType(
    {
        "platform/search_queries": {
            "result_count": _results,
            "zero_results": _zero_results,
            "clicked_rank": _clicked,
        },
        "platform/video_views": {"watch_seconds": _watched, "completion_pct": _completion},
        "platform/user_onboarding": {"step_index": _step_index},
        "platform/prompt_usage": {"prompt_name": _prompt_name},
        "platform/social_analytics": {
            "handle": _of_account(_HANDLES),
            "platform_name": _of_account(()),
            "followers": _followers,
            "impressions": _impressions,
            "reach": _reach,
            "engagement_rate": _engagement,
        },
        "platform/sprint_plans": {
            "sprint_id": _sprint_id,
            "sprint_name": _sprint_name,
            "sprint_start": _sprint_start,
            "sprint_end": _sprint_end,
        },
    }
)
