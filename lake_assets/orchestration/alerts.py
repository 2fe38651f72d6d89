"""Messages to people: what is told, where to, and again when it could not be delivered.

Belongs here: the message, its way to a webhook or to Slack, what a sensor remembers between ticks.
Does not belong here: what is worth a message (`sensors`).

A message is always one line of JSON in the log of the code server. With `LAKE_ALERT_WEBHOOK_URL` it
is posted there as the same JSON, with `LAKE_ALERT_SLACK_WEBHOOK_URL` to Slack as text. One that was
not taken is tried again by later ticks, further and further apart, and given up after a day.
"""

import logging
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

import msgspec

WEBHOOK = "LAKE_ALERT_WEBHOOK_URL"
SLACK = "LAKE_ALERT_SLACK_WEBHOOK_URL"

_TIMEOUT_S = 5.0
_FIRST_WAIT_S = 30.0
_LONGEST_WAIT_S = 3_600.0
_GIVE_UP_S = 86_400.0
_AT_ONCE = 10
_REASON_MAX_CHARS = 500
_SECRET_NAMES = re.compile(r"KEY|SECRET|TOKEN|PASSWORD|WEBHOOK|DATABASE_URL")
_MIN_SECRET_CHARS = 8
_IN_URLS = re.compile(r"(://)[^/\s@]+@")

_log = logging.getLogger("lake.alerts")


class Alert(msgspec.Struct, frozen=True):
    """One message about one dataset."""

    event: str
    dataset: str
    reason: str
    at: datetime
    run_id: str = ""
    task: str = ""

    @property
    def text(self) -> str:
        """The message for people."""
        how = _WORDS.get(self.event, self.event)
        run = f"\nRun {self.run_id}" if self.run_id else ""
        return f"{self.dataset} {how}: {self.reason}{run}\nAgain by hand: lake trigger {self.task}"


_WORDS = {
    "dataset_failed": "could not be written",
    "check_failed": "failed a check",
    "dataset_stale": "is stale",
    "dataset_well": "is well again",
}


class Undelivered(msgspec.Struct, frozen=True):
    """A message that a receiver has not taken yet."""

    alert: Alert
    receiver: str
    since: float
    attempts: int
    next_at: float


class Memory(msgspec.Struct):
    """What a sensor knows from its last tick; its cursor is this as JSON.

    `told` has by dataset what people were last told of it; `seen` are runs that were looked at.
    """

    looked_until: float = 0.0
    seen: list[str] = []
    told: dict[str, str] = {}
    undelivered: list[Undelivered] = []


def remembered(cursor: str | None) -> Memory:
    """The memory of a cursor; a new one where there is none that can be read."""
    try:
        return msgspec.json.decode(cursor or "{}", type=Memory)
    except msgspec.DecodeError:
        return Memory()


def as_cursor(memory: Memory) -> str:
    """The cursor that `remembered` reads."""
    return msgspec.json.encode(memory).decode()


def without_secrets(text: str, env: Mapping[str, str]) -> str:
    """One line of a text, with the values of secret settings and credentials in URLs masked."""
    line = (text.strip().splitlines() or [""])[0][:_REASON_MAX_CHARS]
    for name, value in env.items():
        if len(value) >= _MIN_SECRET_CHARS and _SECRET_NAMES.search(name):
            line = line.replace(value, "***")
    return _IN_URLS.sub(r"\1***@", line)


def tell(alerts: Sequence[Alert], memory: Memory, *, env: Mapping[str, str], now: datetime) -> None:
    """Log new messages, and deliver them with those that are due again."""
    at = now.timestamp()
    for alert in alerts:
        _log.warning(msgspec.json.encode(alert).decode())
        memory.undelivered += [
            Undelivered(alert=alert, receiver=receiver, since=at, attempts=0, next_at=at)
            for receiver in (WEBHOOK, SLACK)
            if env.get(receiver)
        ]
    due = [one for one in memory.undelivered if one.next_at <= at][:_AT_ONCE]
    waiting = [one for one in memory.undelivered if one not in due]
    for one in due:
        failure = _post(one, env)
        if failure is None:
            continue
        if at - one.since > _GIVE_UP_S:
            _log.error(_note("alert_given_up", one, failure))
            continue
        _log.warning(_note("alert_not_delivered", one, failure))
        wait_s = min(_LONGEST_WAIT_S, _FIRST_WAIT_S * 2**one.attempts)
        waiting.append(msgspec.structs.replace(one, attempts=one.attempts + 1, next_at=at + wait_s))
    memory.undelivered = waiting


def _post(one: Undelivered, env: Mapping[str, str]) -> str | None:
    """None when the receiver took it, else why not. The address is a secret and is not named."""
    url = env.get(one.receiver)
    if not url:
        return None
    # Only ticks with a message need it.
    import httpx  # noqa: PLC0415

    body = {"text": one.alert.text} if one.receiver == SLACK else one.alert
    try:
        answer = httpx.post(
            url,
            content=msgspec.json.encode(body),
            headers={"Content-Type": "application/json"},
            timeout=_TIMEOUT_S,
        )
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        return type(error).__name__
    return None if answer.is_success else f"HTTP {answer.status_code}"


def _note(event: str, one: Undelivered, failure: str) -> str:
    return msgspec.json.encode(
        {
            "event": event,
            "dataset": one.alert.dataset,
            "receiver": one.receiver,
            "failure": failure,
            "attempts": one.attempts + 1,
            "at": datetime.now(tz=UTC),
        }
    ).decode()
