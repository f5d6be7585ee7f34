"""The last fence before a log line leaves: what looks like a secret becomes stars.

Code logs identifiers and counts, never payloads; but an exception's text may quote what it choked on.
"""

from __future__ import annotations

import re
from functools import cache

STARS = "***"

_NAMES = (
    *("password", "passwd", "secret", "token", "api_key", "apikey", "api-key", "authorization"),
    *("cookie", "assertion", "code_verifier", "private_key", "credentials"),
)
_MARKS = ("://", "bearer ", "basic ", "eyj", "private key", "dpk_", *_NAMES)
"""Without any of these a line has nothing to hide: looking for them costs less than a microsecond."""

_QUOTE = r"""\\?["']?"""


@cache
def _patterns() -> tuple[tuple[re.Pattern[str], str], ...]:
    """Return what is replaced by what, compiled for the first line that may hide something."""
    return (
        # https://user:password@host
        (re.compile(r"(://[^\s:/@\"']*:)[^\s@\"']+@"), rf"\1{STARS}@"),
        (
            re.compile(r"\b((?:bearer|basic)\s+)[A-Za-z0-9._~+/=-]{6,}", re.IGNORECASE),
            rf"\1{STARS}",
        ),
        # JSON Web Tokens, and the platform's own API keys
        (re.compile(r"\beyJ[\w-]{8,}(?:\.[\w-]*)*"), STARS),
        (re.compile(r"\bdpk_[\w.-]{8,}"), STARS),
        (
            re.compile(
                r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)"
            ),
            STARS,
        ),
        # password=..., 'client_secret': '...', {\"refresh_token\": \"...\"}; not secretsmanager:<name>
        (
            re.compile(
                rf"((?:{'|'.join(_NAMES)})(?!smanager)\w*{_QUOTE}\s*[=:]\s*{_QUOTE})"
                r"(?![\s\"'\\]|null\b|true\b|false\b|\*\*\*)[^\s\"'\\&,;}}\])]+",
                re.IGNORECASE,
            ),
            rf"\1{STARS}",
        ),
    )


def redact(line: str) -> str:
    """Return the line with passwords, tokens and keys replaced by stars."""
    lower = line.lower()
    for mark in _MARKS:
        if mark in lower:
            break
    else:
        return line
    for pattern, replacement in _patterns():
        line = pattern.sub(replacement, line)
    return line
