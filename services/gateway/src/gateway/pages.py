"""``/docs``: the API's documentation, with its page's files served from here, not from elsewhere."""

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import orjson
import swagger_ui_bundle

from gateway import openapi
from gateway.http import Answer, Raw

ASSETS = Path(swagger_ui_bundle.swagger_ui_path)
PAGE = b"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8"><title>Tessera API</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="stylesheet" href="/docs/swagger-ui.css">
</head>
<body>
<div id="swagger-ui"></div>
<script src="/docs/swagger-ui-bundle.js"></script>
<script>SwaggerUIBundle({url: "/openapi.json", dom_id: "#swagger-ui", docExpansion: "none"})</script>
</body>
</html>
"""


def docs(scope: dict[str, Any]) -> Answer:
    """Return the page."""
    del scope
    return Answer(200, Raw(PAGE, "text/html; charset=utf-8"))


def api_document(scope: dict[str, Any]) -> Answer:
    """Return the OpenAPI document."""
    del scope
    return Answer(200, Raw(_document(), "application/json; charset=utf-8"))


@cache
def _document() -> bytes:
    return orjson.dumps(openapi.document())


def _asset(name: str, media_type: str) -> Callable[[dict[str, Any]], Answer]:
    content = (ASSETS / name).read_bytes()

    def serve(scope: dict[str, Any]) -> Answer:
        del scope
        return Answer(200, Raw(content, media_type))

    return serve


PAGES: dict[str, Callable[[dict[str, Any]], Answer]] = {
    "/docs": docs,
    "/openapi.json": api_document,
    "/docs/swagger-ui.css": _asset("swagger-ui.css", "text/css"),
    "/docs/swagger-ui-bundle.js": _asset("swagger-ui-bundle.js", "text/javascript"),
}
"""Addresses that need no keys."""
