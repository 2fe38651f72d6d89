"""A link of a holder without a token ends with the settings that let the holder in."""

from datetime import UTC, datetime
from typing import Any, cast
from uuid import uuid4

import pytest

from lake_api.files.links import FileLinks, StoredFile
from lake_api.identity import Caller, Role
from lake_api.settings import Settings

NOW = datetime(2026, 11, 22, 10, 30, tzinfo=UTC)
ADMIN = Caller(role=Role.ADMIN, name="admin")
AGENT = Caller(role=Role.AGENT, name="aurora", peer="127.0.0.1")
HOLDER = Caller(role=Role.AGENT, name="mine", token_id=uuid4())
BEFORE = {
    "AINATIVE_INTERNAL_API_KEY": "first",
    "LAKE_EXPORT_ACCESS_KEY": "access",
    "LAKE_EXPORT_SECRET_KEY": "secret",
}


def links(**changed: str) -> FileLinks:
    settings = Settings.from_mapping({**BEFORE, **changed})
    return FileLinks(cast(Any, None), settings=settings, clock=lambda: NOW)


def text_for(holder: Caller) -> str:
    file = StoredFile(
        kind="artifact",
        id=uuid4(),
        key="k",
        name="a.csv",
        media_type="text/csv",
        size_bytes=1,
        etag='"e"',
        expires_at=None,
    )
    url, _ = links().make(file, holder=holder, own_url="http://localhost:8000")
    return url.split("/")[-2]


@pytest.mark.parametrize(
    ("changed", "left"),
    [
        ({}, {"admin", "aurora", "mine"}),
        ({"AINATIVE_INTERNAL_API_KEY": "second"}, {"aurora", "mine"}),
        ({"AINATIVE_INTERNAL_API_KEY": ""}, {"aurora", "mine"}),
        ({"LAKE_INTERNAL_NETWORKS": "none"}, {"admin", "mine"}),
        ({"LAKE_TRUSTED_PROXIES": "10.0.0.0/8"}, {"admin", "mine"}),
        ({"LAKE_EXPORT_SECRET_KEY": "another"}, set[str]()),
    ],
)
def test_whose_links_a_change_of_settings_leaves(changed: dict[str, str], left: set[str]) -> None:
    texts = {holder.name: text_for(holder) for holder in (ADMIN, AGENT, HOLDER)}
    after = links(**changed)
    assert {name for name, text in texts.items() if after.read(text) is not None} == left
