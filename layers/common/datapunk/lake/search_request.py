"""What a search asks for."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, model_validator

from datapunk.lake.columns import Identifier
from datapunk.lake.searchable import Vector

MOST_QUERIES = 1_000

Text = Annotated[str, Field(min_length=1, max_length=2_000, pattern=r"^[^\x00]*$")]
Filter = Annotated[str, Field(max_length=10_000)]


class SearchQuery(BaseModel):
    """What is looked for: a vector, words, or both."""

    model_config = ConfigDict(extra="forbid")

    vector: Vector | None = Field(
        default=None, description="Rows near it, in the column's distance."
    )
    text: Text | None = Field(
        default=None,
        description='Words as in a search engine: `carbon dioxide`, `"mauna loa"`, `ice or snow`, `-sea`.',
    )

    @model_validator(mode="after")
    def _asks_for_something(self) -> SearchQuery:
        if self.vector is None and self.text is None:
            raise ValueError("give a vector, a text, or both")
        return self


class Search(BaseModel):
    """Up to 1,000 queries of one dataset, which share filters and columns."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "queries": [{"vector": [0.1, 0.7], "text": "carbon dioxide"}],
                    "filters": {"year": "gte.1990"},
                    "select": "title,year",
                    "limit": 5,
                }
            ]
        },
    )

    queries: Annotated[list[SearchQuery], Field(min_length=1, max_length=MOST_QUERIES)]
    column: Identifier | None = Field(
        default=None, description="The column of vectors; where there is one only, that one."
    )
    filters: dict[Identifier, Filter | Annotated[list[Filter], Field(max_length=20)]] = Field(
        default={},
        description="Filters of `lake.query_records` by column: `gte.1990`; a list: all hold.",
    )
    select: Filter | None = Field(
        default=None, description="Columns of each record; all but vectors by default."
    )
    limit: Annotated[int, Field(strict=True, ge=1, le=1_000)] = Field(
        default=10, description="Most hits of each query."
    )
    candidates: Annotated[int, Field(strict=True, ge=1, le=1_000)] = Field(
        default=100,
        description="Rows of each of the two rankings that are joined; `limit` at least.",
    )
    effort: Annotated[int, Field(strict=True, ge=10, le=1_000)] = Field(
        default=200,
        description="Rows the index of vectors keeps in sight: more miss fewer, and take longer.",
    )
    exact: bool = Field(
        default=False, strict=True, description="Compare all rows, without the index of vectors."
    )
