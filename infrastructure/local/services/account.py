"""The account PostgreSQL runs as: it refuses to run as root.

An ordinary user runs it as themselves. Root runs it in a user namespace in which root's files
belong to nobody: no account is made and no file changes hands. Where the machine forbids
namespaces (Docker's default profile, a chroot), it runs as nobody, owns its data folder, and keeps
the one capability to pass through folders which only root may enter.
"""

from __future__ import annotations

import os
import pwd
import subprocess
from enum import StrEnum
from pathlib import Path

from infrastructure.local.state import State

DECISION = "postgres.account"
NOBODY = "nobody"
TRY_SECONDS = 10.0
KEPT_CAPABILITY = "-all,+dac_override"


class Account(StrEnum):
    """Who PostgreSQL is."""

    OURSELVES = "ourselves"
    NAMESPACE = "namespace"
    NOBODY = "nobody"

    def command_prefix(self) -> tuple[str, ...]:
        """Return what goes before a command, so that it runs as this account.

        These programs (util-linux) become the command: its pid is the one that was started.
        """
        if self is Account.OURSELVES:
            return ()
        nobody = pwd.getpwnam(NOBODY)
        if self is Account.NAMESPACE:
            uid, gid = f"--map-user={nobody.pw_uid}", f"--map-group={nobody.pw_gid}"
            return ("unshare", "--user", uid, gid, "--")
        return (
            "setpriv",
            f"--reuid={nobody.pw_uid}",
            f"--regid={nobody.pw_gid}",
            "--clear-groups",
            # access(2) forgets capabilities of ordinary users unless told to keep them.
            "--securebits=+no_setuid_fixup",
            f"--inh-caps={KEPT_CAPABILITY}",
            f"--ambient-caps={KEPT_CAPABILITY}",
            "--",
        )

    def own(self, folder: Path) -> None:
        """Give `folder` with all it holds to the account, as the server insists on it."""
        if self is Account.OURSELVES:
            return
        nobody = pwd.getpwnam(NOBODY)
        uid, gid = (nobody.pw_uid, nobody.pw_gid) if self is Account.NOBODY else (0, 0)
        if folder.stat().st_uid == uid:
            return
        for parent, folders, files in os.walk(folder):
            for name in (*folders, *files):
                os.chown(Path(parent, name), uid, gid, follow_symlinks=False)
        os.chown(folder, uid, gid)  # last: its owner tells that all of it was done


def choose_account(state: State) -> Account:
    """Return the account for an instance's data, and remember it: the data belong to it."""
    if os.geteuid() != 0:
        return Account.OURSELVES
    known = state.decision(DECISION)
    if known == Account.NOBODY:
        return Account.NOBODY
    account = Account.NAMESPACE if _namespaces_work() else Account.NOBODY
    state.decide(DECISION, account)
    return account


def _namespaces_work() -> bool:
    try:
        answer = subprocess.run(
            [*Account.NAMESPACE.command_prefix(), "true"],
            capture_output=True,
            check=False,
            timeout=TRY_SECONDS,
        )
    except FileNotFoundError:
        return False
    return answer.returncode == 0
