import logging
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import format_datetime

import httpx
import msgspec
import pytest

from lake_assets.sources.answers import CSV, Refused
from lake_assets.sources.errors import SourceMismatch, SourceUnavailable
from lake_assets.sources.http import HttpPolicy, HttpSource

URL = "https://source.test/things"
NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
SECRET = "k3y/with+odd=chars"


class Thing(msgspec.Struct):
    name: str
    count: int = 0


class Clockwork:
    """Time that passes only by sleeping."""

    def __init__(self) -> None:
        self.slept: list[float] = []
        self.now_s = 100.0

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now_s += seconds


class Script:
    """Answers in order, the last one for ever; counts what was asked."""

    def __init__(self, *answers: httpx.Response | Exception | Callable[[], httpx.Response]) -> None:
        self.answers = list(answers)
        self.requests: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer() if callable(answer) else answer


def thing(name: str = "a", **more: object) -> Callable[[], httpx.Response]:
    return lambda: httpx.Response(200, json={"name": name} | more)


def source(
    script: Script, *, clockwork: Clockwork | None = None, secrets=(SECRET,), **policy: float
) -> HttpSource:
    clockwork = clockwork or Clockwork()
    return HttpSource(
        policy=HttpPolicy(**({"requests_per_s": 1_000_000, "attempts": 4} | policy)),
        secrets=secrets,
        transport=httpx.MockTransport(script),
        sleep=clockwork.sleep,
        monotonic=lambda: clockwork.now_s,
        clock=lambda: NOW,
    )


def test_an_answer_comes_in_its_shape_and_new_fields_are_left_out():
    http = source(Script(thing("a", count=2, brand_new="x")))

    assert http.get_json(URL, into=Thing) == Thing(name="a", count=2)


@pytest.mark.parametrize(
    "passing",
    [
        *(httpx.Response(status, text="busy") for status in (408, 425, 429, 500, 502, 503, 504)),
        httpx.ConnectError("refused"),
        httpx.ReadTimeout("silent"),
        httpx.RemoteProtocolError("peer closed connection without complete message body"),
        httpx.Response(200, headers={"content-type": "application/json"}, content=b'{"name": "a'),
        httpx.Response(200, headers={"content-type": "application/json"}, content=b""),
    ],
    ids=str,
)
def test_what_may_pass_is_tried_again(passing):
    script = Script(passing, thing())

    assert source(script).get_json(URL, into=Thing) == Thing(name="a")
    assert len(script.requests) == 2


