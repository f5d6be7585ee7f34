"""DELETE /v1/nexus/sessions/{session}: sign out there."""

from typing import Annotated

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.openapi.params import Path
from datapunk.errors import ForbiddenError, NotFoundError
from datapunk.http import http_function
from datapunk.nexus.signing_out import sign_out
from datapunk.nexus.users import user_id_of

app, handler = http_function("nexus.end_session_by_id", raises=(ForbiddenError, NotFoundError))


@app.delete("/v1/nexus/sessions/<session>", status_code=204, tags=["nexus"])
def end_session_by_id(session: Annotated[str, Path(pattern="^[0-9a-f]{32}$")]) -> Response[str]:
    """End one of the caller's sessions and every access token that was issued in it."""
    sign_out(user_id_of(app.caller), session)
    return Response(status_code=204, body="")
