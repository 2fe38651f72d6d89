"""The contest's scores as tables, and what can be said of them by source.

Belongs here: means over origins, series and sources, tests of significance, Markdown.
Does not belong here: forecasting and scoring (`contest`).

A series' figure is the mean over its origins, a source's the mean over its series, and sources of
one data set are one. Comparisons are of series and origins that the product forecast.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np
from scipy import stats

from benchmarks.models.contest import OURS, Score
from benchmarks.models.rivals import MEAN, NAIVE, PLAIN
from benchmarks.models.unseen import data_set

Figure = Callable[[Score], float]
_SPOKEN = {MEAN: "mean of three", NAIVE: "seasonal naive"}
ALL = "all"
ORDER = ("dense", "sparse", "negative", "growing", "after a shift")

FIGURES: Mapping[str, Figure] = {
    "score 80": lambda each: each.inner.score,
    "width 80": lambda each: each.inner.width,
    "in 80 %": lambda each: 100 * each.inner.covered,
    "score 95": lambda each: each.outer.score,
    "width 95": lambda each: each.outer.width,
    "in 95 %": lambda each: 100 * each.outer.covered,
}


def groups(scores: Sequence[Score]) -> dict[str, list[Score]]:
    """All scores, then those of each group."""
    found = {ALL: list(scores)}
    for name in ORDER:
        members = [each for each in scores if each.group == name]
        if members:
            found[name] = members
    return found


def compared(scores: Sequence[Score]) -> list[Score]:
    """What the product forecast, by every contender."""
    done = {_place(each) for each in scores if each.contender == OURS}
    return [each for each in scores if _place(each) in done]


def by_series(
    scores: Iterable[Score], contender: str, figure: Figure
) -> dict[tuple[str, str], float]:
    """A contender's figure of each series: the mean over origins."""
    found: dict[tuple[str, str], list[float]] = {}
    for each in scores:
        if each.contender == contender:
            found.setdefault((each.source, each.series), []).append(figure(each))
    return {key: float(np.mean(values)) for key, values in found.items()}


def by_source(series: Mapping[tuple[str, str], float]) -> dict[str, float]:
    """The mean over the series of each data set."""
    found: dict[str, list[float]] = {}
    for (source, _), value in series.items():
        found.setdefault(data_set(source), []).append(value)
    return {name: float(np.mean(values)) for name, values in found.items()}


def points_table(label: str, scores: Sequence[Score]) -> str:
    """MASE by group, and its ratios."""
    lines = _head(
        label,
        "number",
        "sources",
        "MASE",
        "mean of three",
        "seasonal naive",
        "of mean, over series",
        "of mean, over sources",
        "better than naive",
        "no forecast",
    )
    for name, members in groups(scores).items():
        kept = compared(members)
        ours, mean, naive = (by_series(kept, each, mase) for each in (OURS, MEAN, NAIVE))
        if not ours:
            continue
        lines.append(
            row(
                name,
                len(ours),
                len(by_source(ours)),
                *(f"{np.mean(list(each.values())):.2f}" for each in (ours, mean, naive)),
                f"{ratio(ours, mean):.3f}",
                f"{ratio(by_source(ours), by_source(mean)):.3f}",
                f"{100 * np.mean([ours[key] < naive[key] for key in ours]):.0f} %",
                _missing(members),
            )
        )
    return "\n".join(lines)


def intervals_table(label: str, scores: Sequence[Score]) -> str:
    """Interval score, width and coverage; by group of the product, the mean and the best rivals."""
    lines = _head(label, "contender", *FIGURES)
    for name, members in groups(compared(scores)).items():
        made = {
            contender: [over_series(members, contender, figure) for figure in FIGURES.values()]
            for contender in (OURS, *PLAIN)
        }
        best = {min(PLAIN, key=lambda each, place=place: made[each][place]) for place in (0, 3)}
        for contender, cells in made.items():
            if name == ALL or contender in {OURS, MEAN} | best:
                texts = [
                    f"{cell:.1f} %" if each.startswith("in") else f"{cell:.2f}"
                    for each, cell in zip(FIGURES, cells, strict=True)
                ]
                lines.append(row(name, contender, *texts))
    return "\n".join(lines)


