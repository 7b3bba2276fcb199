"""A small stand-in for the service, scripted per test: for failures that an emulator never has."""

from __future__ import annotations

from collections import deque
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route


class Service:
    """Answers each route from a script, and remembers what was asked.

    Parameters
    ----------
    **scripts : list
        By operation (submit, status, content, generate, tokens, files, resolve, quota): what to
        answer in turn, the last one for ever. A Response, a dict for JSON, bytes for a body.
    """

    def __init__(self, **scripts: list[Any]) -> None:
        self.scripts = {name: deque(script) for name, script in scripts.items()}
        self.calls: list[str] = []
        self.forms: list[dict[str, Any]] = []
        self.bodies: list[bytes] = []
        self.headers: list[dict[str, str]] = []
        route = self._route
        self.app = Starlette(
            routes=[
                Route("/v1/generate/{name}", route("generate"), methods=["POST"]),
                Route("/v1/jobs/{name}", route("submit"), methods=["POST"]),
                Route("/v1/jobs/{name}", route("status")),
                Route("/v1/jobs/{name}/content", route("content")),
                Route("/v1/client/tokens", route("tokens"), methods=["POST"]),
                Route("/v1/files", route("files"), methods=["POST"]),
                Route("/v1/files/{name}", route("files"), methods=["GET", "DELETE"]),
                Route("/v1/models/resolve", route("resolve"), methods=["POST"]),
                Route("/v1/realtime/quota", route("quota")),
            ]
        )

    def count(self, name: str) -> int:
        """How often an operation was asked for."""
        return self.calls.count(name)

    def _route(self, name: str) -> Any:
        async def answer(request: Request) -> Response:
            self.calls.append(name)
            self.headers.append(dict(request.headers))
            if "multipart" in request.headers.get("content-type", ""):
                form = await request.form()
                self.forms.append(
                    {
                        key: value
                        if isinstance(value, str)
                        else (value.filename, value.content_type, await value.read())
                        for key, value in form.multi_items()
                    }
                )
            else:
                self.bodies.append(await request.body())
            script = self.scripts[name]
            item = script.popleft() if len(script) > 1 else script[0]
            if isinstance(item, Response):
                return item
            if isinstance(item, bytes):
                return Response(item, media_type="application/octet-stream")
            return JSONResponse(item)

        return answer


def job(status: str, **extra: Any) -> dict[str, Any]:
    """A job's answer."""
    return {"job_id": "job_1", "status": status} | extra


def refusal(status: int, **headers: str) -> JSONResponse:
    """An error answer."""
    return JSONResponse(
        {"detail": "no"}, status, headers={k.replace("_", "-"): v for k, v in headers.items()}
    )
