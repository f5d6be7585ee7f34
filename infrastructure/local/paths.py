"""Where the platform keeps things: one folder, `.datapunk/` of the project by default."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, slots=True)
class Paths:
    """Folders of one platform instance.

    `state` holds everything that instance writes. The programs (`prefix`), the tools' environments
    (`environments`) and `translations` of templates are shared by all instances of a project: a throw-away
    instance of the tests installs nothing.
    """

    state: Path
    programs: Path
    project: Path = PROJECT

    @property
    def data(self) -> Path:
        """Data folders of the services, one each."""
        return self.state / "data"

    @property
    def logs(self) -> Path:
        """One log file per service and per function."""
        return self.state / "logs"

    @property
    def run(self) -> Path:
        """Pid files, sockets and generated configuration."""
        return self.state / "run"

    @property
    def key_ring(self) -> Path:
        """The keys that sign tokens; made by the platform, readable by its owner only."""
        return self.state / "keyring"

    @property
    def authority(self) -> Path:
        """The authority of the certificate that the API shows on its mutual TLS side."""
        return self.state / "tls" / "ca.pem"

    @property
    def flags(self) -> Path:
        """The rules of feature flags: edit it to switch one."""
        return self.state / "flags.json"

    @property
    def endpoints(self) -> Path:
        """The file that names what runs."""
        return self.state / "endpoints.json"

    @property
    def prefix(self) -> Path:
        """Private prefixes of server programs, one folder per package list."""
        return self.programs / "prefix"

    @property
    def environments(self) -> Path:
        """Python environments of tools that cannot share the project's."""
        return self.programs / "venvs"

    @property
    def translations(self) -> Path:
        """What SAM's translator made of templates."""
        return self.programs / "translations"

    def create(self) -> None:
        """Create the folders that must exist before anything starts."""
        for folder in (self.data, self.logs, self.run):
            folder.mkdir(parents=True, exist_ok=True)


def default_paths() -> Paths:
    """Return the paths of the instance named by `DATAPUNK_STATE`, else of the project's own.

    `DATAPUNK_PROGRAMS` lets several clones share what is installed once.
    """
    own = PROJECT / ".datapunk"
    return Paths(
        state=Path(os.environ.get("DATAPUNK_STATE") or own).absolute(),
        programs=Path(os.environ.get("DATAPUNK_PROGRAMS") or own).absolute(),
    )
