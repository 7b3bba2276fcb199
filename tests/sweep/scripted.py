"""A little service that does what each prompt tells it to, and counts what it was asked."""

from __future__ import annotations

import io
import itertools
from collections import Counter
from typing import Any

from PIL import Image
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route


def png(number: int) -> bytes:
    """A small picture of its own."""
    buffer = io.BytesIO()
    Image.new("RGB", (32 + number % 32, 24), (number % 256, 80, 120)).save(buffer, "PNG")
    return buffer.getvalue()


class Scripted:
    """The app and its counts: ``bought`` by prompt, ``asked`` by job, ``active`` at the most.

    With ``together`` the first requests are answered once so many are there at the same time.
    """

    def __init__(self, clip: bytes = b"") -> None:
        self.clip = clip
        self.together = 1
        self._met = False
        self.bought: Counter[str] = Counter()
        self.asked: Counter[str] = Counter()
        self.prompts: dict[str, str] = {}
        self.mended: set[str] = set()
        self.active = self.most_active = 0
        self._number = itertools.count()
        self.app = Starlette(
            routes=[
                Route("/health", self._health),
                Route("/v1/models/resolve", self._resolve, methods=["POST"]),
                Route("/v1/generate/{model}", self._generate, methods=["POST"]),
                Route("/v1/jobs/{model}", self._submit, methods=["POST"]),
                Route("/v1/jobs/{job}", self._status),
                Route("/v1/jobs/{job}/content", self._content),
            ]
        )

    async def _health(self, _: Request) -> Response:
        return JSONResponse({"service": "scripted"})

    async def _resolve(self, request: Request) -> Response:
        names = (await request.json())["models"]
        return JSONResponse({"model_ids": {name: f"{name}-of-today" for name in names}})

    async def _prompt(self, request: Request) -> str:
        import anyio

        async with request.form() as form:
            prompt = str(form["prompt"])
        self.bought[prompt] += 1
        self.active += 1
        self.most_active = max(self.active, self.most_active)
        with anyio.move_on_after(10.0):
            while not self._met and self.active < self.together:
                await anyio.sleep(0.005)
        self._met = True
        await anyio.sleep(0.01)
        self.active -= 1
        return prompt

    async def _generate(self, request: Request) -> Response:
        prompt = await self._prompt(request)
        return self._refusal(prompt) or Response(png(next(self._number)), media_type="image/png")

    async def _submit(self, request: Request) -> Response:
        prompt = await self._prompt(request)
        job = f"job-{next(self._number)}"
        self.prompts[job] = prompt
        return self._refusal(prompt) or JSONResponse({"job_id": job, "status": "pending"})

    async def _status(self, request: Request) -> Response:
        job = request.path_params["job"]
        prompt, asked = self.prompts[job], self.asked[job]
        self.asked[job] += 1
        answer: dict[str, Any] = {"job_id": job, "status": "completed"}
        if "forgotten" in prompt or ("late to appear" in prompt and asked < 2):
            return JSONResponse({"detail": "unknown job"}, 404)
        if "hiccup" in prompt and asked == 1:
            return PlainTextResponse("not JSON")
        if "job fails" in prompt:
            answer |= {"status": "failed", "error": "the clip was too strange"}
        elif asked < 3 or ("never ends" in prompt and prompt not in self.mended):
            answer["status"] = ("pending", "processing", "polishing")[min(asked, 2)]
        return JSONResponse(answer)

    async def _content(self, request: Request) -> Response:
        if "content is text" in self.prompts[request.path_params["job"]]:
            return PlainTextResponse("sorry")
        return Response(self.clip, media_type="video/mp4")

    def _refusal(self, prompt: str) -> Response | None:
        if prompt in self.mended:
            return None
        answers = {
            "refused": (422, {"detail": "moderation: not this"}),
            "not so": (422, {"detail": f"the prompt is {prompt}"}),
            "no key": (401, {"detail": "invalid API key"}),
            "no money": (402, {"detail": "insufficient credits"}),
            "not allowed": (403, {"detail": "this key may not use the model"}),
            "breaks": (500, {"detail": "internal error"}),
        }
        for word, (status, body) in answers.items():
            if word in prompt:
                return JSONResponse(body, status)
        if "odd answer" in prompt:
            return JSONResponse({"hello": "world"})
        return None
