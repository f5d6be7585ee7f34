"""GET /openapi.json and GET /docs: the API as a document and as a page."""

from aws_lambda_powertools.event_handler import Response
from datapunk.guard import Guard
from datapunk.http import http_function
from datapunk.nexus.documents import openapi_document, reference_page

app, handler = http_function(
    "nexus.describe_api",
    produces=("application/json", "text/html"),
    guard=Guard(limited=False),
)
_CACHE = {"Cache-Control": "public, max-age=300"}


@app.get("/openapi.json", tags=["nexus"])
def get_document() -> Response[str]:
    """Return the OpenAPI document of the whole platform."""
    return Response(
        status_code=200,
        content_type="application/json",
        body=openapi_document(),
        headers=dict(_CACHE),
    )


@app.get("/docs", tags=["nexus"])
def get_reference() -> Response[str]:
    """Return a page on which the API can be read and tried."""
    return Response(
        status_code=200, content_type="text/html", body=reference_page(), headers=dict(_CACHE)
    )
