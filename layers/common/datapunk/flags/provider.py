"""OpenFeature's provider over Powertools' rules. Imported by the first question only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from aws_lambda_powertools.utilities.feature_flags import FeatureFlags
from openfeature import api
from openfeature.evaluation_context import EvaluationContext
from openfeature.exception import TypeMismatchError
from openfeature.flag_evaluation import FlagResolutionDetails
from openfeature.provider import AbstractProvider, Metadata

from datapunk.flags.catalogue import Flag, Kind
from datapunk.flags.evaluation import Attribute, Reason
from datapunk.flags.stores import KeptRules, NoRulesError, open_rules

DOMAIN = "datapunk"
_providers: dict[str, RulesProvider] = {}
"""Empty or one entry: the provider of this environment by its source."""


class RulesProvider(AbstractProvider):
    """Answers OpenFeature's questions from rules that are kept in this environment."""

    def __init__(self, rules: KeptRules) -> None:
        super().__init__()
        self.rules = rules
        self._engine = FeatureFlags(store=rules)

    def get_metadata(self) -> Metadata:
        """Name the provider."""
        return Metadata(name="datapunk-rules")

    def resolve_boolean_details(
        self,
        flag_key: str,
        default_value: bool,  # noqa: FBT001 -- OpenFeature's signature
        evaluation_context: EvaluationContext | None = None,
    ) -> FlagResolutionDetails[bool]:
        """Return a boolean flag's value."""
        return self._resolve(flag_key, default_value, evaluation_context)

    def resolve_string_details(
        self,
        flag_key: str,
        default_value: str,
        evaluation_context: EvaluationContext | None = None,
    ) -> FlagResolutionDetails[str]:
        """Return a text flag's value."""
        return self._resolve(flag_key, default_value, evaluation_context)

    def resolve_integer_details(
        self,
        flag_key: str,
        default_value: int,
        evaluation_context: EvaluationContext | None = None,
    ) -> FlagResolutionDetails[int]:
        """Return a whole number flag's value."""
        return self._resolve(flag_key, default_value, evaluation_context)

    def resolve_float_details(
        self,
        flag_key: str,
        default_value: float,
        evaluation_context: EvaluationContext | None = None,
    ) -> FlagResolutionDetails[float]:
        """Return a number flag's value."""
        return self._resolve(flag_key, default_value, evaluation_context)

    def resolve_object_details(
        self,
        flag_key: str,
        default_value: Any,
        evaluation_context: EvaluationContext | None = None,  # noqa: ARG002 -- OpenFeature's signature
    ) -> FlagResolutionDetails[Sequence[Any] | Mapping[str, Any]]:
        """Refuse: no flag of ours is a structure, since nobody could say which part of it was switched."""
        raise TypeMismatchError(f"{flag_key} is no structure, as {default_value!r} is.")

    def _resolve(
        self, flag: str, default: Any, context: EvaluationContext | None
    ) -> FlagResolutionDetails[Any]:
        try:
            feature = self.rules.get_configuration().get(flag)
        except NoRulesError as error:
            return _failure(default, str(error))
        reason = Reason.DEFAULT
        found = default
        if feature is not None:
            attributes = dict(context.attributes) if context else {}
            found = self._engine.evaluate(name=flag, context=attributes, default=default)
            if not feature.get("rules"):
                reason = Reason.STATIC
            elif found != feature["default"]:
                reason = Reason.TARGETING_MATCH
            if isinstance(default, float) and type(found) is int:
                found = float(found)
            # Python counts a boolean among the whole numbers; a flag does not.
            if type(found) is not type(default):
                return _failure(default, f"{flag} is set to {found!r}.")
        if self.rules.is_stale:
            reason = Reason.STALE
        return FlagResolutionDetails(value=found, reason=str(reason))


def _failure(default: Any, message: str) -> FlagResolutionDetails[Any]:
    """Return the default. Raising would have OpenFeature log a traceback for every question."""
    return FlagResolutionDetails(value=default, reason=str(Reason.ERROR), error_message=message)


def resolve(
    source: str, flag: Flag[Kind], attributes: Mapping[str, Attribute]
) -> tuple[Kind, Reason]:
    """Ask OpenFeature for the flag's value in this context."""
    if source not in _providers:
        forget()
        provider = RulesProvider(open_rules(source))
        api.set_provider_and_wait(provider, DOMAIN)
        _providers[source] = provider
    client = api.get_client(DOMAIN)
    caller = f"{attributes['tenant']}/{attributes['principal']}"
    context = EvaluationContext(targeting_key=caller, attributes=dict(attributes))
    ask: dict[str, Any] = {
        "boolean": client.get_boolean_details,
        "integer": client.get_integer_details,
        "number": client.get_float_details,
        "string": client.get_string_details,
    }
    details = ask[flag.kind](flag.name, flag.default, context)
    return details.value, Reason(str(details.reason))


def forget() -> None:
    """Forget the provider and what it read; the next question opens the source anew."""
    if _providers:
        _providers.clear()
        api.clear_providers()
