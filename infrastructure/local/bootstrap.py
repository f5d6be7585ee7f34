"""Bring the project's Python environments: `python3 infrastructure/local/bootstrap.py`.

It runs with a bare machine's own Python and nothing else: no pip, no venv module, no package. It
fetches `uv` by its locked digest unless a good one is on PATH, and lets it install what `uv.lock`
names. A second call finds the stamps of the first and returns at once. It asks nothing.

Heeded: PIP_INDEX_URL (packages come from that index, by the locked digests), PIP_CERT and
SSL_CERT_FILE, UV_CACHE_DIR (else the cache is in `.datapunk/` with everything else).
"""

from __future__ import annotations

import sys

if __name__ == "__main__":
    # A script's folder comes first on the path, and modules here are named as some of Python's.
    del sys.path[0]

import argparse
import contextlib
import fcntl
import hashlib
import os
import platform
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
OLDEST_PYTHON = (3, 11)
PYPI = "https://pypi.org/simple"
STAMP = ".datapunk-stamp"
DOWNLOAD_SECONDS = 120.0
DOWNLOAD_ATTEMPTS = 3
APT_SECONDS = 300.0
INCLUDES = {"dev": ("dev", "local"), "local": ("local",)}
"""Which groups the environment of a group serves."""

UV_VERSION = (0, 13, 8)
UV_WHEELS = {
    ("linux", "x86_64"): (
        "uv-0.13.8-py3-none-manylinux_2_17_x86_64.manylinux2014_x86_64.whl",
        "e18a57b8b352eb7c8feb317b9f6f533c8f0ad9673fd6cf34bbe3cf1a9f6a8984",
    ),
    ("linux", "aarch64"): (
        "uv-0.13.8-py3-none-manylinux_2_17_aarch64.manylinux2014_aarch64.musllinux_1_1_aarch64.whl",
        "0b3e8b1a4f5e405e31e2ff33de8af4744831e9f7338539671efbd8c3c94e791d",
    ),
    ("darwin", "x86_64"): (
        "uv-0.13.8-py3-none-macosx_10_12_x86_64.whl",
        "b7124ca1956ec2e476a1003ea5715a15f0266afaec37f4dc9c6972ba8183e6d1",
    ),
    ("darwin", "arm64"): (
        "uv-0.13.8-py3-none-macosx_11_0_arm64.whl",
        "62b6943c7fd64fac6854f780bea6e0359e5a5bc3241f83ee357bb38276afac49",
    ),
}


class BootstrapError(RuntimeError):
    """Something is missing that this program cannot bring; the message says what to run."""


def index_url() -> str:
    """Return the package index: PIP_INDEX_URL, else PyPI."""
    return os.environ.get("PIP_INDEX_URL", PYPI).rstrip("/")


def certificates() -> str | None:
    """Return the file of trusted certificates that the environment names, if it names one."""
    return os.environ.get("SSL_CERT_FILE") or os.environ.get("PIP_CERT")


def ensure_certificates() -> None:
    """Make sure that HTTPS can be verified, on Debian by installing `ca-certificates`.

    Raises BootstrapError with the command to run where that needs a password.
    """
    if certificates() or not index_url().startswith("https:") or _machine_has_certificates():
        return
    install = "apt-get install --yes --no-install-recommends ca-certificates"
    rights = [] if os.geteuid() == 0 else ["sudo", "--non-interactive"]
    allowed = not rights or _succeeds([*rights, "true"])
    if not shutil.which("apt-get") or not allowed:
        raise BootstrapError(
            "this machine has no certificate authorities, so no download can be trusted. Run\n"
            f"    sudo {install}\nor set SSL_CERT_FILE to a file that holds them, and try again"
        )
    say("installing ca-certificates: without them no download can be trusted")
    quiet = ["env", "DEBIAN_FRONTEND=noninteractive"]
    if not (
        _succeeds([*rights, *quiet, "apt-get", "update"])
        and _succeeds([*rights, *quiet, *install.split()])
    ):
        raise BootstrapError(f"`sudo {install}` failed: run it, see why, and try again")


def _machine_has_certificates() -> bool:
    import ssl

    paths = ssl.get_default_verify_paths()
    file = Path(paths.openssl_cafile)
    folder = Path(paths.openssl_capath)
    return file.is_file() or (folder.is_dir() and any(folder.iterdir()))


def _succeeds(command: list[str]) -> bool:
    try:
        answer = subprocess.run(command, capture_output=True, check=False, timeout=APT_SECONDS)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return answer.returncode == 0


