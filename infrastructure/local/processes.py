"""Server processes that outlive the launcher: started detached, known by more than their pid.

A pid file alone is never believed. The pid may belong to another program by now, to a zombie that
nobody reaped, or to a server of another clone. A process is ours when its command line carries
our mark (an argument that names this instance) and it is not a zombie.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

POLL_SECONDS = 0.05
KILL_SECONDS = 10.0
START_SECONDS = 5.0
LOG_TAIL_BYTES = 4000
PS_SECONDS = 5.0
LISTENING = "0A"
"""State of a listening socket in `/proc/net/tcp`."""
SHORT_SECONDS = 0.002
SETTLE_ATTEMPTS = 50

# The shell writes its own pid and then becomes the server: there is no moment in which the server
# runs and no pid file names it, whenever the launcher dies.
WRITE_PID_THEN_RUN = 'cd "$1" && echo $$ > "$0" && shift && exec "$@"'


class ProcessError(RuntimeError):
    """A server ended, did not become ready or could not be stopped."""


@dataclass(frozen=True, slots=True)
class Process:
    """How one server runs and how it is recognised.

    `mark` is an argument of its command line that no process of another instance has. `program` is
    the file name of the running executable; with it a server is found even without a pid file.
    """

    name: str
    argv: tuple[str, ...]
    log: Path
    pid_file: Path
    mark: str
    program: str
    cwd: Path = Path("/")
    env: Mapping[str, str] = field(default_factory=dict)
    stop_signal: signal.Signals = signal.SIGTERM

    def start(self) -> int:
        """Start the server unless it runs, and return its pid.

        It gets a session of its own, so that neither Ctrl-C in the launcher's terminal nor the end
        of that terminal reaches it.
        """
        running = self.alive()
        if running is not None:
            return running
        self.log.parent.mkdir(parents=True, exist_ok=True)
        self.pid_file.parent.mkdir(parents=True, exist_ok=True)
        append = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        pid = os.posix_spawn(
            "/bin/sh",
            ["sh", "-c", WRITE_PID_THEN_RUN, str(self.pid_file), str(self.cwd), *self.argv],
            dict(self.env),
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_OPEN, 1, str(self.log), append, 0o600),
                (os.POSIX_SPAWN_DUP2, 1, 2),
            ],
            setsid=True,
            setsigmask=[],
            # Python ignores SIGPIPE, and an ignored signal stays ignored in the new program.
            setsigdef=[signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE],
        )
        self._wait_for_pid_file(pid)
        return pid

    def _wait_for_pid_file(self, pid: int) -> None:
        """Wait until the new process has written its pid: before that it looks dead to `alive`."""
        give_up = time.monotonic() + START_SECONDS
        while read_pid(self.pid_file) != pid and _exists(pid) and time.monotonic() < give_up:
            time.sleep(SHORT_SECONDS)

    def alive(self) -> int | None:
        """Return the server's pid when it runs and is ours, else None."""
        pid = read_pid(self.pid_file)
        if pid is not None and self._is_ours(pid):
            return pid
        for other, arguments in running_processes():
            if self.mark in arguments and Path(arguments[0]).name == self.program:
                return other
        return None

    def _is_ours(self, pid: int) -> bool:
        return self.mark in settled_command_line(pid)

    def stop(self, grace_seconds: float = 10.0) -> None:
        """Ask the server to end, and end it hard when it still runs after `grace_seconds`.

        Does nothing to a process that is not ours. Raises ProcessError when the process survives
        even that (it hangs in the kernel).
        """
        if not self._signal_until_gone(self.stop_signal, grace_seconds) and (
            not self._signal_until_gone(signal.SIGKILL, KILL_SECONDS)
        ):
            raise ProcessError(f"{self.name} (pid {self.alive()}) cannot be stopped, not even hard")
        self.pid_file.unlink(missing_ok=True)

    def _signal_until_gone(self, number: signal.Signals, seconds: float) -> bool:
        pid = self.alive()
        if pid is None:
            return True
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
            os.kill(pid, signal.SIGCONT)  # a stopped process handles a signal only when continued
        give_up = time.monotonic() + seconds
        while self._is_ours(pid):
            if time.monotonic() > give_up:
                return False
            time.sleep(POLL_SECONDS)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(pid, os.WNOHANG)  # a zombie when this launcher has started it
        return True

    def last_words(self) -> str:
        """Return the end of the log, for messages about a server that failed."""
        try:
            content = self.log.read_bytes()[-LOG_TAIL_BYTES:]
        except FileNotFoundError:
            return ""
        return content.decode(errors="replace").strip()


