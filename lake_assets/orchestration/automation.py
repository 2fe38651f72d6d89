"""When derived datasets run by themselves: when their inputs have come, or were written again.

Belongs here: the condition that every derived dataset shares, and the sensor that evaluates it.
Does not belong here: times (`schedules`), which days a dataset reads (`lake_assets.models`).

A derived day runs once the newest day of each of its windows is there: it does not wait for days
that the lake may never have. It runs again when a day of one of its windows is written again, as
far as its derivation asks for (`refresh_d`). It waits while one of these days is being written. A
run that failed is not repeated by itself until an input is written again.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import dagster as dg
from dagster import AutomationCondition
from dagster._core.asset_graph_view.entity_subset import EntitySubset
from dagster._core.asset_graph_view.serializable_entity_subset import SerializableEntitySubset
from dagster._core.asset_graph_view.timing_metadata import TimingMetadata
from dagster._core.definitions.declarative_automation.operators import (
    AndAutomationCondition,
    OrAutomationCondition,
)

from lake_assets.catalog import Dataset
from lake_assets.models.derivation import Derivation, Window
from lake_assets.orchestration.reindex import is_reindexing

SENSOR_NAME = "derived_datasets"
_INTERVAL_S = 30


class DaysMatch(AutomationCondition[dg.AssetKey]):
    """True for a day D where `operand` is true for a day of `upstream` from D-oldest to D-newest.

    Dagster's own dependency conditions look at the whole window of a dependency; this looks at the
    part of it that decides.
    """

    def __init__(
        self,
        upstream: str,
        operand: AutomationCondition[Any],
        *,
        oldest_lag_d: int,
        newest_lag_d: int,
    ) -> None:
        self._key = dg.AssetKey(upstream.split("/"))
        self._operand = operand
        self._span = f"D-{oldest_lag_d} to D-{newest_lag_d}"
        if oldest_lag_d == newest_lag_d:
            self._span = f"D-{newest_lag_d}" if newest_lag_d else "D"
        self._mapping = dg.TimeWindowPartitionMapping(
            start_offset=-oldest_lag_d,
            end_offset=-newest_lag_d,
            allow_nonexistent_upstream_partitions=True,
        )

    @property
    def name(self) -> str:
        """Which days of which dataset, as the UI shows it."""
        return f"{self._key.to_user_string()} of {self._span}"

    @property
    def children(self) -> Sequence[AutomationCondition[Any]]:
        """What the upstream's days are asked for."""
        return [self._operand]

    @property
    def requires_cursor(self) -> bool:
        """Nothing is remembered between evaluations."""
        return False

    async def evaluate(self, context: Any) -> dg.AutomationResult[dg.AssetKey]:  # type: ignore[override]
        """The days of the derived dataset for which it is true now."""
        view = context.asset_graph_view
        here = context.candidate_subset
        days_here = view.asset_graph.get(here.key).partitions_def
        days_there = view.asset_graph.get(self._key).partitions_def

        def subset(key: dg.AssetKey, value: Any) -> EntitySubset[dg.AssetKey]:
            found = view.get_subset_from_serializable_subset(
                SerializableEntitySubset(key=key, value=value)
            )
            return found or view.get_empty_subset(key=key)

        def down(there: EntitySubset[dg.AssetKey]) -> EntitySubset[dg.AssetKey]:
            mapped = self._mapping.get_downstream_partitions_for_partitions(
                upstream_partitions_subset=there.get_internal_subset_value(),
                upstream_partitions_def=days_there,
                downstream_partitions_def=days_here,
            )
            return subset(here.key, mapped).compute_intersection(here)

        asked = self._mapping.get_upstream_mapped_partitions_result_for_partitions(
            downstream_partitions_subset=here.get_internal_subset_value(),
            downstream_partitions_def=days_here,
            upstream_partitions_def=days_there,
        )
        result = await context.for_child_condition(
            child_condition=self._operand,
            child_indices=[0],
            candidate_subset=subset(self._key, asked.partitions_subset),
        ).evaluate_async()
        timing = result.timing_metadata
        return dg.AutomationResult(
            context,
            true_subset=down(result.true_subset),
            child_results=[result],
            timing_metadata=timing
            and TimingMetadata(
                timestamps={at: down(days) for at, days in timing.timestamps.items()}
            ),
        )


class Unrecorded(AutomationCondition[dg.AssetKey]):
    """False while `lake reindex` records days: what looks new then is not."""

    @property
    def name(self) -> str:
        """What the UI shows."""
        return "no lost history is being recorded"

    @property
    def requires_cursor(self) -> bool:
        """Nothing is remembered between evaluations."""
        return False

    async def evaluate(self, context: Any) -> dg.AutomationResult[dg.AssetKey]:  # type: ignore[override]
        """All days, or none."""
        is_held = is_reindexing(context.asset_graph_view.instance)
        subset = context.get_empty_subset() if is_held else context.candidate_subset
        return dg.AutomationResult(context, true_subset=subset)


def runs_by_itself(derivation: Derivation) -> AutomationCondition[Any]:
    """The condition on which a derived dataset's days are computed."""
    windows = derivation.windows.items()
    inputs_there = AndAutomationCondition(
        operands=[
            DaysMatch(
                upstream,
                ~AutomationCondition.missing(),
                oldest_lag_d=window.lag_d,
                newest_lag_d=window.lag_d,
            )
            for upstream, window in windows
        ]
    ).with_label("the inputs of the day are there")
    first_time = (
        (AutomationCondition.missing() & inputs_there)
        .newly_true()
        .since(AutomationCondition.newly_requested() | AutomationCondition.newly_updated())
        .with_label("it was never computed, and its inputs have come")
    )
    rewritten = OrAutomationCondition(
        operands=[
            _pending(_written_again(upstream, window, derivation)) for upstream, window in windows
        ]
    ).with_label("an input that it is computed from was written again")
    at_rest = (
        ~AutomationCondition.any_deps_in_progress() & ~AutomationCondition.in_progress()
    ).with_label("neither it nor an input is being written")
    return (
        (first_time | rewritten).with_label("there is something new")
        & inputs_there
        & at_rest
        & Unrecorded()
    ).with_label("run by itself")


def _written_again(upstream: str, window: Window, derivation: Derivation) -> DaysMatch:
    further_d = window.days - 1
    if derivation.refresh_d is not None:
        further_d = min(further_d, derivation.refresh_d)
    return DaysMatch(
        upstream,
        AutomationCondition.newly_updated(),
        oldest_lag_d=window.lag_d + further_d,
        newest_lag_d=window.lag_d,
    )


def _pending(written: DaysMatch) -> AutomationCondition[Any]:
    # Two conditions and not one on either: only then does Dagster compare the moments of an input
    # written and a day requested between the same two evaluations.
    return written.since(AutomationCondition.newly_requested()) & written.since(
        AutomationCondition.newly_updated()
    )


def automation_sensor(datasets: Iterable[Dataset], *, running: bool) -> dg.SensorDefinition:
    """The sensor that asks every derived dataset's condition, each half minute."""
    keys = [dg.AssetKey(dataset.asset_key) for dataset in datasets]
    return dg.AutomationConditionSensorDefinition(
        name=SENSOR_NAME,
        target=dg.AssetSelection.assets(*keys),
        description="Computes derived datasets when their inputs have come or were written again.",
        minimum_interval_seconds=_INTERVAL_S,
        default_status=(
            dg.DefaultSensorStatus.RUNNING if running else dg.DefaultSensorStatus.STOPPED
        ),
        # Conditions of this project are known to its code server only, not to the daemon.
        use_user_code_server=True,
    )
