"""Recognisers of personal data: a shape to look for, a check that tells it from look-alikes, words of names.

Names and addresses of persons in free text need a language model, which is not here: they are told by the
name of their column. Whatever has a `Recogniser`'s members can stand among them.
"""

from __future__ import annotations

import ipaddress
import itertools
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from pydantic import BaseModel, Field

from datapunk.lake.columns import Sensitivity

NAMED = 0.02
"""Share of values that is enough where the column's name says the same."""


@dataclass(frozen=True, slots=True)
class Recogniser:
    """Finds one kind of personal data in texts.

    `least` is the share of values that must have it where the column's name says nothing; None where the
    name must say it. `confidence` is that of such a finding, from 0 to 1.
    """

    kind: str
    sensitivity: Sensitivity
    words: frozenset[str]
    confidence: float
    least: float | None = None
    shape: re.Pattern[str] | None = None
    check: Callable[[str], bool] = bool

    def found_in(self, text: str) -> bool:
        """Tell whether there is one in the text."""
        if self.shape is None:
            return bool(text.strip())
        return any(self.check(match[0]) for match in self.shape.finditer(text))


class Finding(BaseModel):
    """Personal data that a column seems to hold."""

    kind: str
    share: float = Field(description="Share of the values looked at that have it.", ge=0, le=1)
    confidence: float = Field(ge=0, le=1)
    sensitivity: Sensitivity


def _is_card(text: str) -> bool:
    from stdnum import luhn

    digits = re.sub(r"[ -]", "", text)
    return len(set(digits)) > 1 and bool(luhn.is_valid(digits))


def _is_iban(text: str) -> bool:
    from stdnum import iban

    return bool(iban.is_valid(text))


def _is_ssn(text: str) -> bool:
    from stdnum.us import ssn

    return bool(ssn.is_valid(text))


def _is_address(text: str) -> bool:
    try:
        found = ipaddress.ip_address(text)
    except ValueError:
        return False
    return not (found.is_loopback or found.is_unspecified)


def _is_phone(text: str) -> bool:
    return 7 <= sum(sign.isdigit() for sign in text) <= 15  # noqa: PLR2004 -- E.164


RECOGNISERS: tuple[Recogniser, ...] = (
    Recogniser(
        "email",
        Sensitivity.PERSONAL,
        frozenset({"email", "mail"}),
        0.9,
        NAMED,
        re.compile(r"\b[\w.+-]{1,64}@(?:[A-Za-z0-9-]{1,63}\.){1,8}[A-Za-z]{2,24}\b"),
    ),
    Recogniser(
        "iban",
        Sensitivity.PERSONAL,
        frozenset({"iban", "account", "bank"}),
        0.95,
        NAMED,
        re.compile(r"\b[A-Z]{2}[0-9]{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?\b"),
        _is_iban,
    ),
    # One number in ten passes the check by chance.
    Recogniser(
        "payment_card",
        Sensitivity.SECRET,
        frozenset({"card", "pan", "credit", "payment"}),
        0.8,
        0.5,
        re.compile(r"(?<![\w-])[3-6][0-9]{3}(?:[ -]?[0-9]{2,6}){2,4}(?![\w-])"),
        lambda text: 13 <= len(re.sub(r"[ -]", "", text)) <= 19 and _is_card(text),  # noqa: PLR2004
    ),
    Recogniser(
        "us_ssn",
        Sensitivity.SECRET,
        frozenset({"ssn", "social"}),
        0.7,
        0.5,
        re.compile(r"(?<![\w-])[0-9]{3}-[0-9]{2}-[0-9]{4}(?![\w-])"),
        _is_ssn,
    ),
    Recogniser(
        "ip_address",
        Sensitivity.PERSONAL,
        frozenset({"ip", "address", "client", "remote"}),
        0.7,
        0.1,
        re.compile(
            r"(?<![\w.:])(?:(?:[0-9]{1,3}\.){3}[0-9]{1,3}|[0-9A-Fa-f:]{2,39}:[0-9A-Fa-f]{1,4})(?![\w.:])"
        ),
        _is_address,
    ),
    Recogniser(
        "phone",
        Sensitivity.PERSONAL,
        frozenset({"phone", "mobile", "tel", "telephone", "fax", "cell"}),
        0.5,
        None,
        re.compile(r"(?<![\w-])\+?[0-9][0-9 ()./-]{5,22}[0-9](?![\w-])"),
        _is_phone,
    ),
    Recogniser(
        "birth_date",
        Sensitivity.PERSONAL,
        frozenset({"birth", "birthday", "birthdate", "dob", "born"}),
        0.5,
        None,
        re.compile(r"\b[0-9]{4}-[0-9]{2}-[0-9]{2}|\b[0-9]{1,2}[./][0-9]{1,2}[./][0-9]{2,4}\b"),
    ),
    Recogniser(
        "person_name",
        Sensitivity.PERSONAL,
        frozenset({"firstname", "lastname", "surname", "forename", "fullname"}),
        0.4,
        None,
        re.compile(r"[^\W\d_]{2,}"),
    ),
    Recogniser(
        "postal_address",
        Sensitivity.PERSONAL,
        frozenset({"street", "zip", "zipcode", "postcode"}),
        0.4,
        None,
    ),
)
_WORD = re.compile(r"[a-z]+")


def recognise(
    name: str, values: Sequence[str], recognisers: Sequence[Recogniser] = RECOGNISERS
) -> list[Finding]:
    """Return what the values of a column, as texts, seem to hold, the most certain first."""
    return sorted(
        _findings(name, values, recognisers), key=lambda item: (-item.confidence, item.kind)
    )


def _findings(
    name: str, values: Sequence[str], recognisers: Sequence[Recogniser]
) -> Iterator[Finding]:
    words = _WORD.findall(name.lower())
    # first_name is said in two words, firstname in one.
    said = {*words, *(a + b for a, b in itertools.pairwise(words))}
    for recogniser in recognisers:
        named = bool(recogniser.words & said)
        if not values or (recogniser.least is None and not named):
            continue
        share = sum(map(recogniser.found_in, values)) / len(values)
        if share >= (NAMED if named else recogniser.least or 0) and share:
            yield Finding(
                kind=recogniser.kind,
                share=round(share, 4),
                confidence=min(1.0, round(recogniser.confidence + (0.3 if named else 0), 2)),
                sensitivity=recogniser.sensitivity,
            )


def proposed(findings: Sequence[Finding]) -> Sensitivity | None:
    """Return the sensitivity that findings speak for, None where there are none."""
    order = list(Sensitivity)
    return max((item.sensitivity for item in findings), key=order.index, default=None)
