"""`infrastructure/schema.sql`: what the migrations add up to, for people to read and reviewers to compare."""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from pathlib import Path

from psycopg.conninfo import conninfo_to_dict

from infrastructure.local.paths import PROJECT, Paths
from infrastructure.local.progress import Progress
from infrastructure.local.services import install_programs
from infrastructure.local.services.postgres import Postgres
from infrastructure.local.services.programs import require_programs
from infrastructure.local.services.service import ServiceError

SCHEMA_FILE = PROJECT / "infrastructure" / "schema.sql"
LAYER = PROJECT / "layers" / "common"
DUMP_SECONDS = 60.0
READY_SECONDS = 90.0

HEADER = """\
-- The schema that infrastructure/migrations add up to. Written by `make schema`; change a migration instead.
"""
# Comments name versions, settings the session that dumped, and \\restrict a random word.
_NOISE = re.compile(r"(--|SET |SELECT pg_catalog\.set_config|\\(un)?restrict)")


def write_schema(paths: Paths, progress: Progress) -> Path:
    """Apply the migrations to a database made for it and write the schema file; return its path.

    Raises ServiceError when PostgreSQL cannot be started or asked.
    """
    install_programs(paths, progress, {})
    with tempfile.TemporaryDirectory(prefix="datapunk-schema-") as folder:
        own = Paths(state=Path(folder), programs=paths.programs)
        postgres = Postgres(own, {})
        try:
            postgres.start()
            postgres.wait_ready(READY_SECONDS)
            url = postgres.endpoints()["database"]
            _migrate(url)
            SCHEMA_FILE.write_text(dump_schema(paths, url), encoding="utf-8")
        finally:
            postgres.stop()
    return SCHEMA_FILE


def dump_schema(paths: Paths, url: str) -> str:
    """Return the schema of a database as normalised SQL: the same for any server and role."""
    programs = require_programs(paths, {})
    place = conninfo_to_dict(url)
    answer = subprocess.run(
        [
            str(programs.postgres / "pg_dump"),
            "--schema-only",
            "--no-owner",
            "--no-password",
            "--exclude-extension=*",
            f"--host={place['host']}",
            f"--port={place['port']}",
            f"--username={place['user']}",
            f"--dbname={place['dbname']}",
        ],
        env={**programs.clean_environment(), "PGPASSWORD": str(place["password"]), "LC_ALL": "C"},
        capture_output=True,
        text=True,
        check=False,
        timeout=DUMP_SECONDS,
    )
    if answer.returncode:
        raise ServiceError(f"pg_dump failed: {answer.stderr.strip()}")
    lines = [line for line in answer.stdout.splitlines() if not _NOISE.match(line)]
    statements = re.sub(r"\n{2,}", "\n\n", "\n".join(lines)).strip()
    return f"{HEADER}\n{statements}\n"


def _migrate(url: str) -> None:
    """Apply every migration with the code that does so at deployment."""
    if str(LAYER) not in sys.path:
        sys.path.append(str(LAYER))
    from datapunk.database.migrations import migrate

    migrate(url)
