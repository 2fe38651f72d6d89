"""When the SEC accepted a filing: what its list says, compared with the header of the filing.

**What.** `….hdr.sgml` beside the documents of a filing has `<ACCEPTANCE-DATETIME>`, fourteen digits
in New York time, always. The list of a company's filings has the same moment as text with a `Z`,
and for some filers it is the New York time with that `Z`.

**Traps.** A header may be missing. Then the list counts, and the row says so. In the hour that
comes twice when clocks are put back, the list tells which of the two it was, if it fits one.

**Unconfirmed:** the content type of headers, and that filings before 2001 have one.
"""

import re
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from lake_assets.sources.answers import Answer
from lake_assets.sources.collect import Ask, Row
from lake_assets.sources.sec import Edgar
from lake_assets.sources.sec_index import Filing

_NEW_YORK = ZoneInfo("America/New_York")
_ACCEPTED = re.compile(rb"<ACCEPTANCE-DATETIME>\s*(\d{14})")
_KINDS = ("sgml", "text/plain", "octet-stream")
_SAME_WITHIN = timedelta(seconds=2)


def acceptance(ask: Ask, filing: Filing, listed: object) -> Row:
    """The columns `accepted_at` and `accepted_at_source` of a filing."""
    path = f"Archives/{filing.folder}/{filing.accession}.hdr.sgml"
    local = Edgar(ask).file(path, kinds=_KINDS, parse=_accepted)
    said = _moment(listed)
    if local is None:
        # Also what is no time goes on: it is counted as an odd value.
        return {
            "accepted_at": said or listed or None,
            "accepted_at_source": "submissions" if said else None,
        }
    for fold in (0, 1):
        moment = local.replace(tzinfo=_NEW_YORK, fold=fold).astimezone(UTC)
        if said and abs(moment - said) <= _SAME_WITHIN:
            return {"accepted_at": said, "accepted_at_source": "both"}
    moment = local.replace(tzinfo=_NEW_YORK).astimezone(UTC)
    return {"accepted_at": moment, "accepted_at_source": "header"}


def _accepted(answer: Answer) -> datetime | None:
    found = _ACCEPTED.search(answer.body.read())
    try:
        return datetime.strptime(found[1].decode(), "%Y%m%d%H%M%S") if found else None  # noqa: DTZ007
    except ValueError:
        return None


def _moment(listed: object) -> datetime | None:
    try:
        found = datetime.fromisoformat(listed) if isinstance(listed, str) else None
    except ValueError:
        return None
    return found and found.replace(tzinfo=found.tzinfo or UTC)
