"""What an export asks for, and what it answers."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from datapunk.lake.columns import Identifier

Words = Annotated[str, Field(max_length=10_000)]


class Format(StrEnum):
    """How the rows are written."""

    CSV = "csv"
    NDJSON = "ndjson"
    PARQUET = "parquet"
    ARROW = "arrow"


class Export(BaseModel):
    """A query in the words of `lake.query_records`, and the format of the file. Without a limit: all rows."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "format": "csv",
                    "select": "week,ppm",
                    "filters": {"week": ["gte.1990-01-01", "lt.2000-01-01"]},
                    "order": "week.desc",
                }
            ]
        },
    )

    format: Format = Field(
        description="`csv` (RFC 4180, with a header), `ndjson`, `parquet`, or `arrow` (an IPC file)."
    )
    select: Words | None = Field(
        default=None, description="Columns: `week,mean:ppm.avg()`. All by default."
    )
    filters: dict[Identifier, Words | Annotated[list[Words], Field(max_length=20)]] = Field(
        default={}, description="Filters by column: `gte.1990-01-01`; a list: all hold."
    )
    order: Words | None = Field(
        default=None, description="Sort keys: `year.desc,week`; the dataset's key comes behind."
    )
    limit: Annotated[int, Field(strict=True, ge=1, le=2**63 - 1)] | None = Field(
        default=None, description="Most rows of the file."
    )


class Exported(BaseModel):
    """A file that was written."""

    dataset: str
    format: Format
    version: int = Field(description="Version of the dataset's definition.")
    rows: int
    bytes: int
    sha256: str = Field(description="Digest of the file, in hexadecimal digits.")
    url: str = Field(description="Where the file is read with GET, without credentials.")
    expires_at: AwareDatetime = Field(
        description="When the address stops working; the file itself goes within two days."
    )
