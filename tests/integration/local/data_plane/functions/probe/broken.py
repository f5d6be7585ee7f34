"""Cannot be imported."""

from typing import Any

import a_module_that_nobody_has  # type: ignore[import-not-found]  # noqa: F401 - it must fail


def handler(event: dict[str, Any], context: Any) -> Any:
    return None
