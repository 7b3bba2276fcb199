"""One session of the HTTP dialect, as the service's resource: its address, its ETag, its token.

What belongs here: requests to ``/v1/realtime/sessions`` and what their answers change. Which
request is due is decided in :mod:`.http`, :mod:`.ice` and :mod:`.listening`. Source: wire contract,
7.1.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import urljoin, urlsplit

from pydantic import BaseModel, ConfigDict

from ..._caller import Caller, nonsense, parse_json
from ..._retry import Policy
from ..._wire import Answer, BytesBody, Call
from ...config import Secret
from ...contract.realtime import Ended, IceServer, parse_event, parse_ice_servers
from ...contract.responses import valid_id
from ...errors import (
    DecartSDKError,
    NetworkError,
    NotFoundError,
    SessionClosedError,
    WebRTCError,
)

SESSIONS: Final = "/v1/realtime/sessions"
ROUTE: Final = SESSIONS + "/{id}"
MAX_SDP_CHARS: Final = 500_000
CREATING: Final = "Creating the session"
ORPHAN: Final = (
    "A session may have been created all the same; without media it costs nothing and ends by "
    "itself, but it counts towards the quota until then."
)
_NO_SUCH_ROUTE: Final = (
    "This server may not offer HTTP signaling, which is in private preview; "
    'dialect="websocket" does without it.'
)
_OPENING_HINTS: Final = {
    404: _NO_SUCH_ROUTE,
    405: _NO_SUCH_ROUTE,
    413: "The reference image is too large: save it smaller, or as JPEG.",
}
_STILL_COUNTING: Final = (
    "The session may still be running, and counted, until the service notices that no media comes."
)
_ENDING: Final = Policy(attempts=1_000, base_s=0.25, cap_s=5.0)
_SEGMENTS: Final = re.compile(r"[A-Za-z0-9_.~:/-]{1,400}\Z")


class _Object(BaseModel):
    model_config = ConfigDict(extra="allow")


class _Description(BaseModel):
    sdp: str


class _Created(BaseModel):
    model_config = ConfigDict(extra="allow")
    session_id: str
    sdp: _Description


class SessionResource:
    """A session at the service.

    Attributes
    ----------
    session_id : str or None
        The service's name for it, once it is created.
    path : str
        Its address below the base URL.
    etag : str or None
        The newest of its ICE state.
    event_token : Secret or None
        What lets one hear its events.
    ice_servers, expires_at
        What the service told last.
    over : Ended or None
        How it ended, as soon as that is known.
    """

    def __init__(self, caller: Caller) -> None:
        self.session_id: str | None = None
        self.path = ""
        self.etag: str | None = None
        self.event_token: Secret | None = None
        self.ice_servers: tuple[IceServer, ...] = ()
        self.expires_at: datetime | None = None
        self.over: Ended | None = None
        self._caller = caller

    async def create(self, body: Mapping[str, Any], total_s: float) -> str:
        """Create the session; return the answer's SDP.

        Raises
        ------
        WebRTCError
            Also of a cause class; then no session is known to be left.
        """
        call = _call("POST", SESSIONS, SESSIONS, body, total_s, once=True)
        try:
            answer = await self._caller.call(
                WebRTCError, CREATING, call, repeatable=False, hints=_OPENING_HINTS
            )
        except NetworkError as error:
            if error.sent == "all":
                error.hint = ORPHAN
            raise
        try:
            created = parse_json(answer, _Created, lambda why: self._refusal(CREATING, answer, why))
            sdp = self._sdp(CREATING, answer, created.sdp.sdp)
            if not valid_id(created.session_id):
                raise self._refusal(CREATING, answer, "session_id is not an id")
        except DecartSDKError:
            await self._undo(answer)
            raise
        self.session_id = created.session_id
        self.path = self._place(answer, created.session_id)
        self._take(answer, created.model_extra or {})
        return sdp

    async def ask(
        self,
        method: str,
        what: str,
        suffix: str = "",
        body: Mapping[str, Any] | None = None,
        *,
        total_s: float,
    ) -> dict[str, Any]:
        """Make a call that may be repeated; return the answer's object, {} for an empty one.

        Raises
        ------
        SessionClosedError
            The service says that the session is over, or has said so.
        WebRTCError
            Also of a cause class.
        """
        call = _call(method, self.path + suffix, ROUTE + suffix, body, total_s)
        answer = await self._alive(what, call)
        return self._object(what, answer)

    async def patch(self, what: str, body: Mapping[str, Any], if_match: str) -> Answer:
        """Send a PATCH once, and take the new ETag of its answer.

        Raises
        ------
        WebRTCError
            As :meth:`ask`; a NetworkError's ``sent`` tells whether it can have arrived.
        """
        total_s = self._caller.http.timeouts.call_s
        call = _call("PATCH", self.path, ROUTE, body, total_s, once=True, if_match=if_match)
        answer = await self._alive(what, call)
        self._take(answer, {})
        return answer

    async def refresh(self) -> dict[str, Any]:
        """Ask how the session stands, and take its ETag, token and servers (7.1, GET)."""
        what = "Asking how the session stands"
        call = _call("GET", self.path, ROUTE, None, self._caller.http.timeouts.call_s)
        answer = await self._alive(what, call)
        told = self._object(what, answer)
        self._take(answer, told)
        return {name: value for name, value in told.items() if name not in ("events", "sdp")}

    async def how_it_ended(self) -> Ended | None:
        """Ask, once, how a session ended that is over; None when nobody says."""
        if self.over is None:
            try:
                told = await self.refresh()
            except DecartSDKError:
                return None
            if isinstance(told.get("reason"), str):
                self.over = _ended(told)
        return self.over

    async def delete(self, total_s: float) -> Ended | None:
        """End the session; it is tried until the time is up.

        Returns
        -------
        Ended or None
            The service's summary; None when it gave none, as for a session that was over.

        Raises
        ------
        WebRTCError
            Also of a cause class: the service could not be told.
        """
        what = "Ending the session"
        caller = Caller(
            self._caller.http, clock=self._caller.clock, logger=self._caller.logger, policy=_ENDING
        )
        call = _call("DELETE", self.path, ROUTE, None, total_s, read_s=min(10.0, total_s))
        try:
            answer = await caller.call(WebRTCError, what, call)
        except NotFoundError:
            return self.over
        except DecartSDKError as error:
            error.hint = _STILL_COUNTING
            raise
        try:
            told = self._object(what, answer)
        except DecartSDKError:
            told = {}  # it is ended; that the summary makes no sense changes nothing
        if told and self.over is None:
            self.over = _ended({"reason": "disconnect"} | told)
        return self.over

    def sdp_of(self, what: str, answer: Answer) -> str:
        """Return the answering SDP of an answer, and take the servers it names."""
        told = self._object(what, answer)
        self._take(answer, told)
        inner = told.get("sdp")
        return self._sdp(what, answer, inner.get("sdp") if isinstance(inner, Mapping) else None)

    async def _alive(self, what: str, call: Call) -> Answer:
        if self.over is not None:
            raise self.closed(what)
        try:
            return await self._caller.call(WebRTCError, what, call)
        except NotFoundError as error:
            status, data = error.status, error.data
        raise self.closed(what, status=status, data=data)

    def closed(self, what: str, **facts: Any) -> SessionClosedError:
        """Return the error for a call to a session that is over."""
        reason = "" if self.over is None else self.over.reason
        told = f" ({reason})" if reason else ""
        return SessionClosedError(
            f"{what} failed: the session is over{told}.", reason=reason, **facts
        )

    def _take(self, answer: Answer, told: Mapping[str, Any]) -> None:
        etag = answer.head.headers.get("etag", "").strip()
        if etag and len(etag) <= 200 and etag.isascii() and etag.isprintable():
            self.etag = etag
        if "ice_servers" in told:
            self.ice_servers = parse_ice_servers(told["ice_servers"])
        events = told.get("events")
        token = events.get("event_token") if isinstance(events, Mapping) else None
        if isinstance(token, str) and 0 < len(token) <= 10_000:
            self.event_token = Secret(token)
        self.expires_at = _moment(told.get("expires_at")) or self.expires_at

    def _place(self, answer: Answer, session_id: str) -> str:
        """Return the session's path: where Location leads, if that can be its place at all.

        A proxy passes the service's own Location on; it then leads away from the proxy, and a key
        or a request has no business there.
        """
        base = self._caller.http.base_url
        there = urljoin(base + SESSIONS, answer.head.headers.get("location", "").strip())
        path = there.removeprefix(base)
        fits = there.startswith(base + SESSIONS + "/") and _SEGMENTS.match(path)
        if fits and ".." not in path and path.rpartition("/")[2] == session_id:
            return path
        return f"{SESSIONS}/{session_id}"

    async def _undo(self, answer: Answer) -> None:
        """End what an answer that makes no sense may have created."""
        where = urlsplit(answer.head.headers.get("location", "")).path.rpartition("/")[2]
        try:
            named = self._object(CREATING, answer).get("session_id")
        except DecartSDKError:
            named = None
        found = next((name for name in (named, where) if valid_id(name)), None)
        if found is None:
            return
        self.path = self._place(answer, str(found))
        try:
            await self.delete(5.0)
        except DecartSDKError as error:
            self._caller.logger.warning(f"{error.message} {ORPHAN}")

    def _object(self, what: str, answer: Answer) -> dict[str, Any]:
        if not answer.body.strip():
            return {}
        told = parse_json(answer, _Object, lambda why: self._refusal(what, answer, why))
        return told.model_extra or {}

    def _sdp(self, what: str, answer: Answer, sdp: object) -> str:
        if isinstance(sdp, str) and 0 < len(sdp) <= MAX_SDP_CHARS:
            return sdp
        raise self._refusal(what, answer, "the answer holds no session description")

    def _refusal(self, what: str, answer: Answer, why: str) -> DecartSDKError:
        return nonsense(WebRTCError, what, answer.head, why)

    def __repr__(self) -> str:
        return f"<session {self.session_id}>"


def _call(
    method: str,
    path: str,
    route: str,
    body: Mapping[str, Any] | None,
    total_s: float,
    *,
    once: bool = False,
    if_match: str | None = None,
    read_s: float | None = None,
) -> Call:
    return Call(
        method,
        path,
        route,
        total_s,
        body=None if body is None else BytesBody(json.dumps(body).encode()),
        once=once,
        read_s=read_s,
        headers={} if if_match is None else {"if-match": if_match},
    )


def _ended(told: Mapping[str, Any]) -> Ended:
    event = parse_event("generation_ended", told)
    assert isinstance(event, Ended)
    return event


def _moment(value: object) -> datetime | None:
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return None
    return moment.replace(tzinfo=UTC) if moment is not None and moment.tzinfo is None else moment
