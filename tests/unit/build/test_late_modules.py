"""What only Lambda's runtime has is imported where it is needed: else the common layer could not be built."""

from __future__ import annotations

import json
import subprocess
import sys

from infrastructure.build.target import LATE_MODULES, PROJECT, RUNTIME_PACKAGES

LAYER = PROJECT / "layers" / "common"
SCRIPT = """
import importlib, json, sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in absent:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

layer, absent, modules = json.load(sys.stdin)
sys.meta_path.insert(0, Absent())
sys.path.insert(0, layer)
failed = {}
for module in modules:
    try:
        importlib.import_module(module)
    except ModuleNotFoundError as error:
        failed[module] = error.name
print(json.dumps(failed))
"""


def test_modules_of_the_layer_are_imported_without_the_runtime_s_packages() -> None:
    # Given
    modules = []
    for path in sorted((LAYER / "datapunk").rglob("*.py")):
        parts = path.relative_to(LAYER).with_suffix("").parts
        modules.append(".".join(parts[:-1] if parts[-1] == "__init__" else parts))
    absent = ["dateutil" if name == "python-dateutil" else name for name in RUNTIME_PACKAGES]
    # When
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        input=json.dumps([str(LAYER), absent, modules]),
        capture_output=True,
        text=True,
        check=True,
        timeout=100,
    )
    # Then only those that are known to need them do
    failed = json.loads(done.stdout)
    assert set(failed) == set(LATE_MODULES)
    assert set(failed.values()) == {"botocore"}
