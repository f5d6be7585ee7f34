"""A dataset that can be searched by words and by vectors."""

from __future__ import annotations

from typing import Any

ARTICLES: dict[str, Any] = {
    "name": "articles",
    "columns": [
        {"name": "id", "type": "integer", "nullable": False},
        {"name": "title", "type": "text", "full_text": "english"},
        {"name": "body", "type": "text", "full_text": "simple"},
        {"name": "year", "type": "integer"},
        {"name": "price", "type": "decimal"},
        {"name": "embedding", "type": "vector", "vector": {"dimension": 3}},
    ],
    "key": ["id"],
}
