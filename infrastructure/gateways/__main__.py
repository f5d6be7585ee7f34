"""Print the table of routes as configuration of another gateway: `make gateway FORMAT=nginx`."""

from __future__ import annotations

import argparse
import re
import sys

from infrastructure.documents.operations import FUNCTIONS, LAYER

sys.path[:0] = [str(LAYER), str(FUNCTIONS)]

_ADDRESS = re.compile(r"[A-Za-z0-9.-]+:\d{1,5}\Z")


def address(text: str) -> str:
    """Return the text when it is `host:port`. Raises ArgumentTypeError otherwise."""
    if not _ADDRESS.match(text):
        raise argparse.ArgumentTypeError(f"{text!r} is not host:port")
    return text


def main() -> int:
    """Run the command; return the exit status."""
    from infrastructure.gateways.kong import build_kong
    from infrastructure.gateways.nginx import write_nginx
    from infrastructure.gateways.routes import read_routes

    parser = argparse.ArgumentParser(prog="python -m infrastructure.gateways", description=__doc__)
    parser.add_argument("format", choices=("nginx", "kong"))
    parser.add_argument("--gateway", type=address, action="append", help="host:port; several share")
    parser.add_argument("--listen", type=address, default="127.0.0.1:8000", help="NGINX's own")
    given = parser.parse_args()
    gateways = given.gateway or ["127.0.0.1:8080"]
    if given.format == "nginx":
        sys.stdout.write(write_nginx(read_routes(), gateways, listen=given.listen))
    else:
        import yaml

        yaml.safe_dump(build_kong(read_routes(), gateways), sys.stdout, sort_keys=False)
    return 0


if __name__ == "__main__":
    sys.exit(main())
