"""The states of a job: what leads where, and that nothing leaves an end."""

import pytest

from lake_api.jobs.states import Event, State, sources, target


def test_every_state_but_the_first_is_reached_and_every_event_leads_somewhere() -> None:
    assert {target(event) for event in Event} == set(State)
    assert all(sources(event) for event in Event)


@pytest.mark.parametrize("state", list(State))
def test_nothing_happens_to_what_is_over(state: State) -> None:
    possible = {event for event in Event if state in sources(event)}
    assert state.is_over is not bool(possible)
    assert state.is_over is (state in {State.SUCCEEDED, State.FAILED, State.CANCELLED})


def test_only_a_waiting_job_begins_and_only_a_running_one_succeeds() -> None:
    assert sources(Event.START) == {State.QUEUED}
    assert sources(Event.SUCCEED) == sources(Event.RETRY) == {State.RUNNING}
    assert sources(Event.CANCEL) == sources(Event.FAIL) == {State.QUEUED, State.RUNNING}