def find_uv(tools: Path) -> Path:
    """Return a `uv` of the pinned version or a newer one: from PATH, from `tools`, or fetched."""
    on_path = shutil.which("uv")
    if on_path and _uv_version(on_path) >= UV_VERSION:
        return Path(on_path)
    own = tools / f"uv-{'.'.join(map(str, UV_VERSION))}"
    if not own.exists():
        system = "darwin" if sys.platform == "darwin" else "linux"
        wheel = UV_WHEELS.get((system, platform.machine()))
        if wheel is None:
            raise BootstrapError(
                f"no uv is pinned for {system} on {platform.machine()}: install uv "
                f"{'.'.join(map(str, UV_VERSION))} or newer yourself and try again"
            )
        ensure_certificates()
        say(f"fetching {wheel[0].split('-py3')[0]} from {_without_account(index_url())}")
        install_uv(own, *wheel)
    return own


def _uv_version(program: str) -> tuple[int, ...]:
    try:
        answer = subprocess.run(
            [program, "--version"], capture_output=True, text=True, check=False, timeout=10
        )
        return tuple(int(part) for part in answer.stdout.split()[1].split("."))
    except (OSError, IndexError, ValueError, subprocess.TimeoutExpired):
        return ()


def install_uv(target: Path, file_name: str, digest: str) -> None:
    """Fetch a wheel of uv, check it and put its program at `target`, whole or not at all."""
    import io
    import zipfile

    content = _fetch(find_link(f"{index_url()}/uv/", file_name))
    if hashlib.sha256(content).hexdigest() != digest:
        raise BootstrapError(
            f"{file_name} from {_without_account(index_url())} is not the file that is pinned: "
            "try again, or set PIP_INDEX_URL to another index"
        )
    with zipfile.ZipFile(io.BytesIO(content)) as wheel:
        program = next(name for name in wheel.namelist() if name.endswith(".data/scripts/uv"))
        content = wheel.read(program)
    target.parent.mkdir(parents=True, exist_ok=True)
    beside = target.with_name(f".{target.name}.{os.getpid()}")
    beside.write_bytes(content)
    beside.chmod(0o755)
    beside.replace(target)


