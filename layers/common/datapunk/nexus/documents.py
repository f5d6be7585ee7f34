"""The platform's OpenAPI document and the page that shows it."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from aws_lambda_powertools.event_handler import openapi

DOCUMENT = Path(__file__).with_name("openapi.json")
_ASSETS = Path(openapi.__file__).parent / "swagger_ui"
_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Datapunk API</title>
<style>{style}</style>
</head>
<body>
<div id="reference"></div>
<script>{script}</script>
<script>SwaggerUIBundle({{url: "openapi.json", dom_id: "#reference", deepLinking: true}});</script>
</body>
</html>
"""


@cache
def openapi_document() -> str:
    """Return the OpenAPI 3.0 document, built by `make openapi` and shipped with the layer."""
    return DOCUMENT.read_text()


@cache
def reference_page() -> str:
    """Return a self-contained page with Swagger UI, from the files Powertools ships."""
    return _PAGE.format(
        style=(_ASSETS / "swagger-ui.min.css").read_text(),
        script=(_ASSETS / "swagger-ui-bundle.min.js").read_text(),
    )
