"""Answer a module's calls over gRPC: `python -m infrastructure.containers lake --address 0.0.0.0:8443`.

The certificate, its key and the trusted roots are in the folder that `MESH_CERTIFICATES` names. It ends at
SIGTERM, when the call in hand is answered.
"""

from __future__ import annotations

import argparse
import importlib
import signal
import sys
from pathlib import Path

from datapunk.mesh.grpc_server import Identity, start_server
from datapunk.nexus.authentication import authenticate
from datapunk.settings import settings

GRACE = 30.0
"""Seconds that the call in hand gets at the end: as long as any may take."""


def main() -> int:
    """Serve until told to end."""
    parser = argparse.ArgumentParser(prog="python -m infrastructure.containers")
    parser.add_argument("modules", nargs="+", help="modules whose calls are answered, e.g. lake")
    parser.add_argument("--address", default="127.0.0.1:8443", help="host and port; port 0 for any")
    arguments = parser.parse_args()
    services = [
        importlib.import_module(f"datapunk.{module}.service").SERVICE
        for module in arguments.modules
    ]
    identity = Identity.from_folder(Path(settings().mesh_certificates))
    server, port = start_server(services, arguments.address, identity, authenticate)
    signal.signal(signal.SIGTERM, lambda *_: server.stop(GRACE))
    sys.stdout.write(f"serving on port {port}\n")
    sys.stdout.flush()
    server.wait_for_termination()
    return 0


if __name__ == "__main__":
    sys.exit(main())
