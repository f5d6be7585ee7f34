"""The demo: a real public data set through the whole platform, by its public API only.

Weekly CO2 at Mauna Loa goes as CSV through the gateway into PostgreSQL; its event travels through RabbitMQ
into another function and is read back; yearly means are queried and drawn. Every step must succeed.
"""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from infrastructure.local.loopback import open_url
from infrastructure.local.paths import PROJECT
from infrastructure.local.progress import Progress, Step

DATA = PROJECT / "examples" / "mauna_loa_co2" / "co2_weekly.csv"
NAME = "co2_weekly"
DEFINITION = {
    "name": NAME,
    "description": "Weekly CO2 at Mauna Loa, 1958 to 2001 (Keeling and Whorf, public domain)",
    "columns": [
        {"name": "week", "type": "date", "description": "First day of the week"},
        {"name": "year", "type": "integer", "nullable": False},
        {"name": "ppm", "type": "number", "description": "Parts per million, empty: not measured"},
    ],
    "key": ["week"],
}
_TIMEOUT = 30.0
_EVENT_SECONDS = 60.0
_FOUND = 409
_BAR = 30


class DemoError(Exception):
    """A step of the demo failed; the message says which and with what answer."""


def run_demo(api: str, token: str, folder: Path) -> None:
    """Run all steps against the API at `api` with a bearer token; write the picture into `folder`.

    Raises DemoError at the first step that does not do what it should.
    """
    client = _Api(api, token)
    print(f"Demo: {DEFINITION['description']}\n")
    with Progress() as progress:
        with progress.step("create dataset") as step:
            _create(client, step)
        with progress.step("insert rows") as step:
            event_id = _insert(client, step)
        with progress.step("query yearly means") as step:
            means = _yearly_means(client)
            step.update(detail=f"{len(means)} years")
        with progress.step("event through RabbitMQ") as step:
            _await_event(client, event_id, step)
        with progress.step("draw") as step:
            picture = folder / "co2.png"
            _draw(means, picture)
            step.update(detail=_shown(picture))
    _print_table(means)
    print("\n  The same with curl:")
    print(f"  curl '{api}{_MEANS}' -H \"Authorization: Bearer $(make -s token)\"\n")


_RECORDS = f"/v1/lake/datasets/{NAME}/records"
_MEANS = f"{_RECORDS}?" + urlencode(
    {"select": "year,mean:ppm.avg(),weeks:ppm.count()", "order": "year", "limit": 1000},
    safe=":,()",
)


def _create(client: _Api, step: Step) -> None:
    status, _ = client.call(
        "POST", "/v1/lake/datasets", json.dumps(DEFINITION).encode(), expected=(201, _FOUND)
    )
    step.update(detail=f"{NAME} exists already" if status == _FOUND else NAME)


def _insert(client: _Api, step: Step) -> str:
    """Insert the rows unless they are there; return the id of an event to wait for."""
    content = DATA.read_bytes()
    rows = content.count(b"\n") - 1
    _, answer = client.call("GET", f"{_RECORDS}?select=count()")
    present = answer["items"][0]["count"]
    if present == rows:
        step.update(detail=f"{rows:,} are there already; publishing an event of this run instead")
        return _publish(client)
    if present:
        raise DemoError(f"{NAME} holds {present:,} rows instead of {rows:,}: it is not the demo's.")
    _, receipt = client.call("POST", _RECORDS, content, media_type="text/csv", expected=(201,))
    if receipt["inserted"] != rows:
        raise DemoError(f"{receipt['inserted']:,} rows were inserted instead of {rows:,}.")
    step.update(detail=f"{rows:,} rows, {len(content) // 1024} KiB of CSV")
    return str(receipt["event_id"])


def _publish(client: _Api) -> str:
    event = {
        "specversion": "1.0",
        "id": str(uuid.uuid4()),
        "source": "/demo",
        "type": "demo.run",
        "subject": NAME,
        "data": {"dataset": NAME},
    }
    body = json.dumps(event).encode()
    media_type = "application/cloudevents+json"
    client.call("POST", "/v1/stream/events", body, media_type=media_type, expected=(202,))
    return str(event["id"])


def _yearly_means(client: _Api) -> list[dict[str, Any]]:
    _, answer = client.call("GET", _MEANS)
    means = [item for item in answer["items"] if item["mean"] is not None]
    if not means:
        raise DemoError("The query of yearly means gave no row.")
    return means


def _await_event(client: _Api, event_id: str, step: Step) -> None:
    give_up = time.monotonic() + _EVENT_SECONDS
    while time.monotonic() < give_up:
        _, answer = client.call("GET", f"/v1/stream/events?subject={NAME}&limit=100")
        for event in answer["items"]:
            if event["id"] == event_id:
                step.update(detail=f"{event['type']} is stored at position {event['position']}")
                return
        time.sleep(0.2)
    raise DemoError(
        f"The event {event_id} did not arrive within {_EVENT_SECONDS:.0f} s; "
        "see `make logs NAME=stream` and `make status`."
    )


def _draw(means: Sequence[Mapping[str, Any]], file: Path) -> None:
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    file.parent.mkdir(parents=True, exist_ok=True)
    figure, axes = plt.subplots(figsize=(8, 4.5), layout="constrained")
    axes.plot([item["year"] for item in means], [item["mean"] for item in means], marker=".")
    axes.set_title("Yearly mean of CO2 at Mauna Loa")
    axes.set_xlabel("year")
    axes.set_ylabel("parts per million")
    axes.grid(visible=True, alpha=0.3)
    figure.savefig(file, dpi=120)
    plt.close(figure)


def _print_table(means: Sequence[Mapping[str, Any]]) -> None:
    low, high = min(item["mean"] for item in means), max(item["mean"] for item in means)
    print(f"\n  {'year':>6}{'mean ppm':>10}{'weeks':>7}")
    for item in means[:: max(1, len(means) // 9)]:
        share = (item["mean"] - low) / (high - low) if high > low else 1.0
        bar = "█" * (1 + round(share * (_BAR - 1)))
        print(f"  {item['year']:>6}{item['mean']:>10.2f}{item['weeks']:>7}  {bar}")


def _shown(path: Path) -> str:
    return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)


class _Api:
    """The platform's public API, asked with the standard library only."""

    def __init__(self, url: str, token: str) -> None:
        self._url = url
        self._token = token

    def call(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        *,
        media_type: str = "application/json",
        expected: Sequence[int] = (200,),
    ) -> tuple[int, Any]:
        """Return status and decoded answer. Raises DemoError for any other status than expected."""
        headers = {"Content-Type": media_type, "Authorization": f"Bearer {self._token}"}
        request = urllib.request.Request(
            self._url + path, data=body, method=method, headers=headers
        )
        try:
            with open_url(request, _TIMEOUT) as answer:
                status, content = answer.status, answer.read()
        except urllib.error.HTTPError as error:
            status, content = error.code, error.read()
        except OSError as error:
            raise DemoError(f"{method} {path}: {self._url} does not answer ({error}).") from None
        if status not in expected:
            shown = content.decode(errors="replace")[:500]
            raise DemoError(f"{method} {path} answered {status}: {shown}")
        try:
            return status, json.loads(content)
        except ValueError:
            shown = content.decode(errors="replace")[:500]
            raise DemoError(f"{method} {path} did not answer JSON: {shown}") from None
