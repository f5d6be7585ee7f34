"""What is uploaded for a stack on one machine: code packages and nested templates.

The data plane runs functions from the working tree, so a code package here holds no code of the platform.
It holds a forwarder per handler: whoever invokes a function through the control plane (the `aws` command, a
bucket notification of the emulator) reaches the same warm function as everybody else. Packages depend on
nothing but the handlers' names, hence saving a file never makes a deployment necessary.
"""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass

BUCKET = "datapunk-local-packages"

ENDPOINTS_VARIABLE = "DATAPUNK_ENDPOINTS"
"""Names the endpoints file in the emulator's environment, which its function workers inherit."""

_FORWARDER = '''\
"""Hands the event to the running platform: this package holds no code of its own."""

import json
import os
import urllib.error
import urllib.request


def {function}(event, context):
    path = os.environ.get("{variable}", "")
    try:
        with open(path, encoding="utf-8") as file:
            invoke = json.load(file)["invoke"]
    except (OSError, KeyError, ValueError):
        raise RuntimeError("the platform does not run: start it with `make up`") from None
    request = urllib.request.Request(
        f"{{invoke}}/2015-03-31/functions/{{context.function_name}}/invocations",
        data=json.dumps(event).encode(),
        method="POST",
    )
    try:
        with urllib.request.urlopen(request, timeout=900) as response:
            failed = response.headers.get("X-Amz-Function-Error")
            payload = json.load(response)
    except urllib.error.URLError as error:
        raise RuntimeError(f"the platform did not take the invocation: {{error}}") from None
    if failed:
        raise RuntimeError(payload.get("errorMessage", failed))
    return payload
'''


@dataclass(frozen=True, slots=True)
class Artifact:
    """An object of the package bucket. Its key carries a digest of its content."""

    key: str
    body: bytes

    @property
    def uri(self) -> str:
        """The `s3://` form, as SAM wants code locations."""
        return f"s3://{BUCKET}/{self.key}"

    @property
    def url(self) -> str:
        """The HTTPS form, as CloudFormation wants template locations."""
        return f"https://s3.amazonaws.com/{BUCKET}/{self.key}"


def code_package(source: str, handlers: Iterable[str]) -> Artifact:
    """Return the package of the functions whose code is the folder `source`, `functions` for instance.

    `handlers` are the functions' `Handler` values, `lake.create_dataset.handler`.
    """
    files = {}
    for handler in sorted(set(handlers)):
        module, _, function = handler.rpartition(".")
        path = module.replace(".", "/") + ".py"
        files[path] = _FORWARDER.format(function=function, variable=ENDPOINTS_VARIABLE)
    return _packed(source, files)


def layer_package(source: str) -> Artifact:
    """Return the package of a layer whose content is the folder `source`, `layers/common` for instance."""
    return _packed(source, {"python/README": f"The platform reads {source} of the working tree.\n"})


def template_document(name: str, body: bytes) -> Artifact:
    """Return a nested template as an object of the bucket."""
    return Artifact(f"{name}-{_digest(body)}.template", body)


def source_of(key: str) -> str:
    """Return the folder of the working tree that a package stands for: the reverse of its key."""
    return key.rpartition("-")[0]


def _packed(source: str, files: dict[str, str]) -> Artifact:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, text in files.items():
            # A fixed time, or the digest would change with the clock.
            archive.writestr(zipfile.ZipInfo(path, (1980, 1, 1, 0, 0, 0)), text)
    body = buffer.getvalue()
    return Artifact(f"{source.strip('/')}-{_digest(body)}.zip", body)


def _digest(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()[:16]