def sums_table(label: str, scores: Sequence[Score]) -> str:
    """Sums of 14 days and to the month's end."""
    lines = _head(
        label,
        "contender",
        "error of 14 days",
        "bias of 14 days",
        "error to the month's end",
        "bias to the month's end",
        "in 80 % of that sum",
        "sums",
    )
    reached = {_place(each) for each in scores if each.contender == OURS and each.month}
    for name, members in groups(compared(scores)).items():
        for contender in (OURS, MEAN, NAIVE) if name == ALL else (OURS, MEAN):
            mine = [each for each in members if each.contender == contender]
            # The same sums of every contender: the product may not reach the month's end.
            months = [each.month for each in mine if each.month and _place(each) in reached]
            inside = [each.covered for each in months if each.covered is not None]
            lines.append(
                row(
                    name,
                    contender,
                    *_shares([each.sum_error for each in mine]),
                    *_shares([each.error for each in months]),
                    f"{100 * np.mean(inside):.1f} %" if inside else "",
                    len(months),
                )
            )
    return "\n".join(lines)


def significance(scores: Sequence[Score]) -> str:
    """Ratios by source, how sure they are, where the product is worse; its claimed errors."""
    kept = compared(scores)
    lines = [
        _significance(kept, rival, about, figure)
        for about, figure in (
            ("MASE", mase),
            ("Interval score at 80 %", FIGURES["score 80"]),
            ("Interval score at 95 %", FIGURES["score 95"]),
        )
        for rival in (MEAN, NAIVE)
    ]
    return "\n".join(f"- {each}" for each in (*lines, _worse(kept), claims(kept)))


def _significance(scores: Sequence[Score], rival: str, about: str, figure: Figure) -> str:
    ours = by_source(by_series(scores, OURS, figure))
    theirs = by_source(by_series(scores, rival, figure))
    logs = np.array([np.log(max(ours[name], 1e-9) / max(theirs[name], 1e-9)) for name in ours])
    test = stats.wilcoxon(logs) if len(logs) > 1 and logs.any() else None
    rng = np.random.default_rng(5)
    drawn = rng.choice(logs, (2000, len(logs))).mean(axis=1)
    low, high = np.exp(np.quantile(drawn, [0.025, 0.975]))
    return (
        f"{about} over that of the {_SPOKEN[rival]}: {np.exp(logs.mean()):.3f}, the geometric mean "
        f"over sources (95 % of bootstrap samples of sources: {low:.3f} to {high:.3f}); smaller "
        f"for {(logs < 0).sum()} of {len(logs)} sources"
        + (f", p {test.pvalue:.4f} by Wilcoxon's test." if test is not None else ".")
    )


def _worse(scores: Sequence[Score]) -> str:
    ours, mean = (by_source(by_series(scores, each, mase)) for each in (OURS, MEAN))
    ratios = {name: ours[name] / mean[name] for name in ours}
    worse = sorted((name for name in ours if ratios[name] > 1), key=lambda name: -ratios[name])
    listed = ", ".join(f"{name} ({ratios[name]:.2f})" for name in worse)
    return f"Sources with a greater MASE than the mean of three: {listed or 'none'}."


def claims(scores: Sequence[Score]) -> str:
    """How the errors that forecasts claim rank in comparison with those that came."""
    pairs = [
        (each.claimed, each.mase)
        for each in scores
        if each.contender == OURS and each.claimed is not None
    ]
    if len(pairs) < 3:
        return "No forecast claims an error."
    claimed, came = zip(*pairs, strict=True)
    return (
        f"The error that {len(pairs)} forecasts claim has a rank correlation of "
        f"{stats.spearmanr(claimed, came).statistic:.2f} with the one that came; their medians are "
        f"{np.median(claimed):.2f} and {np.median(came):.2f}."
    )


def mase(score: Score) -> float:
    """Its MASE."""
    return score.mase


def over_series(scores: Sequence[Score], contender: str, figure: Figure) -> float:
    """The mean over series of a figure."""
    return float(np.mean(list(by_series(scores, contender, figure).values())))


def ratio(ours: Mapping[object, float], theirs: Mapping[object, float]) -> float:
    """Of the means of two contenders."""
    return float(np.mean(list(ours.values())) / np.mean(list(theirs.values())))


def _shares(errors: Sequence[float]) -> tuple[str, str]:
    if not errors:
        return "", ""
    return f"{100 * np.mean(np.abs(errors)):.1f} %", f"{100 * np.mean(errors):+.1f} %"


def _missing(scores: Sequence[Score]) -> int:
    return len({_place(each) for each in scores} - {_place(each) for each in compared(scores)})


def _place(score: Score) -> tuple[str, str, int]:
    return score.source, score.series, score.origin


def _head(*cells: str) -> list[str]:
    return [row(*cells), row(*["---"] * len(cells))]


def row(*cells: object) -> str:
    """A line of a table."""
    return f"| {' | '.join(str(each) for each in cells)} |"
