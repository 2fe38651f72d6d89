"""The one way to ask an outside source over HTTP: paced, retried, checked, and without secrets.

Belongs here: what is the same for every upstream: timeouts, pace per host, trying again, asking
once per run, keeping secrets out of texts.
Does not belong here: judging an answer (`answers`), what it means (the upstream's own module).

Rules that hold for every request:

- No redirect is followed, and an HTML page is never data, whatever its status: both are how
  portals say "no".
- A body is read whole and checked before anything of it is used: an answer that breaks off is
  asked for again, and no row of it was seen.
- 408, 425, 429, 5xx, broken connections and broken-off bodies are tried again; `Retry-After` is
  obeyed. All else is judged once.
- The values of secret settings are cut out of every text that leaves this module.
- The pace is even, retries included; `turns` says whether other runs keep it too.
"""

import email.utils
import logging
import ssl
import time
from collections.abc import Callable, Collection, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any, Self, TypeVar
from urllib.parse import quote, quote_plus, urlsplit

import httpx
import msgspec
from tenacity import RetryCallState, Retrying, retry_if_exception, stop_after_attempt
from tenacity.wait import wait_exponential_jitter

from lake_assets.sources.answers import (
    JSON,
    Answer,
    AskAgain,
    Moved,
    Refused,
    Transient,
    Unanswered,
    Wanted,
    decoded,
    judged,
)
from lake_assets.sources.errors import SourceMismatch, SourceUnavailable
from lake_assets.sources.turns import Turns, own_turns

Shape = TypeVar("Shape")
Params = Mapping[str, str | int]


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpPolicy:
    """How patiently a source is asked. `total_s` bounds one answer, however slowly it trickles."""

    timeout_s: float = 60
    total_s: float = 900
    attempts: int = 6
    first_wait_s: float = 0.5
    max_wait_s: float = 120
    requests_per_s: float = 1
    max_bytes: int = 64 * 1024 * 1024


def _never(_status: int, _text: str) -> bool:
    return False


@cache
def _trusted() -> ssl.SSLContext:
    """The certificates that are trusted; reading them takes longer than most requests."""
    return httpx.create_ssl_context()


def _utc_now() -> datetime:
    return datetime.now(tz=UTC)


