"""Start the data plane: `python -m infrastructure.local.data_plane --config FILE`."""

from __future__ import annotations

import argparse
import logging
import time
from pathlib import Path

import uvloop

from infrastructure.local.catalog import Catalog
from infrastructure.local.control_plane.reading import read_catalog
from infrastructure.local.data_plane.server import DataPlane
from infrastructure.local.data_plane.settings import read_settings


def main() -> None:
    """Read the configuration and serve until told to stop."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", type=Path, required=True, help="JSON file with the settings")
    settings = read_settings(parser.parse_args().config)
    logging.Formatter.converter = time.gmtime
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)sZ %(levelname)s %(message)s", datefmt="%FT%T"
    )
    for name in ("botocore", "uvicorn", "watchfiles"):
        logging.getLogger(name).setLevel(logging.WARNING)
    # pika tells every step of every attempt to connect; the event source says what matters.
    logging.getLogger("pika").setLevel(logging.CRITICAL)

    def catalog() -> Catalog:
        return read_catalog(
            settings.aws_endpoint, settings.stack_name, settings.template, settings.project
        )

    async def serve() -> None:
        await DataPlane(settings, catalog).run()

    uvloop.run(serve())


if __name__ == "__main__":
    main()
