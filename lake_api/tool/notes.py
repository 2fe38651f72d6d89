"""What to mind about each dataset, short enough to stand beside its columns.

Belongs here: sharing sentences that several datasets have, and cutting at a sentence.
Does not belong here: the notes themselves (the catalogue), where they stand (`guide`).
"""

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from lake_api.datasets.visible import VisibleCatalog
from lake_assets.catalog import Dataset, Kind

_SHARED_BY = 2
_SENTENCE = re.compile(r"(?<=[.])\s+(?=[A-Z`\d])")


@dataclass(frozen=True, slots=True, kw_only=True)
class Notes:
    """The notes by partition, and the sentences that several refer to, each after its mark."""

    of: Mapping[str, str]
    shared: tuple[str, ...]


def notes_of(visible: VisibleCatalog, *, max_chars: int) -> Notes:
    """The notes on the datasets that a caller sees, each cut at a sentence within `max_chars`."""
    sentences = {one.partition: _sentences(visible, one) for one in visible.datasets}
    counted = Counter(sentence for found in sentences.values() for sentence in found)
    often = [sentence for sentence, count in counted.items() if count >= _SHARED_BY]
    marks = {sentence: f"[{number}]" for number, sentence in enumerate(often, start=1)}
    return Notes(
        of={partition: _cut(found, marks, max_chars) for partition, found in sentences.items()},
        shared=tuple(f"{mark} {sentence}" for sentence, mark in marks.items()),
    )


def _sentences(visible: VisibleCatalog, dataset: Dataset) -> tuple[str, ...]:
    text = " ".join(visible.text(dataset.notes, in_sql=True).split())
    sentences = (one for one in _SENTENCE.split(text) if one)
    # What every full state has is told once, with the kinds.
    is_state = dataset.kind is Kind.SNAPSHOT
    return tuple(one for one in sentences if not (is_state and one.startswith("The same rows")))


def _cut(sentences: tuple[str, ...], marks: Mapping[str, str], max_chars: int) -> str:
    """As many sentences as there is room for, one at least."""
    told = ""
    for sentence in sentences:
        longer = f"{told} {marks.get(sentence, sentence)}".strip()
        if told and len(longer) > max_chars:
            break
        told = longer
    return told
