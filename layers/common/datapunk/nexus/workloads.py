"""Workloads: services of a tenant, and how each proves that it is the one."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from datetime import datetime
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretBytes, SecretStr, StringConstraints

from datapunk.database import Row, Transaction, load_queries
from datapunk.errors import FieldError, InvalidInputError, UnauthenticatedError
from datapunk.identity import Caller
from datapunk.nexus.iam_proof import IamProof, same_role, verify_iam_proof
from datapunk.nexus.roles import Role, assign_role, require_administrator, revoke_role, roles_of
from datapunk.settings import settings

_SQL = Path(__file__).with_suffix(".sql")
_ROLES = {"read": Role.VIEWER, "write": Role.EDITOR, "admin": Role.ADMIN}
"""The role under which a service may use a scope."""
_LOCAL = "local"

SERVICE = r"^[a-z][a-z0-9-]{0,62}$"
ServiceName = Annotated[str, StringConstraints(pattern=SERVICE)]
RoleArn = Annotated[
    str,
    StringConstraints(
        max_length=700, pattern=r"^arn:[a-z-]+:iam::[0-9]{12}:role/[A-Za-z0-9_+=,.@/-]+$"
    ),
]


class WorkloadRegistration(BaseModel):
    """What a workload is registered with."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"scopes": ["read", "write"]}]}
    )

    scopes: Annotated[list[Literal["read", "write", "admin"]], Field(min_length=1, max_length=3)]
    role_arn: RoleArn | None = Field(
        default=None,
        description="The IAM role the service has; on AWS it proves itself by it, and only by it.",
    )


class Workload(BaseModel):
    """A workload as it is stored."""

    tenant: str
    service: str
    scopes: list[str]
    role_arn: str | None
    created_at: datetime
    updated_at: datetime
    secret_hash: SecretBytes | None = Field(default=None, exclude=True)

    @property
    def principal(self) -> str:
        """The name under which the service acts."""
        return f"service:{self.service}"

    @property
    def spiffe_id(self) -> str:
        """The service's name in certificates (SPIFFE-ID, 2)."""
        return spiffe_id(self.tenant, self.service)

    @property
    def dns_name(self) -> str:
        """The name under which the service is called where it runs in a container."""
        return f"{self.service}.{self.tenant}.datapunk.internal"


class RegisteredWorkload(Workload):
    """A workload just registered. `registration_secret` is shown this once."""

    registration_secret: str | None = None


def spiffe_id(tenant: str, service: str) -> str:
    """Return the SPIFFE ID of a tenant's service."""
    return f"spiffe://datapunk/{tenant}/{service}"


def register_workload(
    tx: Transaction, service: str, registration: WorkloadRegistration
) -> RegisteredWorkload:
    """Register a service of the caller's tenant, or register it anew, with a new secret.

    Certificates it has stay good. Raises ForbiddenError when the caller is no administrator,
    InvalidInputError for a role locally, where nobody can prove one, or none on AWS.
    """
    require_administrator(tx)
    local = settings().stage == _LOCAL
    if local == bool(registration.role_arn):
        detail = (
            "IAM roles cannot be proved on one machine: register the service without one."
            if local
            else "On AWS a service proves its IAM role: say which."
        )
        raise InvalidInputError(detail, errors=[FieldError("role_arn", detail, "stage")])
    secret = secrets.token_urlsafe(32) if local else None
    row = tx.one(
        load_queries(_SQL)["put_workload"],
        {
            "tenant": tx.caller.tenant,
            "service": service,
            "scopes": sorted(set(registration.scopes)),
            "role_arn": registration.role_arn,
            "secret_hash": _digest(secret) if secret else None,
        },
    )
    workload = _workload(row or {})
    _set_roles(tx, workload)
    return RegisteredWorkload(**workload.model_dump(), registration_secret=secret)


def find_workload(tx: Transaction, tenant: str, service: str) -> Workload | None:
    """Return a tenant's service, None when there is none."""
    row = tx.one(load_queries(_SQL)["find_workload"], {"tenant": tenant, "service": service})
    return None if row is None else _workload(row)


def workload_caller(tx: Transaction, tenant: str, service: str) -> Caller | None:
    """Return a tenant's service as a caller, as it may act now; None when there is none."""
    workload = find_workload(tx, tenant, service)
    if workload is None:
        return None
    roles = roles_of(tx, workload.principal, tenant=tenant)
    return Caller(workload.principal, tenant, roles, tuple(workload.scopes))


def check_proof(
    workload: Workload | None, secret: SecretStr | None, proof: IamProof | None, *, csr: str
) -> Workload:
    """Return the workload when whoever asks has proved to be it.

    Raises UnauthenticatedError, the same one whether the service is unknown or the proof is wrong;
    UnavailableError when AWS cannot be asked.
    """
    held = workload.secret_hash.get_secret_value() if workload and workload.secret_hash else b""
    given = _digest(secret.get_secret_value()) if secret else b"-"
    # Compared in any case: an unknown service takes as long as a wrong secret.
    proved = hmac.compare_digest(held, given)
    if workload is not None and workload.role_arn and proof is not None:
        # Only for a service that is registered: strangers do not make us ask AWS.
        proved = same_role(workload.role_arn, verify_iam_proof(proof, csr=csr))
    if workload is None or not proved:
        raise UnauthenticatedError("The service is unknown or did not prove itself.")
    return workload


def _set_roles(tx: Transaction, workload: Workload) -> None:
    """Give the service the roles its scopes need, and take those it no longer needs."""
    held = roles_of(tx, workload.principal)
    for scope, role in _ROLES.items():
        if scope in workload.scopes:
            assign_role(tx, workload.principal, role)
        elif role in held:
            revoke_role(tx, workload.principal, role)


def _digest(secret: str) -> bytes:
    """Return what is stored of a random secret; it has 256 bits, so nothing slower is needed."""
    return hashlib.sha256(secret.encode()).digest()


def _workload(row: Row) -> Workload:
    return Workload.model_validate(row)
