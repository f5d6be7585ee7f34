"""REST and WebSocket APIs as they are deployed."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from infrastructure.local.catalog import (
    Authorizer,
    GatewayResponse,
    RestApi,
    Route,
    WebSocketApi,
)
from infrastructure.local.control_plane.aws import Clients

if TYPE_CHECKING:
    from infrastructure.local.control_plane.reading import Deployed

_REST = "AWS::ApiGateway::RestApi"
_WEBSOCKET = "AWS::ApiGatewayV2::Api"
_INVOCATION = re.compile(r"functions/(?P<arn>[^/]+)/invocations")
_LOCATIONS = {"query": "querystring", "header": "header", "path": "path"}
_ALL_METHODS = "*/*"
_NO_SOURCE = "method.request.header.Unused"
"""What the control plane makes of a security scheme that names no header (SAM writes `Unused` there)."""


def function_name(reference: str) -> str:
    """Return the function's name from its name, its ARN or an API's integration URI."""
    match = _INVOCATION.search(reference)
    arn = match["arn"] if match else reference
    parts = arn.split(":")
    return parts[6] if arn.startswith("arn:") else parts[0]


def read_rest_api(clients: Clients, deployed: Deployed) -> RestApi | None:
    """Return the stack's REST API, None when it has none."""
    for api_id in deployed.of_type(_REST):
        gateway = clients("apigateway")
        api = gateway.get_rest_api(restApiId=api_id)
        stage = _stage(gateway.get_stages(restApiId=api_id)["item"], deployed)
        limits = stage.get("methodSettings", {}).get(_ALL_METHODS, {})
        body = deployed.definition(api_id, _REST).get("Properties", {}).get("Body", {})
        return RestApi(
            id=api_id,
            name=api["name"],
            stage=stage["stageName"],
            routes=tuple(_routes(clients, api_id, body)),
            binary_types=tuple(api.get("binaryMediaTypes", [])),
            stage_variables=stage.get("variables", {}),
            burst_limit=limits.get("throttlingBurstLimit"),
            rate_limit=limits.get("throttlingRateLimit"),
            gateway_responses=_gateway_responses(body),
        )
    return None


def _stage(stages: list[dict[str, Any]], deployed: Deployed) -> dict[str, Any]:
    """Return the template's stage: SAM may have made a second one, named Stage, with the deployment."""
    named = set(deployed.of_type("AWS::ApiGateway::Stage"))
    return next((stage for stage in stages if stage["stageName"] in named), stages[0])


def _routes(clients: Clients, api_id: str, body: Mapping[str, Any]) -> Iterator[Route]:
    authorizers = {
        item["id"]: _authorizer(item)
        for item in clients("apigateway").get_authorizers(restApiId=api_id, limit=500)["items"]
    }
    resources = clients.pages(
        "apigateway", "get_resources", "items", restApiId=api_id, embed=["methods"]
    )
    for resource in sorted(resources, key=lambda item: str(item["path"])):
        for verb, method in sorted(resource.get("resourceMethods", {}).items()):
            integration = method.get("methodIntegration", {})
            if integration.get("type") != "AWS_PROXY":
                continue
            yield Route(
                method=verb,
                path=resource["path"],
                function=function_name(integration["uri"]),
                resource_id=resource["id"],
                authorizer=authorizers.get(method.get("authorizerId")),
                api_key_required=bool(method.get("apiKeyRequired")),
                timeout=integration.get("timeoutInMillis", 29000) / 1000,
                required_parameters=_required_parameters(body, resource["path"], verb),
            )


def _authorizer(item: Mapping[str, Any]) -> Authorizer:
    sources = item.get("identitySource") or ""
    if sources == _NO_SOURCE:
        sources = ""
    return Authorizer(
        name=item["name"],
        function=function_name(item["authorizerUri"]),
        kind=item["type"],
        identity_sources=tuple(source.strip() for source in sources.split(",") if source.strip()),
        identity_validation=item.get("identityValidationExpression") or None,
        ttl=item.get("authorizerResultTtlInSeconds", 300),
    )


def _required_parameters(body: Mapping[str, Any], path: str, verb: str) -> tuple[str, ...]:
    """Return what the method's request validator insists on, if it has one that looks at parameters."""
    operation = body.get("paths", {}).get(path, {}).get(verb.lower(), {})
    validators = body.get("x-amazon-apigateway-request-validators", {})
    validator = validators.get(operation.get("x-amazon-apigateway-request-validator"), {})
    if not validator.get("validateRequestParameters"):
        return ()
    return tuple(
        f"method.request.{_LOCATIONS[parameter['in']]}.{parameter['name']}"
        for parameter in operation.get("parameters", [])
        if parameter.get("required") and parameter["in"] in _LOCATIONS
    )


def _gateway_responses(body: Mapping[str, Any]) -> dict[str, GatewayResponse]:
    prefix = "gatewayresponse.header."
    responses = {}
    for kind, response in body.get("x-amazon-apigateway-gateway-responses", {}).items():
        parameters = response.get("responseParameters", {})
        status = response.get("statusCode")
        responses[kind] = GatewayResponse(
            kind=kind,
            status=int(status) if status else None,
            headers={
                name.removeprefix(prefix): value.strip("'")
                for name, value in parameters.items()
                if name.startswith(prefix)
            },
            templates=response.get("responseTemplates", {}),
        )
    return responses


def read_websocket_api(clients: Clients, deployed: Deployed) -> WebSocketApi | None:
    """Return the stack's WebSocket API, None when it has none."""
    for api_id in deployed.of_type(_WEBSOCKET):
        gateway = clients("apigatewayv2")
        api = gateway.get_api(ApiId=api_id)
        if api["ProtocolType"] != "WEBSOCKET":
            continue
        integrations = {
            item["IntegrationId"]: function_name(item["IntegrationUri"])
            for item in gateway.get_integrations(ApiId=api_id)["Items"]
        }
        routes = gateway.get_routes(ApiId=api_id)["Items"]
        return WebSocketApi(
            id=api_id,
            name=api["Name"],
            stage=gateway.get_stages(ApiId=api_id)["Items"][0]["StageName"],
            selection=api.get("RouteSelectionExpression", "$request.body.action"),
            routes={
                route["RouteKey"]: integrations[route["Target"].removeprefix("integrations/")]
                for route in routes
                if route.get("Target")
            },
            answering_routes=frozenset(
                route["RouteKey"]
                for route in routes
                if route.get("RouteResponseSelectionExpression")
            ),
            authorizer=_websocket_authorizer(gateway, api_id, routes),
        )
    return None


def _websocket_authorizer(gateway: Any, api_id: str, routes: list[Any]) -> Authorizer | None:
    """Return the authorizer of `$connect`, the only route that can have one."""
    wanted = {route.get("AuthorizerId") for route in routes if route["RouteKey"] == "$connect"}
    for item in gateway.get_authorizers(ApiId=api_id)["Items"]:
        if item["AuthorizerId"] in wanted:
            return Authorizer(
                name=item["Name"],
                function=function_name(item["AuthorizerUri"]),
                kind="REQUEST",
                identity_sources=tuple(item.get("IdentitySource") or ()),
                ttl=0,
            )
    return None
