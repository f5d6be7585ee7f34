"""DELETE /v1/nexus/rate-limits/{tenant}/{operations}/{client}."""

from __future__ import annotations

from datapunk import limits
from datapunk.identity import Caller
from datapunk.limits import DEFAULT, check_rate

from tests.support.invoking import Invoker
from tests.support.people import acting, add_tenant, add_user, rows

NAME = {"tenant": "acme", "operations": "*", "client": "*"}


def test_the_default_counts_again(database: str, invoke: Invoker) -> None:
    # Given
    caller = Caller("user:1", "acme")
    invoke("nexus.set_rate_limit", path=NAME, body={"quota": 9})
    limits.forget()
    assert check_rate(caller, "lake.get_dataset").policy.quota == 9
    # When
    answer, again = (invoke("nexus.delete_rate_limit", path=NAME) for _ in range(2))
    limits.forget()
    # Then
    assert (answer.status, answer.body, again.status) == (204, "", 404)
    assert check_rate(caller, "lake.get_dataset").policy == DEFAULT


def test_a_state_that_has_passed_is_not_taken_back(database: str, invoke: Invoker) -> None:
    # Given
    seen = invoke("nexus.set_rate_limit", path=NAME, body={"quota": 9}).headers["etag"]
    now = invoke("nexus.set_rate_limit", path=NAME, body={"quota": 8}).headers["etag"]
    # When
    late = invoke("nexus.delete_rate_limit", path=NAME, headers={"If-Match": seen})
    kept = rows("SELECT quota FROM nexus.rate_limits")
    timely = invoke("nexus.delete_rate_limit", path=NAME, headers={"If-Match": now})
    # Then
    assert (late.status, kept, timely.status) == (412, [{"quota": 8}], 204)


def test_a_tenants_administrator_is_no_operator(database: str, invoke: Invoker) -> None:
    # Given
    add_tenant("acme")
    admin = add_user("admin@acme.example", roles=["admin"], tenant="acme")
    invoke("nexus.set_rate_limit", path=NAME, body={"quota": 9})
    # When
    answer = invoke("nexus.delete_rate_limit", path=NAME, **acting(admin))
    # Then
    assert answer.status == 403
    assert len(rows("SELECT FROM nexus.rate_limits")) == 1
