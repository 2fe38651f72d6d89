"""The results as tables for people.

Belongs here: drawing.
Does not belong here: measuring, judging (`bars`).
"""

import statistics
from collections.abc import Mapping, Sequence

from rich.console import Console
from rich.table import Table

from benchmarks.query.bars import Bar, Times, light_times, percentile
from benchmarks.query.measure import ManyClients

_console = Console(width=140, highlight=False)


def show_times(title: str, times: Times, queries: Sequence[str]) -> None:
    """Queries down, contenders across, p50 and p99 in milliseconds."""
    table = _table(title, "query", times)
    for query in queries:
        table.add_row(query, *(_cell(taken.get(query, ())) for taken in times.values()))
    _console.print(table)


def show_clients(found: Mapping[str, Sequence[ManyClients]]) -> None:
    """The light mix of several clients: p50, p99 and queries per second."""
    table = _table("Light mix, many clients (p50 / p99 ms, queries per second)", "clients", found)
    for clients in sorted({one.clients for results in found.values() for one in results}):
        cells: list[str] = []
        for results in found.values():
            one = next((one for one in results if one.clients == clients), None)
            taken = light_times(one) if one else ()
            rate = f"  {len(taken) / one.seconds:,.0f}/s" if one and taken else ""
            failed = f"  failed: {one.failures[0][:40]}" if one and one.failures else ""
            cells.append(_cell(taken) + rate + failed)
        table.add_row(str(clients), *cells)
    _console.print(table)


def show_requests(found: Mapping[str, Mapping[str, Mapping[str, int]]]) -> None:
    """S3 requests by contender."""
    table = _table("S3 requests per query (a pass of its own)", "query", found)
    for query in dict.fromkeys(name for counts in found.values() for name in counts):
        table.add_row(query, *(_counts(counts.get(query, {})) for counts in found.values()))
    _console.print(table)


def _counts(counts: Mapping[str, int]) -> str:
    parts = [f"{count:,} {kind}" for kind, count in sorted(counts.items()) if kind != "bytes"]
    megabytes = counts.get("bytes", 0) / 1e6
    return ", ".join(parts) + (f", {megabytes:,.1f} MB" if parts else "") or "none"


def show_stages(found: Mapping[str, Mapping[str, float]]) -> None:
    """Milliseconds of each stage inside our process."""
    stages = list(dict.fromkeys(stage for times in found.values() for stage in times))
    stages.sort(key=lambda stage: stage == "total")
    table = Table(title="Stages of our endpoint, without HTTP (median ms)", title_justify="left")
    table.add_column("query")
    for stage in stages:
        table.add_column(stage, justify="right")
    for query, times in found.items():
        table.add_row(query, *(f"{times.get(stage, 0.0):.2f}" for stage in stages))
    _console.print(table)


def show_bars(bars: Sequence[Bar]) -> None:
    """Every bar with its verdict."""
    table = Table(title="Bars", title_justify="left")
    for column in ("bar", "measured", "wanted", ""):
        table.add_column(column)
    for bar in bars:
        verdict = {True: "[green]pass[/]", False: "[red]FAIL[/]", None: "[yellow]not measured[/]"}
        table.add_row(bar.name, bar.measured, bar.wanted, verdict[bar.passed])
    _console.print(table)


def _table(title: str, first: str, columns: Mapping[str, object]) -> Table:
    table = Table(title=title, title_justify="left")
    table.add_column(first)
    for name in columns:
        table.add_column(name, justify="right")
    return table


def _cell(taken: Sequence[float]) -> str:
    if not taken:
        return "–"
    return f"{statistics.median(taken):,.1f} / {percentile(taken, 0.99):,.1f}"
