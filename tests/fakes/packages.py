"""npm's download counts and pypistats.org on one server, under their own paths."""

from collections.abc import Mapping
from datetime import date, timedelta

from tests.fakes.base import TODAY, Fake, Reply, Request, as_json

PYPI_KEEPS_D = 180


class FakePackages(Fake):
    """Counts follow from package and day; `npm_until` and `pypi_until` are the last known days."""

    name = "packages"

    def __init__(self, today: date = TODAY) -> None:
        super().__init__(today)
        self.npm = {"lake-client", "@lake/react"}
        self.pypi = {"lake-client"}
        self.npm_until = self.pypi_until = today - timedelta(days=1)

    @property
    def env(self) -> Mapping[str, str]:
        return {
            "NPM_BASE_URL": self.url,
            "PYPISTATS_BASE_URL": self.url,
            "NPM_PACKAGES": ",".join(sorted(self.npm)),
            "PYPI_PACKAGES": ",".join(sorted(self.pypi)),
            "PACKAGES_REQUESTS_PER_S": "1000",
        }

    @staticmethod
    def count(package: str, day: date) -> int:
        return 1_000 + len(package) * 10 + day.toordinal() % 97

    def answer(self, request: Request) -> Reply:
        parts = request.path.strip("/").split("/")
        if parts[:2] == ["downloads", "range"]:
            return self._npm_range(parts[2], "/".join(parts[3:]))
        if parts[:2] == ["api", "packages"] and parts[3:] == ["overall"]:
            return self._pypi_overall(parts[2])
        return as_json({"error": "not found"}, status=404)

    def _npm_range(self, span: str, package: str) -> Reply:
        if package not in self.npm:
            return as_json({"error": f"package {package} not found"}, status=404)
        first, last = (date.fromisoformat(end) for end in span.split(":"))
        days = [first + timedelta(days=i) for i in range((last - first).days + 1)]
        return as_json(
            {
                "downloads": [
                    {
                        "day": f"{day}",
                        "downloads": self.count(package, day) if day <= self.npm_until else 0,
                    }
                    for day in days
                ],
                "start": f"{first}",
                "end": f"{last}",
                "package": package,
            }
        )

    def _pypi_overall(self, package: str) -> Reply:
        if package not in self.pypi:
            return Reply(
                status=404, headers={"content-type": "text/html"}, body=b"<html>404</html>"
            )
        oldest = self.today - timedelta(days=PYPI_KEEPS_D)
        days = [oldest + timedelta(days=i) for i in range((self.pypi_until - oldest).days + 1)]
        data = [
            {"category": category, "date": f"{day}", "downloads": self.count(package, day) + extra}
            for category, extra in (("with_mirrors", 500), ("without_mirrors", 0))
            for day in days
        ]
        return as_json({"data": data, "package": package, "type": "overall_downloads"})
