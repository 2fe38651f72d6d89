"""Which steps are tried again, and which ends are final.

Belongs here: the policy of every step, errors of sources as failures.
Does not belong here: runs whose process died (`dagster.yaml`), days that stay missing (`catch_up`).
"""

import sys
from collections.abc import Generator
from contextlib import contextmanager

import dagster as dg
from dagster._core.errors import DagsterExecutionInterruptedError

from lake_assets.sources.errors import SourceCancelled, SourceMismatch


class UninterruptedRetries(dg.RetryPolicy):
    """A policy for faults only.

    Dagster asks the policy also after an interrupt, and would run a step again that somebody
    terminated. It asks while it handles the interrupt, which then goes on from here and ends the
    run.
    """

    def calculate_delay(self, attempt_num: int) -> float:
        """Seconds until the next attempt.

        Raises:
            BaseException: the interrupt that is being handled.
        """
        handled = sys.exc_info()[1]
        if isinstance(handled, KeyboardInterrupt | DagsterExecutionInterruptedError):
            raise handled
        return super().calculate_delay(attempt_num)


RETRY = UninterruptedRetries(
    max_retries=3, delay=2, backoff=dg.Backoff.EXPONENTIAL, jitter=dg.Jitter.FULL
)
"""For what may pass: a connection that broke, a store that was busy, a table that is locked."""


@contextmanager
def final_failures(said: str = "") -> Generator[None]:
    """What trying again would not help, as a failure that is not tried again.

    Raises:
        dagster.Failure: the source is not what was declared, or somebody stopped the statement.
    """
    try:
        yield
    except (SourceMismatch, SourceCancelled) as error:
        raise dg.Failure(f"{said}{error}", allow_retries=False) from error
