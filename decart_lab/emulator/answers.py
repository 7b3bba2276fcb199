"""The shapes of the emulator's answers: JSON, and refusals as the service spells them.

Outside the realtime sessions, errors are FastAPI's: ``{"detail": sentence}``, or a list of
``{loc, msg, type}`` rows with status 422 (wire contract, section 10, contradiction 3).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from starlette.responses import JSONResponse


class Refusal(Exception):  # noqa: N818 - an answer on its way out, not a failure of ours
    """A request that is answered with an error.

    Parameters
    ----------
    status : int
        HTTP status.
    detail : str or list of dict
        A sentence, or validation rows.
    """

    def __init__(
        self,
        status: int,
        detail: str | list[dict[str, Any]],
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(status)
        self.status = status
        self.detail = detail
        self.headers = dict(headers or {})

    def answer(self) -> JSONResponse:
        """Return the response."""
        return JSONResponse({"detail": self.detail}, self.status, self.headers)


def row(field: str | tuple[str | int, ...], msg: str, kind: str, **more: Any) -> dict[str, Any]:
    """Return one validation row about a body field.

    Examples
    --------
    >>> row("prompt", "Field required", "missing")
    {'type': 'missing', 'loc': ['body', 'prompt'], 'msg': 'Field required'}
    """
    path = (field,) if isinstance(field, str) else field
    return {"type": kind, "loc": ["body", *path], "msg": msg, **more}


def invalid(*rows: dict[str, Any]) -> Refusal:
    """Return a 422 of those rows."""
    return Refusal(422, list(rows))


def pydantic_rows(errors: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return pydantic's errors as the rows FastAPI would send, inputs bounded."""
    return [
        row(tuple(error["loc"]), str(error["msg"]), str(error["type"]), input=_shown(error))
        for error in errors
    ]


def _shown(error: Mapping[str, Any]) -> Any:
    value = error.get("input")
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)  # JSON has no NaN
    if isinstance(value, int) or value is None:
        return value
    text = value if isinstance(value, str) else repr(value)
    return text[:200]
