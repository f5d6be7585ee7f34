"""Texts that do harm where texts are pasted into SQL."""

METACHARACTERS = (
    "'",
    '"',
    "\\",
    ";",
    "--",
    "/**/",
    "%s",
    "%(x)s",
    "%",
    "{0}",
    "$1",
    "x'; DROP SCHEMA lake CASCADE; --",
    'x"; DROP TABLE lake.datasets; --',
    "x) OR (1=1",
    "1 UNION SELECT version()",
    "pg_sleep(10)",
    "\x00",
    "\u2028\u202e",
    "\U0001f4a3",
    "a" * 5000,
)
