"""Answers of the gateway's own."""

from __future__ import annotations

import json

from infrastructure.local.catalog import GatewayResponse, RestApi
from infrastructure.local.data_plane import gateway_responses as answers


def api(*responses: GatewayResponse) -> RestApi:
    return RestApi(
        id="a", name="a", stage="s", gateway_responses={item.kind: item for item in responses}
    )


def test_default_is_api_gateways() -> None:
    # When
    rendered = answers.render(answers.THROTTLED, api(), request_id="r")
    # Then
    assert (rendered.status, rendered.body) == (429, b'{"message":"Too Many Requests"}')


def test_own_response_wins_over_general_one() -> None:
    # Given
    general = GatewayResponse(kind="DEFAULT_4XX", status=418)
    own = GatewayResponse(kind="THROTTLED")
    # Then
    assert answers.render(answers.THROTTLED, api(general, own), request_id="r").status == 429
    assert answers.render(answers.UNAUTHORIZED, api(general, own), request_id="r").status == 418
    assert answers.render(answers.INTEGRATION_TIMEOUT, api(general), request_id="r").status == 504


def test_template_is_json_whatever_the_path() -> None:
    # Given
    template = '{"m":$context.error.messageString,"p":"$context.path","x":"$context.unknown"}'
    own = GatewayResponse(kind="UNAUTHORIZED", templates={"application/json": template})
    # When
    rendered = answers.render(answers.UNAUTHORIZED, api(own), request_id="r", path='/"\\$1')
    # Then
    assert json.loads(rendered.body) == {"m": "Unauthorized", "p": '/"\\$1', "x": ""}
