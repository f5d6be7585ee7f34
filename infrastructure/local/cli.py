"""The launcher's commands: up, down, status, logs, demo, install, token, audit, schema."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from urllib.parse import urlsplit

from infrastructure.local import logs
from infrastructure.local.accounts import ACCOUNTS, fetch_token, password_of
from infrastructure.local.control_plane.ministack import PREFERRED_PORT as AWS_PORT
from infrastructure.local.data_plane_service import PREFERRED_MUTUAL_TLS_PORT as MUTUAL_TLS_PORT
from infrastructure.local.data_plane_service import PREFERRED_PORT as API_PORT
from infrastructure.local.demo import run_demo
from infrastructure.local.failures import explain
from infrastructure.local.paths import default_paths
from infrastructure.local.platform import Platform
from infrastructure.local.ports import LOOPBACK
from infrastructure.local.progress import Progress
from infrastructure.local.services import install_programs
from infrastructure.local.services.packages import MIRROR_VARIABLE
from infrastructure.local.services.service import ServiceError, ServiceState
from infrastructure.local.state import launcher_lock

_DEMO_DONE = "demo"
_HERE = ("localhost", LOOPBACK)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return the exit status: 0, 1 for a failure that was explained."""
    parser = argparse.ArgumentParser(prog="python -m infrastructure.local", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    up_command = commands.add_parser("up", help="start the platform and wait until it is ready")
    up_command.add_argument("--no-demo", action="store_true", help="do not load the demo")
    commands.add_parser("down", help="stop the platform; its data stays")
    commands.add_parser("status", help="say what runs and how it is")
    commands.add_parser("demo", help="load real data, query it, wait for its event")
    token_command = commands.add_parser("token", help="print a bearer token")
    token_command.add_argument("--user", default="demo", help="demo or admin")
    token_command.add_argument(
        "--scope", default=None, help="what it is good for, as in 'read write'"
    )
    commands.add_parser("install", help="bring the private server programs, start nothing")
    commands.add_parser("schema", help="write infrastructure/schema.sql from the migrations")
    logs.add_arguments(commands.add_parser("logs", help="show logs"))
    audit_command = commands.add_parser("audit", help="check the audit trail")
    audit_command.add_argument(
        "what", choices=["verify"], help="name every record that was changed"
    )
    given = parser.parse_args(arguments)
    actions: dict[str, Callable[[argparse.Namespace], int]] = {
        "up": _up,
        "down": _down,
        "status": _status,
        "demo": _demo,
        "install": _install,
        "logs": _logs,
        "audit": _audit,
        "token": _token,
        "schema": _schema,
    }
    try:
        return actions[given.command](given)
    except BrokenPipeError:
        # Whoever read along has seen enough (`make logs | head`); nothing is left to write to.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:  # noqa: BLE001 -- a traceback tells a user nothing
        sys.stderr.write(f"\n{explain(error, default_paths().logs)}\n")
        return 1


def _up(given: argparse.Namespace) -> int:
    paths = default_paths()
    paths.create()
    with launcher_lock(paths):
        platform = Platform(paths)
        with Progress() as progress:
            platform.up(progress)
        first = platform.state.decision(_DEMO_DONE) is None
        if first and not given.no_demo:
            print()
            _run_demo(platform)
            platform.state.decide(_DEMO_DONE, "loaded")
        _print_table(platform)
    return 0


def _down(_: argparse.Namespace) -> int:
    paths = default_paths()
    paths.create()
    with launcher_lock(paths), Progress() as progress:
        Platform(paths).down(progress)
    return 0


def _status(_: argparse.Namespace) -> int:
    statuses = Platform(default_paths()).status()
    for item in statuses:
        pid = f"pid {item.pid}" if item.pid else ""
        where = _without_password(item.endpoint)
        print(f"{item.name:<12}{item.state:<10}{pid:<13}{where:<52}{item.detail}".rstrip())
    return 0 if all(item.state is ServiceState.READY for item in statuses) else 1


def _demo(_: argparse.Namespace) -> int:
    paths = default_paths()
    platform = Platform(paths)
    if not platform.data_plane.ready():
        raise ServiceError("the platform does not run here; start it with `make up`")
    _run_demo(platform)
    return 0


def _run_demo(platform: Platform) -> None:
    api = platform.endpoints()["api"]
    run_demo(api, fetch_token(api, platform.state, "demo"), platform.paths.state / "demo")


def _token(given: argparse.Namespace) -> int:
    platform = Platform(default_paths())
    if not platform.data_plane.ready():
        raise ServiceError("the platform does not run here; start it with `make up`")
    print(fetch_token(platform.endpoints()["api"], platform.state, given.user, given.scope))
    return 0


def _install(_: argparse.Namespace) -> int:
    """Bring what tests run on: private servers with PostGIS, also when the environment names others."""
    own = {name: value for name, value in os.environ.items() if name == MIRROR_VARIABLE}
    own["DATAPUNK_POSTGIS"] = "1"
    with Progress() as progress:
        install_programs(default_paths(), progress, own)
    return 0


def _schema(_: argparse.Namespace) -> int:
    # Its throw-away server must be stopped also when it is interrupted.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    from infrastructure.local.schema import write_schema

    with Progress() as progress, progress.step("schema") as step:
        step.update(detail=str(write_schema(default_paths(), progress)))
    return 0


def _logs(given: argparse.Namespace) -> int:
    return logs.show(default_paths().logs, given)


def _audit(_: argparse.Namespace) -> int:
    from infrastructure.local.audit import verify_chains

    return verify_chains(Platform(default_paths()).endpoints()["database"])


def _print_table(platform: Platform) -> None:
    urls, paths = platform.endpoints(), platform.paths
    api = urls["api"]
    rows = {
        "API": api,
        "API reference": f"{api}/docs",
        "Sign-in": f"{api}/v1/nexus/sign-in",
        **{
            f"  {account.name}": f"{account.email}  {password_of(platform.state, account.name)}"
            for account in ACCOUNTS.values()
        },
        "API with mutual TLS": f"{urls['mutual_tls']}  (its authority: {_shown(paths.authority)})",
        "WebSocket": urls["websocket"],
        "AWS endpoint": f"{urls['aws']}  (region us-east-1, keys test/test)",
        "PostgreSQL": urls["database"],
        "Redis": urls["redis"],
        "RabbitMQ": urls["amqp"],
        "RabbitMQ management": urls["amqp_management"],
    }
    print("\nReady. Everything listens on this machine only.\n")
    for name, url in rows.items():
        print(f"  {name:<22}{url}")
    moved = {
        "API": (api, API_PORT),
        "API with mutual TLS": (urls["mutual_tls"], MUTUAL_TLS_PORT),
        "AWS endpoint": (urls["aws"], AWS_PORT),
    }
    for name, (url, preferred) in moved.items():
        if urlsplit(url).port != preferred and urlsplit(url).hostname in _HERE:
            print(
                f"\n  Port {preferred} was taken by another program, so the {name} has the port above."
            )
    print(
        f"\n  The same as JSON: {_shown(paths.endpoints)}\n"
        "  Next: make status, make token, make demo, make logs, make down\n"
    )


def _shown(path: Path) -> Path:
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def _without_password(url: str) -> str:
    scheme, separator, rest = url.partition("://")
    credentials, at, host = rest.rpartition("@")
    user = credentials.partition(":")[0]
    return f"{scheme}{separator}{user}{at}{host}"
