"""`python -m infrastructure.local audit verify`: is the audit trail whole, asked of the database alone.

No function of the platform has a part in it: whoever doubts the platform can check its trail.
"""

from __future__ import annotations

import math
import sys

import psycopg

from infrastructure.local.paths import PROJECT
from infrastructure.local.services.service import ServiceError

LAYER = PROJECT / "layers" / "common"
# One snapshot for all chains; the platform's own tenant sees those of all others.
BEGIN = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
SEE_ALL = "SELECT set_config('datapunk.tenant', '*', true)"


def verify_chains(url: str) -> int:
    """Check every tenant's chain and print what was found; return 0 when all are whole, else 1.

    Raises ServiceError when the database cannot be asked.
    """
    if str(LAYER) not in sys.path:
        sys.path.insert(0, str(LAYER))
    from datapunk.audit_chain import audited_tenants, verify_audit
    from datapunk.database import Transaction
    from datapunk.errors import DatapunkError
    from datapunk.identity import SYSTEM

    whole = True
    try:
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(BEGIN)
            connection.execute(SEE_ALL)
            tx = Transaction(connection, SYSTEM)
            tenants = audited_tenants(tx)
            for tenant in tenants:
                found = verify_audit(tx, tenant, seconds_left=lambda: math.inf)
                whole = whole and found.whole
                state = "whole" if found.whole else "BROKEN"
                print(f"{tenant:<24}{state:<8}{found.records:>10,} records  head {found.head[:16]}")
                for item in found.broken:
                    print(f"  record {item.sequence}: {item.reason}")
                if not found.complete:
                    print(f"  not checked after record {found.checked_to}: too much is broken")
            if not tenants:
                print("The audit trail has no records yet.")
    except (psycopg.Error, DatapunkError) as error:
        raise ServiceError(
            f"the audit trail cannot be read ({type(error).__name__}); start the platform with `make up`"
        ) from error
    return 0 if whole else 1
