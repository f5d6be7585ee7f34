"""Where rules are kept: AWS AppConfig or a JSON file; and what of them this environment holds.

Rules are read anew when they are older than their source allows. Rules that cannot be read or are malformed
leave those before them in force. Names that this version of the code does not know are passed over: after a
rollback the switches that it does know must stay where they are.
"""

from __future__ import annotations

import json
import time
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

from aws_lambda_powertools.utilities.feature_flags import (
    AppConfigStore,
    ConfigurationStoreError,
    SchemaValidator,
    StoreProvider,
)
from aws_lambda_powertools.utilities.feature_flags.exceptions import (
    SchemaValidationError,
    StoreClientError,
)

from datapunk.errors import ConfigurationError
from datapunk.flags.catalogue import FLAGS
from datapunk.telemetry import count, logger

APPCONFIG_SECONDS = 45.0
"""Age at which rules of AppConfig are read anew: how long a switch takes to reach every environment."""
FILE_SECONDS = 1.0
"""The same for a file, which costs a tenth of a millisecond to read."""
PAUSE = 5.0
"""Seconds a source is left alone after a failure, so that requests do not wait for it."""
CONNECT_TIMEOUT = 1.0
READ_TIMEOUT = 2.0
_APPCONFIG_PARTS = 3

Rules = dict[str, Any]


class NoRulesError(ConfigurationStoreError):
    """No rules have been read in this environment yet, and none can be."""


class Source(ABC):
    """Something rules can be read from."""

    max_age: float
    name: str

    @abstractmethod
    def read(self) -> Rules:
        """Return the rules. Raises ConfigurationStoreError when they cannot be read."""


class FileSource(Source):
    """A JSON file."""

    max_age = FILE_SECONDS
    name = "file"

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self) -> Rules:
        """Return what the file holds."""
        try:
            return _object(json.loads(self.path.read_text(encoding="utf-8")))
        except (OSError, ValueError) as error:
            raise ConfigurationStoreError(f"{self.path} cannot be read: {error}") from error


class AppConfigSource(Source):
    """A hosted configuration of AWS AppConfig, read through its data API."""

    max_age = APPCONFIG_SECONDS
    name = "appconfig"

    def __init__(self, application: str, environment: str, profile: str) -> None:
        self._place = (application, environment, profile)
        self._store: AppConfigStore | None = None

    def read(self) -> Rules:
        """Return the deployed configuration.

        A session whose token has expired fails for ever: after a failure the next reading begins another.
        """
        from botocore.exceptions import BotoCoreError

        try:
            if self._store is None:
                self._store = self._open()
            return _object(self._store.get_configuration())
        except (ConfigurationStoreError, StoreClientError, BotoCoreError) as error:
            self._store = None
            raise ConfigurationStoreError("AppConfig does not give the rules.") from error

    def _open(self) -> AppConfigStore:
        import boto3
        from botocore.config import Config

        application, environment, profile = self._place
        limits = Config(
            connect_timeout=CONNECT_TIMEOUT,
            read_timeout=READ_TIMEOUT,
            retries={"total_max_attempts": 1},
        )
        return AppConfigStore(
            environment=environment,
            application=application,
            name=profile,
            max_age=0,
            boto3_client=boto3.client("appconfigdata", config=limits),
        )


class KeptRules(StoreProvider):
    """The rules that were last read whole, read anew when they are too old."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._rules: Rules | None = None
        self._next = 0.0
        self.is_stale = False
        """Whether the source could not be read when it last should have been."""

    @property
    def get_raw_configuration(self) -> Rules:
        """The rules; Powertools asks for both."""
        return self.get_configuration()

    def get_configuration(self) -> Rules:
        """Return the rules. Raises NoRulesError when none were ever read."""
        now = time.monotonic()
        if now >= self._next:
            self._refresh(now)
        if self._rules is None:
            raise NoRulesError("The rules cannot be read.")
        return self._rules

    def _refresh(self, now: float) -> None:
        try:
            read = self._source.read()
            if read:  # Powertools warns of rules that set nothing
                SchemaValidator(schema=read, logger=logger()).validate()
        except (ConfigurationStoreError, SchemaValidationError) as error:
            self.is_stale = True
            self._next = now + min(PAUSE, self._source.max_age)
            count("flag_store_failures_total", source=self._source.name)
            logger().warning("flags not read", extra={"reason": str(error)})
            return
        if read != self._rules:
            unknown = sorted(set(read).difference(FLAGS))
            if unknown:
                logger().warning("unknown flags are passed over", extra={"flags": unknown})
            self._rules = read
        self.is_stale = False
        self._next = now + self._source.max_age


def open_rules(source: str) -> KeptRules:
    """Return the rules of a setting: `file:<path>` or `appconfig:<application>/<environment>/<profile>`.

    Raises ConfigurationError for anything else.
    """
    scheme, _, place = source.partition(":")
    parts = place.split("/")
    if scheme == "file" and place:
        return KeptRules(FileSource(Path(place)))
    if scheme == "appconfig" and len(parts) == _APPCONFIG_PARTS and all(parts):
        return KeptRules(AppConfigSource(*parts))
    raise ConfigurationError("FEATURE_FLAGS is neither a file nor a configuration of AppConfig.")


def _object(document: Any) -> Rules:
    if not isinstance(document, dict):
        raise ConfigurationStoreError("The rules are no JSON object.")
    return document
