"""What makes a column searchable: the rules of vectors, and the languages of full text search."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, LiteralString

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

MOST_DIMENSIONS = 2_000
"""As many numbers as pgvector's HNSW index takes of a `vector`."""
_LARGEST = 1e15
_LEAST_NORM = 1e-15

LANGUAGES = frozenset(
    {
        *("arabic", "armenian", "basque", "catalan", "danish", "dutch", "english", "estonian"),
        *("finnish", "french", "german", "greek", "hindi", "hungarian", "indonesian", "irish"),
        *("italian", "lithuanian", "nepali", "norwegian", "portuguese", "romanian", "russian"),
        *("serbian", "simple", "spanish", "swedish", "tamil", "turkish", "yiddish"),
    }
)
"""Text search configurations that every PostgreSQL has."""


def _known_language(name: str) -> str:
    if name not in LANGUAGES:
        raise ValueError(f"must be one of {', '.join(sorted(LANGUAGES))}")
    return name


Language = Annotated[str, AfterValidator(_known_language), Field(examples=["english"])]


class Distance(StrEnum):
    """How far apart two vectors are: what an index is made for, and a search orders by."""

    COSINE = "cosine"
    EUCLIDEAN = "euclidean"
    INNER_PRODUCT = "inner_product"


OPERATORS: dict[Distance, tuple[LiteralString, LiteralString]] = {
    Distance.COSINE: ("<=>", "vector_cosine_ops"),
    Distance.EUCLIDEAN: ("<->", "vector_l2_ops"),
    Distance.INNER_PRODUCT: ("<#>", "vector_ip_ops"),
}
"""pgvector's operator of each distance, and the operator class of an index; less is nearer with all."""


class VectorRules(BaseModel):
    """How long the vectors of a column are, and how they are compared."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, json_schema_extra={"examples": [{"dimension": 384}]}
    )

    dimension: Annotated[int, Field(strict=True, ge=1, le=MOST_DIMENSIONS)]
    distance: Distance = Distance.COSINE

    def check(self, vector: list[float]) -> list[float]:
        """Return the vector. Raises ValueError unless a column with these rules can hold and find it."""
        if len(vector) != self.dimension:
            raise ValueError(f"must have {self.dimension} numbers, not {len(vector)}")
        if self.distance is Distance.COSINE and sum(x * x for x in vector) < _LEAST_NORM**2:
            raise ValueError("has no direction, which the cosine compares")
        return vector


Vector = Annotated[
    list[
        Annotated[
            float, Field(strict=True, ge=-_LARGEST, le=_LARGEST)
        ]  # squares stay within a float4
    ],
    Field(min_length=1, max_length=MOST_DIMENSIONS),
]
"""A vector of any length."""
