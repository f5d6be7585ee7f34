"""Run a data plane for a test: `python serve.py CONFIG CATALOG`, the catalog being pickled."""

import logging
import pickle
import sys
from pathlib import Path
from typing import cast

import uvloop

from infrastructure.local.catalog import Catalog
from infrastructure.local.data_plane.server import DataPlane
from infrastructure.local.data_plane.settings import read_settings


def read_catalog() -> Catalog:
    return cast("Catalog", pickle.loads(Path(sys.argv[2]).read_bytes()))  # noqa: S301 - the test's


async def serve() -> None:
    await DataPlane(read_settings(Path(sys.argv[1])), read_catalog).run()


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    for name in ("pika", "botocore"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    uvloop.run(serve())