def find_link(page: str, file_name: str) -> str:
    """Return the URL of `file_name` on an index page (PEP 503), wherever its link leads to."""
    import html.parser
    import urllib.parse

    links: list[str] = []

    class Links(html.parser.HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            links.extend(value for name, value in attrs if (tag, name) == ("a", "href") and value)

    Links().feed(_fetch(page).decode())
    for link in links:
        url = urllib.parse.urljoin(page, link.partition("#")[0])
        if urllib.parse.unquote(url).rpartition("/")[2] == file_name:
            return url
    raise BootstrapError(f"{_without_account(page)} does not offer {file_name}: set PIP_INDEX_URL")


def _fetch(url: str) -> bytes:
    import base64
    import http.client
    import ssl
    import urllib.error
    import urllib.parse
    import urllib.request

    parts = urllib.parse.urlsplit(url)
    account, _, host = parts.netloc.rpartition("@")
    request = urllib.request.Request(parts._replace(netloc=host).geturl())
    if account:
        plain = urllib.parse.unquote(account).encode()
        request.add_header("Authorization", f"Basic {base64.b64encode(plain).decode()}")
    trusted = ssl.create_default_context(cafile=certificates())
    reason: Exception | None = None
    for attempt in range(DOWNLOAD_ATTEMPTS):
        time.sleep(attempt)
        try:
            with urllib.request.urlopen(
                request, timeout=DOWNLOAD_SECONDS, context=trusted
            ) as answer:
                return bytes(answer.read())
        except (OSError, EOFError, http.client.HTTPException) as error:
            reason = error
            if isinstance(error, urllib.error.HTTPError):
                error.close()
    raise BootstrapError(
        f"cannot fetch {_without_account(url)}: {reason}. "
        "Check the network (HTTPS_PROXY, SSL_CERT_FILE, PIP_INDEX_URL) and try again"
    )


def _without_account(url: str) -> str:
    scheme, _, rest = url.partition("://")
    place, slash, path = rest.partition("/")
    return f"{scheme}://{place.rpartition('@')[2]}{slash}{path}"


def base_python() -> str:
    """Return the machine's Python, also when this runs inside a virtual environment."""
    return str(getattr(sys, "_base_executable", None) or sys.executable)


class Environment:
    """One virtual environment: a folder and the dependency group in it.

    Two stamps in the folder tell what it holds: the place and Python it was made for (another one
    means making it anew, for scripts carry their path), and the lock file it was synced with.
    """

    def __init__(self, folder: Path, group: str, *, only: bool) -> None:
        self.folder = folder
        self.group = group
        self._only = only

    def is_current(self) -> bool:
        """Tell whether nothing has to be done."""
        place, groups, lock = self._stamps()
        return (
            place == self._place()
            and lock == self._lock()
            and self.group in groups
            and not self._under_way.exists()
        )

    def sync(self, uv: Path) -> None:
        """Install what the lock file names, no more and no less.

        An environment whose making was interrupted may hold half a package that looks whole, so
        it is made anew; the files come from the cache.
        """
        place, groups, _ = self._stamps()
        if self._under_way.exists() or place not in (None, self._place()):
            shutil.rmtree(self.folder, ignore_errors=True)
        elif self.group not in groups and "dev" in groups:
            self.group = "dev"
        started = time.monotonic()
        say(f"bringing {self.folder.relative_to(PROJECT)} ({self.group})")
        ensure_certificates()
        self._under_way.parent.mkdir(parents=True, exist_ok=True)
        self._under_way.touch()
        option = "--only-group" if self._only else "--group"
        if index_url() == PYPI:
            _uv(uv, self.folder, "sync", "--frozen", option, self.group)
        else:
            self._sync_from_index(uv, option)
        served = ",".join(INCLUDES.get(self.group, (self.group,)))
        stamp = self.folder / STAMP
        stamp.write_text(f"{self._place()}\n{served}\n{self._lock()}\n", encoding="utf-8")
        self._under_way.unlink()
        say(f"{self.folder.relative_to(PROJECT)} is ready ({time.monotonic() - started:.1f} s)")

    def _sync_from_index(self, uv: Path, option: str) -> None:
        """Install the locked versions from another index: the lock file names PyPI's files."""
        wanted = self._under_way.with_suffix(".txt")
        _uv(uv, self.folder, "export", "--frozen", option, self.group, "-o", str(wanted))
        if not (self.folder / "bin/python").exists():
            _uv(uv, self.folder, "venv", "--allow-existing", str(self.folder))
        index = ["--index-url", index_url(), "--require-hashes"]
        python = ["--python", str(self.folder / "bin/python")]
        _uv(uv, self.folder, "pip", "sync", *python, *index, str(wanted))
        wanted.unlink()

    @property
    def _under_way(self) -> Path:
        return PROJECT / ".datapunk" / f"{self.folder.name.lstrip('.')}.under-way"

    def _place(self) -> str:
        return f"{self.folder} {base_python()} {platform.python_version()}"

    def _lock(self) -> str:
        files = (PROJECT / "uv.lock", PROJECT / "pyproject.toml")
        return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()

    def _stamps(self) -> tuple[str | None, list[str], str | None]:
        try:
            lines = (self.folder / STAMP).read_text(encoding="utf-8").splitlines()
            place, groups, lock = lines
        except (OSError, ValueError):
            return None, [], None
        return place, groups.split(","), lock


def _uv(uv: Path, folder: Path, *arguments: str) -> None:
    live = sys.stderr.isatty()
    environment = {
        "UV_CACHE_DIR": str(PROJECT / ".datapunk/cache/uv"),
        **os.environ,
        "UV_PROJECT_ENVIRONMENT": str(folder),
        # As everything else here, uv trusts whom the machine trusts.
        "UV_SYSTEM_CERTS": "1",
        "UV_PYTHON": base_python(),
        "UV_PYTHON_DOWNLOADS": "never",
        **({"SSL_CERT_FILE": str(certificates())} if certificates() else {}),
    }
    environment.pop("VIRTUAL_ENV", None)
    answer = subprocess.run(
        [str(uv), *arguments],
        cwd=PROJECT,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=None if live else subprocess.PIPE,
        text=True,
        check=False,
    )
    if answer.returncode:
        raise BootstrapError(
            f"`uv {' '.join(arguments)}` failed{'' if live else ':'}\n{answer.stderr or ''}"
        )


@contextlib.contextmanager
def one_at_a_time(file: Path) -> Iterator[None]:
    """Let a second bootstrap of the same project wait for the first."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("a", encoding="utf-8") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("another launcher brings the environment; waiting for it to end")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def say(text: str) -> None:
    """Tell what happens, where the output of the program itself is not disturbed."""
    print(f" · {text}", file=sys.stderr, flush=True)


def main(arguments: list[str] | None = None) -> int:
    """Bring the environments that `arguments` name; return the exit code."""
    parser = argparse.ArgumentParser(description="Bring the project's Python environments.")
    parser.add_argument("--group", choices=sorted(INCLUDES), default="local")
    parser.add_argument("--tools", nargs="*", choices=["peers", "sam"], default=[])
    wanted = parser.parse_args(arguments)
    if sys.version_info < OLDEST_PYTHON:
        print("Python 3.11 or newer is needed: run make with PYTHON=python3.x", file=sys.stderr)
        return 1
    tools = ("ministack", *wanted.tools)
    environments = [
        Environment(PROJECT / ".venv", wanted.group, only=False),
        *(Environment(PROJECT / ".datapunk/venvs" / tool, tool, only=True) for tool in tools),
    ]
    if all(environment.is_current() for environment in environments):
        return 0
    try:
        with one_at_a_time(PROJECT / ".datapunk/bootstrap.lock"):
            missing = [each for each in environments if not each.is_current()]
            if missing:
                uv = find_uv(PROJECT / ".datapunk/tools")
                for environment in missing:
                    environment.sync(uv)
    except BootstrapError as error:
        print(f"datapunk: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("datapunk: interrupted; the next call goes on from here", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
