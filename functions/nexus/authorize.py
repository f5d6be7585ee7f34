"""Authorizer of the API: who sends a request, by its token or session."""

from datapunk.authorizer import authorizer_function
from datapunk.credentials import Presented
from datapunk.identity import Caller
from datapunk.nexus.authentication import authenticate


@authorizer_function("nexus.authorize")
def handler(presented: Presented) -> Caller:
    """Tell the gateway whose request this is; the policy decides at each operation what he may do."""
    return authenticate(presented)
