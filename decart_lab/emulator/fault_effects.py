"""What faults do to one request: small functions on a visit, in the order of their rows.

Effects that break the wire are real: they reset the connection, or write an answer onto it that no
well-behaved server would send.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any, Final, Protocol

Effect = Callable[["Visit"], Awaitable[None]]

PAGE: Final = b"<!doctype html><title>Guest network</title><p>Please sign in.</p>"
BOMB_BYTES: Final = 64 * 2**20
TRICKLE_BYTES: Final = 16


@dataclass(slots=True)
class Reply:
    """An answer that can be looked at and altered before it is sent."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes

    @property
    def json(self) -> dict[str, Any]:
        """The body, read as JSON."""
        found: dict[str, Any] = json.loads(self.body)
        return found

    @classmethod
    def of(cls, status: int, body: object, **headers: str) -> Reply:
        """Make an answer of JSON, or of bytes with their type among the headers."""
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        named = {"content-type": "application/json"} | {
            name.replace("_", "-"): value for name, value in headers.items()
        }
        return cls(status, [(k.encode(), v.encode()) for k, v in named.items()], content)

    def with_body(self, body: bytes) -> Reply:
        """Return the answer with another body."""
        return Reply(self.status, self.headers, body)


class Visit(Protocol):
    """One request that a fault has struck, and what can be done to it."""

    @property
    def job_id(self) -> str:
        """The job it is about; "" for none."""

    @property
    def turn(self) -> int:
        """How often this fault has struck this job before."""

    def number(self, name: str) -> float:
        """Return a parameter of the fault."""

    def text(self, name: str) -> str:
        """Return the same as text; "" for a parameter that the fault does not have."""

    def now(self) -> datetime:
        """Return the emulator's time."""

    def fail_job(self, reason: str) -> None:
        """Let the job fail."""

    async def sleep(self, seconds: float) -> None:
        """Wait that many of the emulator's seconds, or until the client has gone."""

    async def read(self, limit: float | None = None) -> None:
        """Take in the body, or so much of it, and drop it."""

    async def accepted(self) -> Reply:
        """Carry out the request; a refusal of its own ends the visit and is sent as it is."""

    async def send(self, reply: Reply) -> None:
        """Answer as a server should."""

    async def write(self, reply: Reply, *, length: int | None, cut: int | None = None) -> None:
        """Answer with a Content-Length of our choosing, or none, and so much of the body."""

    async def drip(self, data: bytes) -> bool:
        """Send so much more; return whether anybody is still there."""

    async def close(self) -> None:
        """Close the connection in order."""

    async def reset(self) -> None:
        """Break the connection."""

    async def hold(self) -> None:
        """Do nothing until the client has gone."""


async def nothing(_: Visit) -> None:
    """Leave requests alone: the fault is not one of requests."""


async def reset(visit: Visit) -> None:
    """Break the connection at once."""
    await visit.reset()


async def reset_during_body(visit: Visit) -> None:
    """Break it when some of the body has come."""
    await visit.read(visit.number("after_bytes"))
    await visit.reset()


async def stalled_body(visit: Visit) -> None:
    """Take no more of the body."""
    await visit.read(visit.number("after_bytes"))
    await visit.hold()


async def reset_after_body(visit: Visit) -> None:
    """Take all of the body, and break the connection."""
    await visit.read()
    await visit.reset()


async def accept_then_reset(visit: Visit) -> None:
    """Do the work, and take the answer to the grave."""
    await visit.accepted()
    await visit.reset()


async def reset_during_answer(visit: Visit) -> None:
    """Do the work, begin to answer, and break off."""
    reply = await visit.accepted()
    await visit.write(reply, length=len(reply.body), cut=int(visit.number("after_bytes")))
    await visit.reset()


async def slow_answer(visit: Visit) -> None:
    """Do the work, and answer late."""
    reply = await visit.accepted()
    await visit.sleep(visit.number("wait_s"))
    await visit.send(reply)


async def silence(visit: Visit) -> None:
    """Do the work, and say nothing."""
    await visit.accepted()
    await visit.hold()


async def trickle(visit: Visit) -> None:
    """Send the answer a few bytes at a time."""
    reply = await visit.accepted()
    await visit.write(reply, length=len(reply.body), cut=0)
    pause_s = TRICKLE_BYTES / max(1.0, visit.number("bytes_per_s"))
    for start in range(0, len(reply.body), TRICKLE_BYTES):
        await visit.sleep(pause_s)
        if not await visit.drip(reply.body[start : start + TRICKLE_BYTES]):
            return
    await visit.close()


async def clock_skew(visit: Visit) -> None:
    """Refuse until a time, told by a clock that is wrong; only the answer's own Date helps."""
    await visit.read()
    wrong = visit.now().astimezone(UTC) + timedelta(seconds=visit.number("skew_s"))
    then = wrong + timedelta(seconds=visit.number("retry_after_s"))
    reply = Reply.of(
        429,
        {"detail": "Too many requests."},
        date=format_datetime(wrong, usegmt=True),
        retry_after=format_datetime(then, usegmt=True),
    )
    await visit.write(reply, length=len(reply.body))
    await visit.close()


