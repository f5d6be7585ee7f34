"""Processes of an instance and their sockets, read from `/proc`."""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

LISTEN = "0A"


@dataclass(frozen=True, slots=True)
class Socket:
    """A TCP socket of this machine."""

    address: ipaddress.IPv4Address | ipaddress.IPv6Address
    port: int
    listening: bool
    inode: int


def processes_of(folder: Path) -> dict[int, str]:
    """Return pid and command of every live process that has to do with `folder`.

    A process has when its command line, its environment or its working folder names it. That finds what
    a crash has left behind as well, and finds it without asking the launcher under test.
    """
    found = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            state = (entry / "stat").read_text().rpartition(") ")[2][:1]
            command = (entry / "cmdline").read_bytes()
            told = command + b"\0" + (entry / "environ").read_bytes()
            place = str((entry / "cwd").readlink())
        except OSError:
            continue
        named = f"{folder}/" in told.decode(errors="replace").replace("\0", "/")
        if state not in "ZX" and (named or Path(place).is_relative_to(folder)):
            found[int(entry.name)] = command.replace(b"\0", b" ").decode(errors="replace")
    return found


def sockets() -> Iterator[Socket]:
    """Yield every TCP socket of this machine (proc(5), `/proc/net/tcp`)."""
    for table in ("tcp", "tcp6"):
        for line in Path("/proc/net", table).read_text().splitlines()[1:]:
            words = line.split()
            host, port = words[1].split(":")
            # Each group of eight digits is a word in the machine's (little-endian) byte order.
            octets = b"".join(
                bytes.fromhex(host[place : place + 8])[::-1] for place in range(0, len(host), 8)
            )
            address = ipaddress.ip_address(octets)
            yield Socket(address, int(port, 16), words[3] == LISTEN, int(words[9]))


def inodes_of(pid: int) -> set[int]:
    """Return the inodes of the sockets a process has open."""
    found = set()
    try:
        for descriptor in Path("/proc", str(pid), "fd").iterdir():
            target = str(descriptor.readlink())
            if target.startswith("socket:["):
                found.add(int(target[8:-1]))
    except OSError:
        return found
    return found


def owner_of(port: int, folder: Path) -> int:
    """Return the process of the instance in `folder` that has a connection from local `port`."""
    wanted = {item.inode for item in sockets() if item.port == port and not item.listening}
    owners = [pid for pid in processes_of(folder) if inodes_of(pid) & wanted]
    assert len(owners) == 1, f"port {port} belongs to {owners}"
    return owners[0]
