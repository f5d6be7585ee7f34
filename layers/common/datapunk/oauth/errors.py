"""OAuth's own errors, in OAuth's own words (RFC 6749, 4.1.2.1 and 5.2; RFC 8693, 2.2.2)."""

from __future__ import annotations

BAD_REQUEST = 400
UNAUTHORIZED = 401


class OAuthError(Exception):
    """An OAuth request was refused.

    `error` is the registered code that programs read, `description` a sentence for developers.
    """

    def __init__(self, error: str, description: str) -> None:
        self.error = error
        self.description = description
        super().__init__(f"{error}: {description}")

    @property
    def status(self) -> int:
        """The HTTP status of the answer: only a client that cannot prove itself gets 401."""
        return UNAUTHORIZED if self.error == "invalid_client" else BAD_REQUEST

    def as_dict(self) -> dict[str, str]:
        """Return the members of the answer."""
        return {"error": self.error, "error_description": self.description}
