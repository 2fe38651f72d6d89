"""Reading the XML document of a Form D notice.

Belongs here: finding and converting fields, and what is kept of people: names and relationships, no
addresses.
Does not belong here: which field becomes which column (`sec_form_d`).
"""

from collections.abc import Callable, Mapping
from decimal import Decimal, InvalidOperation
from typing import TypeVar
from xml.etree.ElementTree import Element, ParseError

import msgspec
from defusedxml import DefusedXmlException
from defusedxml.ElementTree import parse as parse_xml

from lake_assets.sources.answers import Answer, AskAgain
from lake_assets.sources.errors import FieldMismatch, SourceMismatch
from lake_assets.sources.sec_county import Address
from lake_assets.sources.values import kept

Value = TypeVar("Value")

INDEFINITE = "indefinite"
"""What stands for an amount without an end."""

_NO_NAME = {"none", "n/a", "-", "--"}
_FOUNDED_IN_WORDS = {
    "overFiveYears": "over five years ago",
    "withinFiveYears": "within five years",
    "yetToBeFormed": "yet to be formed",
}


class Notice:
    """A notice's fields by their path; None for what is missing or empty.

    Raises:
        AskAgain: the document is not whole.
        SourceMismatch: it is not one that a form makes.
    """

    def __init__(self, answer: Answer) -> None:
        self._where = answer.where
        try:
            root = parse_xml(answer.body).getroot()
        except ParseError as error:
            raise AskAgain(f"{answer.where}: no whole XML document came: {error}") from error
        except DefusedXmlException as error:
            raise SourceMismatch(f"{answer.where}: XML with entities of its own: {error}") from None
        if root is None or root.find("primaryIssuer") is None:
            raise FieldMismatch(
                f"{answer.where}: no Form D: `primaryIssuer` is missing",
                field="primaryIssuer",
                missing=True,
            )
        self._root: Element = root

    @property
    def addresses(self) -> list[Address]:
        """The primary issuer's address, then those of the others."""
        issuers = [*self._root.iterfind("primaryIssuer"), *self._root.iterfind("issuerList/*")]
        parts = ("city", "stateOrCountry", "zipCode")
        return [
            Address(*(_text(issuer, f"issuerAddress/{part}") for part in parts))
            for issuer in issuers
        ]

    def text(self, path: str) -> str | None:
        """The text at a path."""
        return _text(self._root, path)

    def needed(self, path: str) -> str:
        """The text at a path that every notice has.

        Raises:
            FieldMismatch: this one has none.
        """
        if (found := self.text(path)) is None:
            name = path.rpartition("/")[2]
            raise FieldMismatch(f"{self._where}: `{name}` is missing", field=name, missing=True)
        return found

    def flag(self, path: str) -> bool | None:
        """Whether a box is ticked."""
        found = self.text(path)
        return None if found is None else found.lower() in {"true", "1", "yes"}

    def value(self, path: str, convert: Callable[[str, str], Value]) -> Value | str | None:
        """The text at a path as something else; `convert` gets the text and the field's name.

        A text that is nothing of the kind goes on as it is.
        """
        found = self.text(path)
        return None if found is None else kept(convert, found, path.rpartition("/")[2])

    def texts(self, path: str) -> list[str]:
        """All texts at a path."""
        return [text for found in self._root.iterfind(path) if (text := _text(found, "."))]

    def founded(self) -> str | None:
        """The year of founding, or what is said instead of one."""
        base = "primaryIssuer/yearOfInc"
        said = [words for tag, words in _FOUNDED_IN_WORDS.items() if self.flag(f"{base}/{tag}")]
        return self.text(f"{base}/value") or next(iter(said), None)

    def persons(self) -> list[Mapping[str, object]]:
        """The related persons: names and relationships, no addresses."""
        return [
            {
                "name": " ".join(
                    text
                    for name in ("firstName", "middleName", "lastName")
                    if (text := _text(person, f"relatedPersonName/{name}"))
                    and text.lower() not in _NO_NAME
                ),
                "relationships": [
                    text
                    for found in person.iterfind("relatedPersonRelationshipList/relationship")
                    if (text := _text(found, "."))
                ],
            }
            for person in self._root.iterfind("relatedPersonsList/relatedPersonInfo")
        ]


def dollars(text: str, field: str) -> Decimal | None:
    """US dollars; None for an indefinite amount.

    Raises:
        FieldMismatch: it is no amount.
    """
    if text.lower() == INDEFINITE:
        return None
    try:
        return Decimal(text.replace(",", "").removeprefix("$"))
    except InvalidOperation:
        raise FieldMismatch(f"`{field}` is no amount: {text!r}", field=field) from None


def as_text(content: object) -> str:
    """JSON."""
    return msgspec.json.encode(content).decode()


def _text(element: Element, path: str) -> str | None:
    return (element.findtext(path) or "").strip() or None
