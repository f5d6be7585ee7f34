"""What each handler's import costs, beside a handler that imports only `json`.

Cold starts are made of imports. Each handler is imported in a fresh interpreter with compiled modules, as
the layer ships them, and an empty environment. CPU time is the median of several runs, all handlers in
turn; instructions are counted where valgrind is installed: they repeat to one part in ten million whatever
the load, so a budget can be kept by them. Ceilings are in million instructions above the bare handler.

    python benchmarks/cold_start.py [--runs 7] [--no-instructions]
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
BARE = "json"
EDGE = "datapunk.http"
# Million instructions above the bare handler, drivers included: what CPython 3.11 needed in November 2026 and
# a tenth more. The edge's is the budget that architecture and performance pages state.
CEILINGS = {
    EDGE: 925,
    "lake.archive_partitions": 1345,
    "lake.call_function": 1470,
    "lake.change_dataset": 1525,
    "lake.check_health": 1190,
    "lake.check_quality": 1670,
    "lake.correct_quarantined": 1450,
    "lake.create_dataset": 1480,
    "lake.create_upload": 1400,
    "lake.delete_dataset": 1525,
    "lake.delete_function": 1265,
    "lake.discard_quarantined": 1395,
    "lake.erase_person": 1390,
    "lake.escalate_quarantine": 1240,
    "lake.export_records": 1525,
    "lake.extend_partitions": 1015,
    "lake.get_dataset": 1335,
    "lake.get_function": 1265,
    "lake.get_job": 1400,
    "lake.get_quality": 1670,
    "lake.infer_dataset": 1270,
    "lake.insert_records": 1495,
    "lake.list_archives": 1340,
    "lake.list_datasets": 1290,
    "lake.list_functions": 1265,
    "lake.list_quarantine": 1425,
    "lake.list_versions": 1330,
    "lake.load_upload": 1390,
    "lake.measure_changed": 1510,
    "lake.measure_quality": 1495,
    "lake.measure_storage": 1015,
    "lake.put_function": 1440,
    "lake.put_quality_rules": 1670,
    "lake.query_records": 1520,
    "lake.read_rest": 1510,
    "lake.restore_archive": 1625,
    "lake.release_quarantined": 1440,
    "lake.rotate_data_keys": 1060,
    "lake.scan_dataset": 1345,
    "lake.search_records": 1480,
    "lake.serve_rpc": 1600,
    "lake.sweep_uploads": 1250,
    "lake.warm_cache": 1255,
    "lake.write_rest": 1645,
    "nexus.assign_role": 1155,
    "nexus.authorize": 1405,
    "nexus.begin_authorization": 1220,
    "nexus.begin_federated_sign_in": 1220,
    "nexus.check_health": 1190,
    "nexus.complete_federated_sign_in": 1230,
    "nexus.create_tenant": 1185,
    "nexus.create_user": 1180,
    "nexus.delete_rate_limit": 1185,
    "nexus.delete_route": 1325,
    "nexus.describe_api": 790,
    "nexus.describe_issuer": 1235,
    "nexus.end_session": 1480,
    "nexus.end_session_by_id": 1185,
    "nexus.ensure_client": 1055,
    "nexus.ensure_user": 1050,
    "nexus.expire_audit": 1015,
    "nexus.get_consul_status": 1210,
    "nexus.get_jwks": 840,
    "nexus.get_rate_limit": 1185,
    "nexus.get_request": 1345,
    "nexus.get_route": 1325,
    "nexus.get_route_status": 1725,
    "nexus.get_trust_bundle": 1015,
    "nexus.get_user": 1180,
    "nexus.get_userinfo": 1445,
    "nexus.introspect_token": 1475,
    "nexus.invalidate_cache": 1235,
    "nexus.issue_api_key": 1260,
    "nexus.issue_certificate": 1445,
    "nexus.issue_token": 1480,
    "nexus.list_api_keys": 1265,
    "nexus.list_audit": 1170,
    "nexus.list_breakers": 1220,
    "nexus.list_clients": 1185,
    "nexus.list_flags": 1175,
    "nexus.list_rate_limits": 1185,
    "nexus.list_route_versions": 1325,
    "nexus.list_routes": 1325,
    "nexus.list_sessions": 1190,
    "nexus.list_tenants": 1190,
    "nexus.list_users": 1180,
    "nexus.migrate": 1005,
    "nexus.mirror_service": 1160,
    "nexus.probe_targets": 1150,
    "nexus.put_route": 1730,
    "nexus.register_client": 1185,
    "nexus.register_services": 1075,
    "nexus.register_workload": 1195,
    "nexus.repair_cache": 1030,
    "nexus.revoke_api_key": 1265,
    "nexus.revoke_certificate": 1445,
    "nexus.revoke_role": 1155,
    "nexus.revoke_token": 1480,
    "nexus.roll_back_route": 1325,
    "nexus.rotate_api_key": 1265,
    "nexus.rotate_authority": 860,
    "nexus.rotate_keys": 1310,
    "nexus.route": 1760,
    "nexus.run_request": 1595,
    "nexus.serve_rpc": 1180,
    "nexus.set_rate_limit": 1185,
    "nexus.sign_in": 1210,
    "nexus.stream_breakers": 1220,
    "nexus.sweep_requests": 1185,
    "nexus.update_user": 1185,
    "nexus.verify_audit": 1165,
    "stream.check_health": 1190,
    "stream.declare_topology": 755,
    "stream.list_events": 1220,
    "stream.publish_event": 1250,
    "stream.relay_outbox": 1070,
    "stream.serve_rpc": 1275,
    "stream.store_event": 1105,
    "nexus.consul.app": 2325,
}
_REFERENCES = re.compile(r"I\s+refs:\s+([\d,]+)")


def modules() -> list[str]:
    """Return every handler's module name."""
    functions = PROJECT / "functions"
    files = [*sorted(functions.glob("*/*.py")), *sorted(functions.glob("*/*/app.py"))]
    return [".".join(file.relative_to(functions).with_suffix("").parts) for file in files]


