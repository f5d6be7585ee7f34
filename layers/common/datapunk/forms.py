"""Forms as browsers send them (`application/x-www-form-urlencoded`)."""

from __future__ import annotations

from urllib.parse import parse_qsl

from datapunk.errors import MalformedRequestError

FORM = "application/x-www-form-urlencoded"
_MAX_FIELDS = 50


def read_form(content: bytes) -> dict[str, str]:
    """Return the fields of a form.

    Raises MalformedRequestError when it is none, or has a field twice: whoever checks one of two values
    must not act on the other.
    """
    try:
        pairs = parse_qsl(
            content.decode("ascii"),
            keep_blank_values=True,
            strict_parsing=True,
            errors="strict",
            max_num_fields=_MAX_FIELDS,
        )
    except ValueError:
        raise MalformedRequestError("The body is not a well-formed form.") from None
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise MalformedRequestError("The form has a field twice.")
    return fields
