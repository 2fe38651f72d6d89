"""What a source needs from the environment, and turning an environment into values.

Belongs here: settings as data, reading them.
Does not belong here: any one upstream. Standard library only.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from lake_assets.catalog.settings import LAKE_SETTINGS
from lake_assets.sources.errors import NotConfigured


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceSetting:
    """One environment variable of a source. A `secret` never appears in a log or an error."""

    name: str
    sentence: str
    default: str = ""
    required: bool = False
    secret: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Upstream:
    """One outside service: what people call it, and its settings.

    Of the settings named in `one_of` at least one must be set. With `one_queue`, its pace counts
    requests to all of its hosts together. `feeds` are the names that declarations of datasets have
    for what comes from it, where these are not its own name.
    """

    name: str
    title: str
    settings: tuple[SourceSetting, ...]
    one_of: tuple[str, ...] = ()
    one_queue: bool = False
    feeds: tuple[str, ...] = ()

    def missing(self, env: Mapping[str, str]) -> tuple[str, ...]:
        """What a person has to set before this source can be asked; empty if nothing."""
        needed = [s.name for s in self.settings if s.required and not env.get(s.name, "").strip()]
        if self.one_of and not any(env.get(name, "").strip() for name in self.one_of):
            needed.append(" or ".join(self.one_of))
        return tuple(needed)

    def values(self, env: Mapping[str, str]) -> Mapping[str, str]:
        """Every setting by name, with defaults where the environment says nothing.

        Raises:
            NotConfigured: a required setting is missing, or a base URL is none.
        """
        if missing := self.missing(env):
            raise NotConfigured(f"{self.title} is not configured: set {', '.join(missing)}")
        values = {s.name: env.get(s.name, "").strip() or s.default for s in self.settings}
        for name in [name for name in values if name.endswith("_BASE_URL")]:
            values[name] = values[name].rstrip("/")
            if not values[name].startswith(("https://", "http://")):
                raise NotConfigured(f"{self.title}: {name} must start with https:// or http://")
        return values

    def why_not(self, env: Mapping[str, str]) -> str:
        """One sentence on why this source can't be asked; empty if it can."""
        try:
            self.requests_per_s(self.values(env))
        except NotConfigured as missing:
            return str(missing)
        return ""

    def secrets(self, values: Mapping[str, str]) -> tuple[str, ...]:
        """The values that must not be shown."""
        return tuple(values[s.name] for s in self.settings if s.secret and values[s.name])

    def requests_per_s(self, values: Mapping[str, str]) -> float:
        """The pace that the settings ask for.

        Raises:
            NotConfigured: it is no number above 0.
        """
        (name,) = (s.name for s in self.settings if s.name.endswith("_REQUESTS_PER_S"))
        try:
            pace = float(values[name])
        except ValueError:
            pace = 0.0
        if not 0 < pace < float("inf"):
            raise NotConfigured(f"{self.title}: {name} must be a number above 0")
        return pace


def shared_settings(*prefixes: str) -> tuple[SourceSetting, ...]:
    """The settings of the whole lake whose names begin so, as those of a source."""
    return tuple(
        SourceSetting(name=setting.name, default=setting.default, sentence=setting.sentence)
        for setting in LAKE_SETTINGS
        if setting.name.startswith(prefixes)
    )


def listed(text: str) -> tuple[str, ...]:
    """The entries of a comma-separated setting, each once, in order."""
    return tuple(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))


def base_url(name: str, default: str) -> SourceSetting:
    """Where an upstream is reached."""
    return SourceSetting(name=name, default=default, sentence="Where it is reached.")


def pace(name: str, default: str) -> SourceSetting:
    """How fast it is asked."""
    return SourceSetting(name=name, default=default, sentence="Most requests a second to one host.")
