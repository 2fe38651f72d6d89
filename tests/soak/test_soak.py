"""A few steps of the soak (`make soak` goes on for longer)."""

import uuid

from tests.soak.lake import Part, Soak

STEPS = 20


def test_no_row_is_lost_that_was_not_let_go(bucket, postgres):
    schema = f"soak_{uuid.uuid4().hex[:8]}"
    soak = Soak(Part(location=bucket, postgres_url=postgres.url, schema=schema), seed=11)

    for _ in range(STEPS):
        soak.step()

    # What is said to hold was met.
    assert soak.counts["green"]
    assert soak.counts["red"]
    assert soak.counts["killed"]