def command(module: str) -> list[str]:
    """Return the command that imports one module and leaves at once, as a frozen environment does."""
    return [sys.executable, "-c", f"import os, {module}; os._exit(0)"]


def environment() -> dict[str, str]:
    """Return an environment without settings, in which the layer and the functions can be imported."""
    path = os.pathsep.join(str(PROJECT / part) for part in ("functions", "layers/common"))
    return {"PYTHONPATH": path, "PYTHONHASHSEED": "0", "PYDANTIC_DISABLE_PLUGINS": "__all__"}


def cpu_ms(module: str) -> float:
    """Return the CPU milliseconds of one import, user and system."""
    child = subprocess.Popen(command(module), env=environment(), cwd=PROJECT)
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise SystemExit(f"{module} cannot be imported")
    return (usage.ru_utime + usage.ru_stime) * 1000


def instructions(module: str) -> float:
    """Return the million instructions of one import, counted by cachegrind."""
    with tempfile.NamedTemporaryFile() as unused:
        counted = subprocess.run(
            [
                "valgrind",
                "--tool=cachegrind",
                "--cache-sim=no",
                f"--cachegrind-out-file={unused.name}",
                *command(module),
            ],
            env=environment() | {"PATH": os.environ["PATH"]},
            cwd=PROJECT,
            capture_output=True,
            text=True,
            check=True,
        )
    match = _REFERENCES.search(counted.stderr)
    if match is None:
        raise SystemExit(f"cachegrind said nothing about {module}: {counted.stderr[-300:]}")
    return int(match[1].replace(",", "")) / 1e6


def main() -> int:
    """Measure and print the table; return 1 when a ceiling is broken."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--no-instructions", action="store_true")
    given = parser.parse_args()
    names = [BARE, EDGE, *modules()]
    for name in names:  # compile
        cpu_ms(name)
    samples: dict[str, list[float]] = {name: [] for name in names}
    for _ in range(given.runs):
        for name in names:
            samples[name].append(cpu_ms(name))
    bare_ms = statistics.median(samples[BARE])
    count = shutil.which("valgrind") is not None and not given.no_instructions
    if not count:
        print("valgrind is not installed: no instruction counts")
    bare_count = instructions(BARE) if count else 0.0
    print(f"{'handler':<28}{'CPU ms':>8}{'x bare':>8}{'Minstr':>9}{'above bare':>12}{'ceiling':>9}")
    broken = 0
    for name in names:
        milliseconds = statistics.median(samples[name])
        line = f"{name:<28}{milliseconds:>8.0f}{milliseconds / bare_ms:>8.1f}"
        if count:
            million = instructions(name)
            above = million - bare_count
            line += f"{million:>9.0f}{above:>12.0f}"
            if name != BARE:
                over = above > CEILINGS.get(name, 0)
                broken += over
                line += f"{CEILINGS.get(name, 0):>9}{'  OVER' if over else ''}"
        print(line)
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
