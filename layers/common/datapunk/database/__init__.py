"""PostgreSQL: one connection per environment, transactions that carry the caller, SQL from files."""

from datapunk.database.connection import check_database
from datapunk.database.queries import Queries, load_queries
from datapunk.database.transaction import Row, Transaction, beside, transaction

__all__ = [
    "Queries",
    "Row",
    "Transaction",
    "beside",
    "check_database",
    "load_queries",
    "transaction",
]
