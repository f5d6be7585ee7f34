"""Feature flags: declared once, used, documented; only who asks for them may read them and pays for them."""

from __future__ import annotations

import ast
import json
import re
from typing import Any

import jsonschema
import pytest
from aws_lambda_powertools.utilities.feature_flags import SchemaValidator
from datapunk.flags import catalogue
from datapunk.flags.catalogue import FLAGS, Flag

from infrastructure.documents.flags import build_schema
from tests.support.imports import LAYER, reached_by
from tests.support.rules import OFF, ON, boolean, other, rule
from tests.support.samples import FUNCTIONS, PROJECT, handler_file, operations
from tests.support.templates import template

POLICY = {"Fn::If": ["HostsFlags", {"Ref": "FlagReadPolicy"}, {"Ref": "AWS::NoValue"}]}
ASKING = "datapunk.flags"
GUIDE = PROJECT / "docs" / "how-to" / "switch-a-feature.md"
ACME = ("tenant", "EQUALS", "acme")


def _asks(operation: str) -> bool:
    return ASKING in reached_by(handler_file(operation))


def test_some_operation_asks_and_most_do_not() -> None:
    # Given / When
    asking = [operation for operation in operations() if _asks(operation)]
    # Then
    assert "lake.insert_records" in asking
    assert len(asking) < len(operations()) / 4


@pytest.mark.parametrize("operation", operations())
def test_who_asks_for_a_flag_may_read_the_rules_and_nobody_else(operation: str) -> None:
    # Given
    prefix = "".join(word.capitalize() for word in operation.replace(".", "_").split("_"))
    # When
    policies = template()["Resources"][f"{prefix}Role"]["Properties"]["ManagedPolicyArns"]
    # Then
    assert (POLICY in policies) is _asks(operation)


def test_libraries_of_flags_are_imported_by_the_first_question_only() -> None:
    # Given
    late = {"datapunk.flags.provider", "datapunk.flags.stores"}
    files = [file for file in (LAYER / "datapunk").rglob("*.py") if file.parent.name != "flags"]
    # When
    early = [
        file.name
        for file in [*files, LAYER / "datapunk" / "flags" / "evaluation.py"]
        for node in ast.parse(file.read_text()).body
        if isinstance(node, ast.ImportFrom)
        and node.module
        and (node.module in late or node.module.partition(".")[0] == "openfeature")
    ]
    # Then
    assert early == []


def test_every_flag_of_the_catalogue_is_declared_and_used() -> None:
    # Given
    declared = {name: item for name, item in vars(catalogue).items() if isinstance(item, Flag)}
    sources = [file.read_text() for file in (LAYER / "datapunk").rglob("*.py")]
    sources += [file.read_text() for file in FUNCTIONS.rglob("*.py")]
    # When
    unused = [name for name in declared if sum(name in text for text in sources) == 1]
    # Then
    assert sorted(item.name for item in declared.values()) == sorted(FLAGS)
    assert unused == []


@pytest.mark.parametrize("flag", FLAGS.values(), ids=FLAGS)
def test_a_flag_says_whose_it_is_and_what_it_does(flag: Flag[Any]) -> None:
    # Given / When / Then
    assert flag.name.partition(".")[0] == flag.owner
    assert (LAYER / "datapunk" / flag.owner).is_dir()
    assert flag.description.endswith(".")


def test_appconfig_validates_rules_by_the_catalogue() -> None:
    # Given
    resources = template("infrastructure/flags.yaml")["Resources"]
    # When
    (validator,) = resources["Profile"]["Properties"]["Validators"]
    first = json.loads(resources["FirstVersion"]["Properties"]["Content"])
    # Then the text of infrastructure/flags.schema.json is in the template
    assert json.loads(validator["Content"]) == json.loads(build_schema())
    assert first == {}
    jsonschema.Draft4Validator.check_schema(json.loads(validator["Content"]))


@pytest.mark.parametrize(
    "rules",
    [
        {},
        {"lake.ingest": boolean(OFF)},
        {"lake.ingest": boolean(ON, acme=rule(OFF, ACME))},
        {"lake.rows_per_insert": other(100, acme=rule(10, ACME))},
    ],
)
def test_good_rules_are_taken_by_schema_and_library(rules: dict[str, Any]) -> None:
    # Given
    schema = json.loads(build_schema())
    # When
    jsonschema.Draft4Validator(schema).validate(rules)
    # Then
    if rules:
        assert SchemaValidator(rules).validate() is None  # type: ignore[func-returns-value]


@pytest.mark.parametrize(
    "rules",
    [
        {"lake.unknown": boolean(ON)},
        {"lake.ingest": {}},
        {"lake.ingest": other(1)},
        {"lake.ingest": {"default": "yes"}},
        {"lake.rows_per_insert": boolean(ON)},
        {"lake.rows_per_insert": {"default": 5}},
        {"lake.rows_per_insert": other(-1)},
        {"lake.rows_per_insert": other(10, acme=rule("few", ACME))},
        {"lake.ingest": boolean(ON, acme=rule(OFF))},
        {"lake.ingest": boolean(ON, acme=rule(OFF, ("tenant", "LIKE", "a")))},
    ],
)
def test_bad_rules_are_refused_before_they_are_rolled_out(rules: dict[str, Any]) -> None:
    # Given
    validator = jsonschema.Draft4Validator(json.loads(build_schema()))
    # When / Then
    assert not validator.is_valid(rules)


def test_the_rules_of_the_guide_are_good() -> None:
    # Given
    blocks = re.findall(r"```json\n(.*?)```", GUIDE.read_text(), re.DOTALL)
    validator = jsonschema.Draft4Validator(json.loads(build_schema()))
    # When / Then
    assert len(blocks) >= 2
    for block in blocks:
        validator.validate(json.loads(block))
        SchemaValidator(json.loads(block)).validate()
