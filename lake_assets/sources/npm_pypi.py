"""Download counts of our packages, from npm and from pypistats.org.

**What.** Per package and UTC day the downloads; for PyPI without and with the known mirrors, where
the second contains the first.

**Pages.** None. npm answers a range of days per package (packages with a scope can't be asked for
together, so none are). PyPI Stats always answers with all days it keeps; it has no range. Each is
asked once per package and run, whatever the number of days, as PyPI Stats wants.

**A day** is the day of the downloads. npm keeps 18 months for such questions, PyPI Stats 180 days.

**Not published yet.** Counts appear some hours after midnight UTC, sometimes days later; until then
npm says 0. A 0 of the last days is therefore no count. A day of which nothing is known is not
published yet while it is young, and empty later.

**A revision** overwrites: the schedule writes the last week again every day. Counts that PyPI Stats
no longer keeps stay.

**Traps.** An unknown package is a 404 with both, and so is a PyPI package without any download: it
is left out with a warning. PyPI Stats leaves out days without downloads.

**Unconfirmed:** how long npm may say 0 (three days are allowed for), and npm's limit of requests.
"""

from collections.abc import Iterator
from datetime import UTC, timedelta
from urllib.parse import quote

from lake_assets.sources import config
from lake_assets.sources.collect import Ask, Collector, Row
from lake_assets.sources.errors import NotPublishedYet, SourceMismatch
from lake_assets.sources.npm_pypi_shapes import NpmRange, PypiOverall

_UNSETTLED_D = 3
_NPM_REACH_D = 540


def collect(ask: Ask) -> Iterator[Row]:
    """One row per package whose count of the day is known."""
    npm = config.listed(ask.settings["NPM_PACKAGES"])
    pypi = config.listed(ask.settings["PYPI_PACKAGES"])
    unknown: list[str] = []
    rows = [*_npm(ask, npm, unknown), *_pypi(ask, pypi, unknown)]
    if len(unknown) == len(npm) + len(pypi):
        raise SourceMismatch(f"none of the packages is known: {', '.join(unknown)}")
    if unknown and ask.day == ask.days[0]:
        ask.warn(f"packages without any count were left out: {', '.join(unknown)}")
    if not rows and _is_unsettled(ask):
        raise NotPublishedYet(f"neither npm nor PyPI Stats has counts of {ask.day}")
    yield from rows


def _npm(ask: Ask, packages: tuple[str, ...], unknown: list[str]) -> Iterator[Row]:
    span = f"{ask.days[0]}:{ask.days[-1]}"
    for package in packages:
        found = ask.http.find_json(
            f"{ask.settings['NPM_BASE_URL']}/downloads/range/{span}/{quote(package, safe='@/')}",
            into=NpmRange,
            remember=True,
        )
        if found is None:
            unknown.append(package)
            continue
        for counted in found.downloads:
            if counted.day == ask.day and (counted.downloads or not _is_unsettled(ask)):
                yield {
                    "registry": "npm",
                    "package": package,
                    "metric_date": ask.day,
                    "downloads": counted.downloads,
                    "source": "npm",
                }


def _pypi(ask: Ask, packages: tuple[str, ...], unknown: list[str]) -> Iterator[Row]:
    for package in packages:
        found = ask.http.find_json(
            f"{ask.settings['PYPISTATS_BASE_URL']}/api/packages/{quote(package, safe='')}/overall",
            into=PypiOverall,
            remember=True,
        )
        if found is None:
            unknown.append(package)
            continue
        counts = {kept.category: kept.downloads for kept in found.data if kept.date == ask.day}
        if "without_mirrors" in counts:
            yield {
                "registry": "pypi",
                "package": package,
                "metric_date": ask.day,
                "downloads": counts["without_mirrors"],
                "downloads_with_mirrors": counts.get("with_mirrors"),
                "source": "pypistats",
            }


def _is_unsettled(ask: Ask) -> bool:
    return ask.day >= ask.now.astimezone(UTC).date() - timedelta(days=_UNSETTLED_D)


COLLECTOR = Collector(
    upstream=config.PACKAGES,
    collect=collect,
    reach_d=_NPM_REACH_D,
    fades=True,
    gone="npm answers for 18 months, PyPI Stats keeps 180 days",
)
