"""What became of the mail that we sent, from the provider that a setting names.

**What.** One row per event and recipient, in the lake's terms (`email_mapping`). Resend tells the
last event of each message (`email_resend`), Postmark all (`email_postmark`). SendGrid tells its
events by webhook only, to whoever stores them: it can't be asked.

**A day** is `occurred_at` in UTC. **A revision** overwrites: openings and bounces arrive late, so
the schedule writes the last three days again. Events that the provider no longer keeps stay.

**Personal data.** Recipients are stored as SHA-256 of the address and its domain. Addresses,
phone and card numbers within subjects, tags and reasons are masked, links lose their query, and no
text of a message is read.
"""

from collections.abc import Callable, Iterator, Mapping

from lake_assets.sources import config, email_postmark, email_resend
from lake_assets.sources.collect import Ask, Collector, Row
from lake_assets.sources.email_mapping import MailEvent
from lake_assets.sources.errors import SourceMismatch

_PROVIDERS: Mapping[str, Callable[[Ask], Iterator[MailEvent]]] = {
    "resend": email_resend.events,
    "postmark": email_postmark.events,
}


def collect(ask: Ask) -> Iterator[Row]:
    """The provider's events of the day."""
    provider = ask.settings["EMAIL_PROVIDER"].lower()
    if provider not in _PROVIDERS:
        raise SourceMismatch(f"EMAIL_PROVIDER must be {' or '.join(_PROVIDERS)}, not `{provider}`")
    for event in _PROVIDERS[provider](ask):
        if ask.start <= event.occurred_at < ask.end:
            yield event.row(provider)


COLLECTOR = Collector(
    upstream=config.EMAIL,
    collect=collect,
    reach_d=45,
    fades=True,
    gone="providers keep messages for a limited time (Postmark for 45 days, unless told otherwise)",
)