@dataclass(slots=True, kw_only=True)
class HttpSource:
    """Requests to one upstream within one run. `secrets` are values that no text may show.

    Requests wait for their turn in a queue per host, or all in the one that `queue` names.
    """

    policy: HttpPolicy
    secrets: Collection[str] = field(default=(), repr=False)
    transport: httpx.BaseTransport | None = None
    sleep: Callable[[float], None] = time.sleep
    monotonic: Callable[[], float] = time.monotonic
    clock: Callable[[], datetime] = _utc_now
    turns: Turns = field(default_factory=own_turns)
    queue: str = ""
    requests: int = 0
    # Why the last request got no answer; None once one got an answer.
    unanswered: str | None = None
    _client: httpx.Client = field(init=False, repr=False)
    _answers: dict[object, object] = field(
        init=False, repr=False, default_factory=dict[object, object]
    )

    def __post_init__(self) -> None:
        # At INFO and below these two write whole URLs, and some sources want keys in the URL.
        for name in ("httpx", "httpcore"):
            logging.getLogger(name).setLevel(logging.WARNING)
        self._client = httpx.Client(
            timeout=self.policy.timeout_s,
            follow_redirects=False,
            transport=self.transport,
            verify=_trusted(),
            headers={"user-agent": "ainative-lake"},
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def get_json(
        self,
        url: str,
        *,
        into: type[Shape],
        params: Params | None = None,
        headers: Mapping[str, str] | None = None,
        body: object = None,
        transient: Transient = _never,
        remember: bool = False,
    ) -> Shape:
        """The answer as `into`; with `body`, which is sent as JSON, by POST.

        With `remember`, the same question is asked once per run.

        Raises:
            SourceUnavailable: no whole answer came.
            SourceMismatch: the answer is an error, a page, or not of that shape.
        """
        found = self.find_json(
            url,
            into=into,
            params=params,
            headers=headers,
            body=body,
            transient=transient,
            remember=remember,
            absent=(),
        )
        if found is None:
            raise SourceMismatch(f"{self._where('GET', url, params or {})}: null instead of data")
        return found

    def find_json(
        self,
        url: str,
        *,
        into: type[Shape],
        params: Params | None = None,
        headers: Mapping[str, str] | None = None,
        body: object = None,
        transient: Transient = _never,
        remember: bool = False,
        absent: Collection[int] = (404,),
    ) -> Shape | None:
        """As `get_json`, or None where a status in `absent` says that there is no such thing.

        Raises:
            SourceUnavailable: no whole answer came.
            SourceMismatch: the answer is an error, a page, or not of that shape.
        """
        question = (url, tuple(sorted((params or {}).items())), msgspec.json.encode(body), into)
        if question in self._answers:
            return self._recalled(question)
        wanted = self._wanted(
            url,
            params=params,
            headers=headers,
            kinds=JSON,
            absent=absent,
            transient=transient,
            body=body,
        )
        try:
            found = self._settle(wanted, lambda answer: decoded(answer, into))
        except (Refused, Moved) as refusal:
            if remember:
                self._answers[question] = refusal
            raise
        if remember:
            self._answers[question] = found
        return found

    def _recalled(self, question: object) -> Any:
        answer = self._answers[question]
        if isinstance(answer, Refused | Moved):
            raise answer
        return answer

    @contextmanager
    def download(
        self,
        url: str,
        *,
        kinds: Sequence[str],
        params: Params | None = None,
        headers: Mapping[str, str] | None = None,
        etag: str | None = None,
        since: datetime | None = None,
        absent: Collection[int] = (),
        transient: Transient = _never,
        max_bytes: int = 1024 * 1024 * 1024,
    ) -> Generator[Answer | None]:
        """A whole body as a file at its start, for parsers that stream; large ones are on disk.

        With `etag` or `since` the answer may be `unchanged`. None stands for a status in `absent`.

        Raises:
            SourceUnavailable: no whole answer came.
            SourceMismatch: the answer is an error, a page, too large, or of another kind.
        """
        conditions = {"if-none-match": etag} if etag else {}
        if since:
            moment = email.utils.format_datetime(since.astimezone(UTC), usegmt=True)
            conditions["if-modified-since"] = moment
        wanted = self._wanted(
            url,
            params=params,
            headers={**(headers or {}), **conditions},
            kinds=kinds,
            absent=absent,
            transient=transient,
            max_bytes=max_bytes,
        )
        answer = self._settle(wanted, lambda answer: answer)
        try:
            yield answer
        finally:
            if answer is not None:
                answer.body.close()

    def read(
        self,
        url: str,
        *,
        kinds: Sequence[str],
        parse: Callable[[Answer], Shape],
        headers: Mapping[str, str] | None = None,
        absent: Collection[int] = (),
        max_bytes: int | None = None,
    ) -> Shape | None:
        """What `parse` makes of the whole body; None for a status in `absent`.

        `parse` may raise `AskAgain` for a body that is not whole, though HTTP says that it is.

        Raises:
            SourceUnavailable: no whole answer came.
            SourceMismatch: the answer is an error, a page, too large, or of another kind.
        """
        wanted = self._wanted(
            url,
            params=None,
            headers=headers,
            kinds=kinds,
            absent=absent,
            transient=_never,
            max_bytes=max_bytes,
        )

        def parsed(answer: Answer) -> Shape:
            with answer.body:
                return parse(answer)

        return self._settle(wanted, parsed)

    def redacted(self, text: str) -> str:
        """The text without any secret value, however it was encoded into a URL."""
        for secret in self.secrets:
            for form in {secret, quote(secret, safe=""), quote_plus(secret)}:
                text = text.replace(form, "***")
        return text

    def _wanted(
        self,
        url: str,
        *,
        params: Params | None,
        headers: Mapping[str, str] | None,
        kinds: Sequence[str],
        absent: Collection[int],
        transient: Transient,
        body: object = None,
        max_bytes: int | None = None,
    ) -> Wanted:
        method = "GET" if body is None else "POST"
        return Wanted(
            method=method,
            url=url,
            where=self._where(method, url, params or {}),
            params=params or {},
            headers=headers or {},
            body=body,
            kinds=kinds,
            absent=absent,
            transient=transient,
            max_bytes=max_bytes or self.policy.max_bytes,
            total_s=self.policy.total_s,
        )

    def _where(self, method: str, url: str, params: Params) -> str:
        query = "&".join(f"{name}={value}" for name, value in params.items())
        return self.redacted(f"{method} {url}{'?' if query else ''}{query}")

    def _settle(self, wanted: Wanted, read: Callable[[Answer], Shape]) -> Shape | None:
        """One value for one request, however many attempts it takes."""

        def attempt() -> Shape | None:
            try:
                answer = self._attempt(wanted)
            except AskAgain as error:
                self.unanswered = self.redacted(str(error))
                raise
            self.unanswered = None
            return None if answer is None else read(answer)

        retrying = Retrying(
            sleep=self.sleep,
            stop=stop_after_attempt(self.policy.attempts),
            retry=retry_if_exception(self._worth_another),
            wait=self._wait_s,
            reraise=True,
        )
        try:
            return retrying(attempt)
        except SourceUnavailable as error:
            times = retrying.statistics["attempt_number"]
            tried = "once" if times == 1 else f"{times} times"
            said = f"{self.redacted(str(error))} (tried {tried}{self._beyond(error)})"
            status = error.status if isinstance(error, Unanswered) else 0
            raise Unanswered(said, status=status) from None
        except Moved as error:
            raise Moved(self.redacted(str(error)), location=error.location) from None
        except Refused as error:
            raise Refused(
                self.redacted(str(error)), status=error.status, text=self.redacted(error.text)
            ) from None
        except SourceMismatch as error:
            raise SourceMismatch(self.redacted(str(error))) from None

    def _attempt(self, wanted: Wanted) -> Answer | None:
        self._take_turn(urlsplit(wanted.url).netloc)
        self.requests += 1
        try:
            with self._client.stream(
                wanted.method,
                wanted.url,
                params=wanted.params or None,
                headers=wanted.headers,
                json=wanted.body,
            ) as response:
                return judged(response, wanted, now=self.clock())
        except httpx.HTTPError as error:
            what = str(error) or type(error).__name__
            raise AskAgain(f"{wanted.where}: no whole answer: {what}") from error

    def _take_turn(self, host: str) -> None:
        now = self.monotonic()
        turn = self.turns(self.queue or host, now, 1 / self.policy.requests_per_s)
        if turn > now:
            self.sleep(turn - now)

    def _worth_another(self, error: BaseException) -> bool:
        wait_s = error.wait_s if isinstance(error, AskAgain) else None
        return isinstance(error, AskAgain) and (wait_s or 0) <= self.policy.max_wait_s

    def _beyond(self, error: SourceUnavailable) -> str:
        """How long the source asks to wait, where that is longer than a run may."""
        wait_s = error.wait_s if isinstance(error, AskAgain) else None
        if wait_s is None or wait_s <= self.policy.max_wait_s:
            return ""
        until = self.clock() + timedelta(seconds=wait_s)
        return (
            f"; the source asks to wait {wait_s:,.0f} s, until {until:%Y-%m-%d %H:%M:%S} UTC, and "
            f"LAKE_HTTP_MAX_WAIT_S allows {self.policy.max_wait_s:,g} s"
        )

    def _wait_s(self, state: RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        if isinstance(error, AskAgain) and error.wait_s is not None:
            return error.wait_s
        backoff = wait_exponential_jitter(
            multiplier=self.policy.first_wait_s,
            max=self.policy.max_wait_s,
            jitter=self.policy.first_wait_s,
        )
        return backoff(state)