def read_pid(path: Path) -> int | None:
    """Return the pid in the first line of `path`; None when there is no usable one."""
    try:
        first = path.read_text(encoding="utf-8").partition("\n")[0]
        pid = int(first)
    except (FileNotFoundError, ValueError):
        return None
    return pid if pid > 1 else None


def command_line(pid: int) -> tuple[str, ...]:
    """Return the arguments of a live process; nothing for a dead one, a zombie or a foreign user's.

    Without `/proc` (macOS) the arguments come split at spaces, and the whole line comes with them,
    so that a mark that holds spaces is found there too.
    """
    if sys.platform == "linux":
        try:
            raw = Path(f"/proc/{pid}/cmdline").read_bytes()  # empty for a zombie
        except OSError:
            return ()
        parts = raw.rstrip(b"\0").split(b"\0") if raw else ()
        return tuple(part.decode(errors="replace") for part in parts)
    return next((arguments for _, arguments in _ps("-p", str(pid))), ())


def settled_command_line(pid: int) -> tuple[str, ...]:
    """Return the arguments of a process that may just be becoming another program.

    In the middle of exec(2) a live process has no command line for an instant.
    """
    for _ in range(SETTLE_ATTEMPTS):
        arguments = command_line(pid)
        if arguments or not _exists(pid):
            return arguments
        time.sleep(SHORT_SECONDS)
    return ()


def _exists(pid: int) -> bool:
    """Tell whether `pid` is a process and no zombie (proc(5): the state follows the name)."""
    if sys.platform != "linux":
        return bool(command_line(pid))
    try:
        state = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(") ")[2][:1]
    except (OSError, ValueError):
        return False
    return state not in ("Z", "X")


def listens(pid: int, port: int) -> bool:
    """Tell whether process `pid` is the one that listens on `port` of the loopback address.

    Only Linux tells; elsewhere the answer is yes.
    """
    if sys.platform != "linux":
        return True
    address = f"0100007F:{port:04X}"
    sockets = set()
    for line in Path("/proc/net/tcp").read_text(encoding="ascii").splitlines()[1:]:
        fields = line.split()
        if fields[1] == address and fields[3] == LISTENING:
            sockets.add(f"socket:[{fields[9]}]")
    try:
        return any(
            os.readlink(f"/proc/{pid}/fd/{descriptor}") in sockets  # noqa: PTH115 (a Path each costs too much)
            for descriptor in os.listdir(f"/proc/{pid}/fd")  # noqa: PTH208
        )
    except OSError:  # it has ended, or closed one of them, meanwhile: to be asked again
        return False


def running_processes() -> Iterator[tuple[int, tuple[str, ...]]]:
    """Yield pid and arguments of every live process that we may look at."""
    if sys.platform != "linux":
        yield from _ps("-ax")
        return
    for entry in os.listdir("/proc"):  # noqa: PTH208 (names only: a Path each costs too much)
        if entry.isdigit():
            arguments = command_line(int(entry))
            if arguments:
                yield int(entry), arguments


def _ps(*selection: str) -> Iterator[tuple[int, tuple[str, ...]]]:
    answer = subprocess.run(
        ["ps", "-ww", "-o", "pid=,stat=,command=", *selection],
        capture_output=True,
        text=True,
        check=False,
        timeout=PS_SECONDS,
    )
    for line in answer.stdout.splitlines():
        pid, state, command = (*line.split(None, 2), "")[:3]
        if not state.startswith("Z"):
            words = command.split()
            yield int(pid), (*words, *_endings(words))


def _endings(words: list[str]) -> Iterator[str]:
    """Yield what follows each option up to the next one: an argument with spaces in it, whole."""
    for place, word in enumerate(words):
        if word.startswith("-"):
            rest = []
            for following in words[place + 1 :]:
                if following.startswith("-"):
                    break
                rest.append(following)
            yield " ".join(rest)
            yield " ".join((word, *rest))
