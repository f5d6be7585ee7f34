"""GET /v1/nexus/flags: every feature flag with its value for the caller, and why it has it."""

from datapunk.http import http_function
from datapunk.nexus.flags import FlagState, list_states
from datapunk.paging import Page

app, handler = http_function("nexus.list_flags")


@app.get("/v1/nexus/flags", tags=["nexus"])
def list_flags() -> Page[FlagState]:
    """Return all flags of the catalogue on one page."""
    return Page(items=list_states())
