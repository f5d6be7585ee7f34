"""What the launcher says when something fails: what happened and what to do, not a traceback."""

from __future__ import annotations

import errno
import traceback
from datetime import UTC, datetime
from pathlib import Path

import yaml
from botocore.exceptions import BotoCoreError, ClientError

from infrastructure.local.accounts import SignInError
from infrastructure.local.control_plane.reading import NotDeployedError
from infrastructure.local.control_plane.stack import DeploymentError
from infrastructure.local.control_plane.translation import TranslationError
from infrastructure.local.demo import DemoError
from infrastructure.local.parallel import SeveralFailedError
from infrastructure.local.ports import NoFreePortError
from infrastructure.local.processes import ProcessError
from infrastructure.local.services.debian import ArchiveError
from infrastructure.local.services.download import DownloadError
from infrastructure.local.services.packages import UnsupportedMachineError
from infrastructure.local.services.prefix import PrefixError
from infrastructure.local.services.service import ServiceError
from infrastructure.local.state import BusyError

EXPLAINED = (
    ArchiveError,
    BusyError,
    DemoError,
    SignInError,
    DeploymentError,
    DownloadError,
    NoFreePortError,
    NotDeployedError,
    PrefixError,
    ProcessError,
    ServiceError,
    SeveralFailedError,
    UnsupportedMachineError,
)
"""Errors whose message says what to do."""

_REFUSED = "ValidationError"
_DISK = {
    errno.ENOSPC: "The disk is full: free some space and run the command again.",
    errno.EDQUOT: "The disk quota is used up: free some space and run the command again.",
    errno.EROFS: "The file system is read-only: set DATAPUNK_STATE to a folder that can be written.",
    errno.EACCES: "Permission is missing: give this user the file, or set DATAPUNK_STATE to another folder.",
    errno.EPERM: "Permission is missing: give this user the file, or set DATAPUNK_STATE to another folder.",
    errno.ENOTDIR: "A file is in the way of a folder: move it, or set DATAPUNK_STATE to another folder.",
    errno.EMFILE: "Too many files are open: raise the limit with `ulimit -n 4096`.",
}


def explain(error: Exception, logs: Path) -> str:
    """Return what to tell the user about `error`.

    Of an error that nobody foresaw the traceback is kept in `launcher.log` of the folder `logs`.
    """
    if isinstance(error, TranslationError):
        return f"template.yaml cannot be deployed: {error}"
    if isinstance(error, EXPLAINED):
        return str(error)
    if isinstance(error, yaml.YAMLError):
        return f"template.yaml, or a template it names, is not YAML: {error}"
    if isinstance(error, ClientError) and error.response["Error"]["Code"] == _REFUSED:
        return f"template.yaml is refused: {error.response['Error']['Message']}"
    if isinstance(error, OSError) and error.errno in _DISK:
        where = f" ({error.filename})" if error.filename else ""
        return f"{error.strerror}{where}. {_DISK[error.errno]}"
    kept = _keep(error, logs)
    if isinstance(error, ClientError | BotoCoreError):
        return (
            f"The AWS control plane did not do as asked: {error}\n"
            f"`make logs NAME=aws` has its side, `make down` and `make up` start it afresh.{kept}"
        )
    return f"Unforeseen: {type(error).__name__}: {error}\n`make status` says what runs.{kept}"


def _keep(error: Exception, logs: Path) -> str:
    """Append the traceback to the launcher's log; return where it is, or nothing when that fails too."""
    log = logs / "launcher.log"
    try:
        logs.mkdir(parents=True, exist_ok=True)
        with log.open("a", encoding="utf-8") as file:
            file.write(f"{datetime.now(UTC).isoformat()}\n")
            traceback.print_exception(error, file=file)
    except OSError:
        return ""
    return f" The details are in {log}."
