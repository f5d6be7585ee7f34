"""What is built for: Lambda's Python 3.13 on x86_64, which is Amazon Linux 2023 with glibc 2.34."""

from __future__ import annotations

from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
WORK = PROJECT / ".datapunk" / "build"
"""Where built parts are kept between builds."""

PYTHON = "3.13"
PLATFORM = "x86_64-manylinux_2_34"
"""Takes wheels of manylinux2014 too; that one alone would bring old versions or none."""

RUNTIME_PACKAGES = ("boto3", "botocore", "s3transfer", "urllib3", "python-dateutil", "six")
"""Lambda's runtime has boto3 and these with it: 20 MB that a layer need not carry. They may only be imported
where a call needs them. jmespath, which the runtime has too, stays: Powertools' logger imports it."""


LATE_MODULES = ("datapunk.flags.provider", "datapunk.flags.stores")
"""Ours that import some of those, by way of Powertools' feature flags: so they are imported where a flag is
asked for the first time, and not when a layer is checked."""


class BuildError(Exception):
    """The build cannot go on; the message says what to do."""
