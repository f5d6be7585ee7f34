"""GET /v1/nexus/sessions: where the caller is signed in."""

from datetime import datetime

from datapunk.cookies import read_cookie
from datapunk.errors import ForbiddenError
from datapunk.http import http_function
from datapunk.nexus import sessions
from datapunk.nexus.users import user_id_of
from datapunk.paging import Page
from pydantic import BaseModel

app, handler = http_function("nexus.list_sessions", raises=(ForbiddenError,))


class SessionView(BaseModel):
    """A session as its user sees it; `current` is the one this request came in."""

    id: str
    method: str
    started_at: datetime
    expires_at: datetime
    address: str
    agent: str
    current: bool


@app.get("/v1/nexus/sessions", tags=["nexus"])
def list_sessions() -> Page[SessionView]:
    """Return the caller's sessions, the newest first; there are 50 at most."""
    own = sessions.list_sessions(user_id_of(app.caller))
    current = (read_cookie(app.header("cookie")) or "").partition(".")[0]
    items = [
        SessionView(
            id=session.id,
            method=session.method,
            started_at=session.started_at,
            expires_at=session.expires_at,
            address=session.address,
            agent=session.agent,
            current=session.id == current,
        )
        for session in own
    ]
    return Page(items=items)