def refusal(status: int, detail: str) -> Effect:
    """Answer with an error, with a Retry-After when the parameter of that name is above 0."""

    async def refuse(visit: Visit) -> None:
        await visit.read()
        seconds = visit.text("retry_after_s") and visit.number("retry_after_s")
        headers = {"retry_after": f"{seconds:g}"} if seconds else {}
        await visit.send(Reply.of(status, {"detail": detail}, **headers))

    return refuse


async def charge_then_500(visit: Visit) -> None:
    """Do the work, and claim to have failed."""
    await visit.accepted()
    await visit.send(Reply.of(500, {"detail": "Internal server error."}))


async def redirect(visit: Visit) -> None:
    """Point elsewhere, in the way that makes careless clients send the body there."""
    await visit.read()
    await visit.send(Reply.of(307, {"detail": "Moved."}, location=visit.text("to")))


async def bad_json(visit: Visit) -> None:
    """Cut the JSON in half, and say that this is all of it."""
    reply = await visit.accepted()
    await visit.send(reply.with_body(reply.body[: len(reply.body) // 2]))


async def html_answer(visit: Visit) -> None:
    """Answer with a page, and do nothing."""
    await visit.read()
    await visit.send(Reply.of(200, PAGE, content_type="text/html"))


async def empty_answer(visit: Visit) -> None:
    """Do the work, and leave the answer empty."""
    reply = await visit.accepted()
    await visit.send(reply.with_body(b""))


async def huge_answer(visit: Visit) -> None:
    """Do the work, and answer with zeros that were compressed a thousandfold."""
    await visit.accepted()
    squeeze = zlib.compressobj(9, zlib.DEFLATED, 31)
    block = bytes(2**20)
    bomb = b"".join(squeeze.compress(block) for _ in range(BOMB_BYTES // len(block)))
    await visit.send(Reply.of(200, bomb + squeeze.flush(), content_encoding="gzip"))


async def length_too_long(visit: Visit) -> None:
    """Promise more than comes, and close."""
    reply = await visit.accepted()
    await visit.write(reply, length=len(reply.body) + int(visit.number("by_bytes")))
    await visit.close()


async def length_too_short(visit: Visit) -> None:
    """Promise less than comes, and close."""
    reply = await visit.accepted()
    await visit.write(reply, length=max(1, len(reply.body) - int(visit.number("by_bytes"))))
    await visit.close()


async def hostile_id(visit: Visit) -> None:
    """Accept the job under an id that must not be used."""
    reply = await visit.accepted()
    body = json.dumps(reply.json | {"job_id": visit.text("id")}).encode()
    await visit.send(reply.with_body(body))


async def wrong_job(visit: Visit) -> None:
    """Tell of a job that nobody asked about."""
    reply = await visit.accepted()
    other = {"job_id": f"{visit.job_id}0", "status": "failed", "error": "Not yours."}
    await visit.send(reply.with_body(json.dumps(other).encode()))


async def job_lost(visit: Visit) -> None:
    """Deny that there is such a job."""
    await visit.send(Reply.of(404, {"detail": "Job not found."}))


async def job_failed(visit: Visit) -> None:
    """Let it fail, and tell."""
    visit.fail_job(visit.text("reason"))
    await visit.send(await visit.accepted())


async def job_stuck(visit: Visit) -> None:
    """Tell of work that goes on."""
    await _say(visit, "processing")


async def status_flapping(visit: Visit) -> None:
    """Go back and forth, then tell the truth."""
    if visit.turn < visit.number("polls"):
        await _say(visit, ("processing", "pending")[visit.turn % 2])
    else:
        await visit.send(await visit.accepted())


async def status_unknown(visit: Visit) -> None:
    """Use a new word, then tell the truth."""
    if visit.turn < visit.number("polls"):
        await _say(visit, visit.text("word"))
    else:
        await visit.send(await visit.accepted())


async def _say(visit: Visit, status: str) -> None:
    reply = await visit.accepted()
    await visit.send(
        reply.with_body(json.dumps({"job_id": visit.job_id, "status": status}).encode())
    )


async def truncated_content(visit: Visit) -> None:
    """End early, with nothing but the end to say so."""
    reply = await visit.accepted()
    cut = int(len(reply.body) * min(1.0, visit.number("share")))
    await visit.write(reply, length=None, cut=cut)
    await visit.close()


async def corrupted_media(visit: Visit) -> None:
    """Damage the header behind the few bytes that tell the format."""
    reply = await visit.accepted()
    await visit.send(reply.with_body(reply.body[:12] + bytes(256) + reply.body[268:]))