@pytest.mark.parametrize(
    ("lasting", "says"),
    [
        (httpx.Response(400, json={"error": "no such column"}), 'HTTP 400: {"error":"no such'),
        (httpx.Response(401, text="bad key"), "check the key"),
        (httpx.Response(403, text="<html>forbidden</html>"), "(an HTML page)"),
        (httpx.Response(404, text="gone"), "HTTP 404: gone"),
        (httpx.Response(204), "HTTP 204"),
        (httpx.Response(304), "HTTP 304"),
        (httpx.Response(302, headers={"location": "/login.html?k=v"}), "sends us to /login.html "),
        (httpx.Response(200, html="<html>down</html>"), "HTML page instead of data"),
        (
            httpx.Response(
                200, headers={"content-type": "application/json"}, text="\n <!DOCTYPE HTML><p>down"
            ),
            "HTML page instead of data",
        ),
        (
            httpx.Response(200, text="name,count"),
            "came as `text/plain; charset=utf-8`, not as json",
        ),
        (httpx.Response(200, json={"count": 1}), "missing required field `name`"),
        (httpx.Response(200, json={"name": 7}), "Expected `str`, got `int` - at `$.name`"),
        (httpx.Response(200, json=[]), "Expected `object`, got `array`"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_what_is_broken_is_judged_once_and_named(lasting, says):
    script = Script(lasting)

    with pytest.raises(SourceMismatch) as error:
        source(script).get_json(URL, into=Thing)

    assert says in str(error.value)
    assert str(error.value).startswith(f"GET {URL}: ")
    assert len(script.requests) == 1


def test_a_source_that_stays_away_is_given_up_after_the_attempts():
    clockwork, script = Clockwork(), Script(httpx.Response(503, text="maintenance"))

    with pytest.raises(SourceUnavailable) as error:
        source(script, clockwork=clockwork).get_json(URL, into=Thing)

    assert str(error.value) == f"GET {URL}: HTTP 503: maintenance (tried 4 times)"
    assert len(script.requests) == 4


def test_the_pause_doubles_with_jitter_and_has_a_top():
    clockwork, script = Clockwork(), Script(httpx.Response(503))
    http = source(script, clockwork=clockwork, attempts=6, first_wait_s=1, max_wait_s=5)

    with pytest.raises(SourceUnavailable):
        http.get_json(URL, into=Thing)

    assert len(clockwork.slept) == 5
    for slept, least in zip(clockwork.slept, (1, 2, 4, 5, 5), strict=True):
        assert least <= slept <= min(least + 1, 5)


@pytest.mark.parametrize(
    "header", ["7", format_datetime(datetime(2026, 11, 23, 12, 0, 7, tzinfo=UTC), usegmt=True)]
)
def test_retry_after_is_obeyed_as_a_number_and_as_a_date(header):
    clockwork = Clockwork()
    script = Script(httpx.Response(429, headers={"retry-after": header}), thing())

    source(script, clockwork=clockwork).get_json(URL, into=Thing)

    assert clockwork.slept == [7.0]


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize("header", ["3600", "3600.0", "Mon, 23 Nov 2026 13:00:00 GMT"])
def test_a_source_that_asks_for_an_hour_is_given_up_at_once_and_says_until_when(header, status):
    clockwork = Clockwork()
    script = Script(httpx.Response(status, headers={"retry-after": header}, text="slow down"))

    with pytest.raises(SourceUnavailable) as error:
        source(script, clockwork=clockwork).get_json(URL, into=Thing)

    assert str(error.value) == (
        f"GET {URL}: HTTP {status}: slow down (tried once; the source asks to wait 3,600 s, until "
        "2026-11-23 13:00:00 UTC, and LAKE_HTTP_MAX_WAIT_S allows 120 s)"
    )
    assert clockwork.slept == []


def limited(**headers: str) -> httpx.Response:
    return httpx.Response(
        403, headers={f"x-ratelimit-{k}": v for k, v in headers.items()}, text="rate limit"
    )


def rate_limited(status: int, text: str) -> bool:
    return status == 403 and "rate limit" in text


def test_a_limit_that_is_used_up_is_waited_for_until_it_starts_anew():
    clockwork = Clockwork()
    reset = f"{int(NOW.timestamp()) + 42}"
    past = f"{int(NOW.timestamp()) - 5}"
    script = Script(
        limited(remaining="0", reset=reset), limited(remaining="0", reset=past), thing()
    )

    source(script, clockwork=clockwork).get_json(URL, into=Thing, transient=rate_limited)

    assert clockwork.slept == [42.0, 1.0]


def test_a_limit_that_starts_anew_much_later_is_given_up_at_once():
    clockwork = Clockwork()
    script = Script(limited(remaining="0", reset=f"{int(NOW.timestamp()) + 3000}"))

    with pytest.raises(
        SourceUnavailable, match=r"HTTP 403: rate limit \(tried once; .* wait 3,000 s"
    ):
        source(script, clockwork=clockwork).get_json(URL, into=Thing, transient=rate_limited)

    assert clockwork.slept == []


@pytest.mark.parametrize(
    "headers",
    [
        {"remaining": "7", "reset": "4102444800"},
        {"remaining": "0", "reset": "60"},
        {"remaining": "0", "reset": "soon"},
        {"reset": "4102444800"},
    ],
)
def test_what_else_is_said_of_a_limit_falls_back_to_the_usual_pause(headers):
    clockwork = Clockwork()
    script = Script(limited(**headers), thing())

    source(script, clockwork=clockwork, first_wait_s=1).get_json(
        URL, into=Thing, transient=rate_limited
    )

    assert 1 <= clockwork.slept[0] <= 2


def test_unreadable_retry_after_falls_back_to_the_usual_pause():
    clockwork = Clockwork()
    script = Script(httpx.Response(429, headers={"retry-after": "soon"}), thing())

    source(script, clockwork=clockwork, first_wait_s=1).get_json(URL, into=Thing)

    assert 1 <= clockwork.slept[0] <= 2


def test_a_collector_may_know_errors_that_pass():
    script = Script(httpx.Response(400, text="key is not registered"), thing())

    http = source(script)
    found = http.get_json(
        URL, into=Thing, transient=lambda status, text: status == 400 and "registered" in text
    )

    assert found == Thing(name="a")


def test_absence_is_none_and_other_errors_are_not():
    assert source(Script(httpx.Response(404))).find_json(URL, into=Thing) is None
    with pytest.raises(Refused) as error:
        source(Script(httpx.Response(410, text="gone"))).find_json(URL, into=Thing)
    assert (error.value.status, error.value.text) == (410, "gone")


def test_requests_to_one_host_keep_the_pace_and_hosts_do_not_wait_for_each_other():
    clockwork = Clockwork()
    http = source(Script(thing()), clockwork=clockwork, requests_per_s=10)

    for _ in range(3):
        http.get_json(URL, into=Thing)
    http.get_json("https://other.test/", into=Thing)

    assert clockwork.slept == pytest.approx([0.1, 0.1])


def test_retries_keep_the_pace_too():
    clockwork = Clockwork()
    script = Script(httpx.Response(503, headers={"retry-after": "0"}), thing())

    source(script, clockwork=clockwork, requests_per_s=0.5).get_json(URL, into=Thing)

    assert sum(clockwork.slept) == pytest.approx(2)


def test_a_remembered_question_is_asked_once_and_others_are_not_mistaken_for_it():
    script = Script(thing("a"), thing("b"), thing("c"))
    http = source(script)

    first = [http.get_json(URL, params={"p": 1}, into=Thing, remember=True) for _ in range(2)]
    second = http.get_json(URL, params={"p": 2}, into=Thing, remember=True)
    posted = http.get_json(URL, params={"p": 1}, body={"q": 1}, into=Thing, remember=True)

    assert [found.name for found in (*first, second, posted)] == ["a", "a", "b", "c"]
    assert [request.method for request in script.requests] == ["GET", "GET", "POST"]


def test_a_remembered_refusal_stays_one():
    script = Script(httpx.Response(400, text="unknown series"), thing())
    http = source(script)

    for _ in range(2):
        with pytest.raises(Refused, match="unknown series"):
            http.get_json(URL, into=Thing, remember=True)
    assert len(script.requests) == 1


def test_an_answer_over_the_cap_is_refused():
    script = Script(thing("x" * 1000))

    with pytest.raises(SourceMismatch, match="larger than 100 bytes"):
        source(script, max_bytes=100).get_json(URL, into=Thing)
    with (
        pytest.raises(SourceMismatch, match="larger than 10 bytes"),
        source(
            Script(httpx.Response(200, headers={"content-type": "text/csv"}, text="a,b\n" * 9))
        ).download(URL, kinds=CSV, max_bytes=10),
    ):
        pass


def test_a_download_is_a_whole_file_even_after_a_body_that_broke_off():
    def broken():
        yield b"a,b\n1,2\n"
        raise httpx.RemoteProtocolError("peer closed connection")

    csv = {"content-type": "text/csv"}
    script = Script(
        lambda: httpx.Response(200, headers=csv, content=broken()),
        lambda: httpx.Response(200, headers=csv | {"etag": '"v2"'}, text="a,b\n1,2\n3,4\n"),
    )

    with source(script).download(URL, kinds=CSV) as answer:
        assert answer is not None
        assert answer.body.read() == b"a,b\n1,2\n3,4\n"
        assert answer.headers["etag"] == '"v2"'
    assert answer.body.closed


def test_a_conditional_download_may_be_unchanged():
    script = Script(httpx.Response(304))

    with source(script).download(URL, kinds=CSV, etag='"v1"', since=NOW) as answer:
        assert answer is not None
        assert answer.unchanged

    headers = script.requests[0].headers
    assert headers["if-none-match"] == '"v1"'
    assert headers["if-modified-since"] == "Mon, 23 Nov 2026 12:00:00 GMT"


@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(503, text=f"wrong key {SECRET}"),
        httpx.Response(400, text=f"wrong key {SECRET}"),
        httpx.Response(302, headers={"location": f"/login/{SECRET}"}),
        httpx.Response(200, json={"name": 1}),
        httpx.ConnectError(f"cannot reach ?key={httpx.QueryParams({'key': SECRET})}"),
    ],
    ids=str,
)
def test_no_error_and_no_log_shows_a_secret(answer, caplog):
    caplog.set_level(logging.DEBUG)
    http = source(Script(answer))

    with pytest.raises((SourceMismatch, SourceUnavailable)) as error:
        http.get_json(URL, params={"key": SECRET}, into=Thing)

    told = f"{error.value!s} {error.value!r} {error.value.__cause__} {http!r} {caplog.text}"
    assert "key=***" in told
    for form in (SECRET, "k3y%2Fwith%2Bodd%3Dchars", "k3y"):
        assert form not in told
