"""Everything that can be made to go wrong at the emulator: one row each.

A row names its hook (what it happens to), its parameters, what it does, and for each route that it
strikes what it must provoke: the error that a call of the client raises while the fault lasts, and
where a sweep's point ends, and with how many paid requests, when it strikes once. The tests are
parametrised over these rows; a new fault is a row here and, where it does something new, a function
in :mod:`.fault_effects`. Faults of the client's own machine (a full disk) are rows beside the tests
that inject them. It is a table, and as long as there are rows.
"""

from __future__ import annotations

from typing import Final

from . import fault_effects as effects
from . import session_faults as sessions
from .fault_kinds import BUYING, READING, Fault, Outcome, Value
from .session_faults import LiveEffect


def _buying(error: str, status: str, paid: int) -> dict[str, Outcome]:
    return dict.fromkeys(BUYING, Outcome(error, status, paid))


def _reading(error: str) -> dict[str, Outcome]:
    # Asking again costs nothing, so that no single failure of it may hurt a point.
    return dict.fromkeys(READING, Outcome(error, "completed", 1))


def _session(
    name: str, says: str, live: LiveEffect, outcomes: dict[str, Outcome], **parameters: Value
) -> Fault:
    """Return the row of a fault of realtime sessions; its times are the emulator's seconds."""
    return Fault(name, "session", says, effects.nothing, outcomes, parameters, live=live)


_UNHARMED: Final = Outcome("", "unharmed", 1)
_RECOVERED: Final = Outcome("", "recovered", 1)
_REPLACED: Final = Outcome("", "replaced", 2)
_EVERYWHERE: Final = (*BUYING, *READING)

_ROWS: Final = (
    # -- the connection ------------------------------------------------------------------------
    Fault(
        "connection_refused",
        "listener",
        "closes its port for a while",
        effects.nothing,
        {"connect": Outcome("NetworkError", "completed", 1)},
        {"for_s": 2.0},
    ),
    Fault(
        "reset_before_body",
        "request",
        "resets the connection before it reads the body",
        effects.reset,
        _buying("NetworkError", "completed", 1) | _reading("NetworkError"),
        large=True,
    ),
    Fault(
        "reset_during_body",
        "body",
        "resets the connection while the body comes in",
        effects.reset_during_body,
        _buying("NetworkError", "completed", 1),
        {"after_bytes": 65_536.0},
        large=True,
    ),
    Fault(
        "stalled_body",
        "body",
        "stops reading the body and keeps the connection",
        effects.stalled_body,
        _buying("NetworkError", "completed", 1),
        {"after_bytes": 65_536.0},
        large=True,
    ),
    Fault(
        "reset_after_body",
        "body",
        "reads the whole request, drops it, and resets the connection",
        effects.reset_after_body,
        _buying("NetworkError", "in_doubt", 0) | _reading("NetworkError"),
    ),
    Fault(
        "accept_then_reset",
        "answer",
        "carries out the request, charges for it, and resets the connection instead of answering",
        effects.accept_then_reset,
        _buying("NetworkError", "in_doubt", 1) | _reading("NetworkError"),
    ),
    Fault(
        "reset_during_answer",
        "answer",
        "resets the connection in the middle of its answer",
        effects.reset_during_answer,
        _buying("NetworkError", "in_doubt", 1) | _reading("NetworkError"),
        {"after_bytes": 16.0},
    ),
    # -- time ----------------------------------------------------------------------------------
    Fault(
        "slow_answer",
        "answer",
        "carries out the request and is late with the answer",
        effects.slow_answer,
        _buying("", "completed", 1) | _reading(""),
        {"wait_s": 5.0},
    ),
    Fault(
        "silence",
        "answer",
        "carries out the request, charges for it, and never answers",
        effects.silence,
        _buying("NetworkError", "in_doubt", 1) | _reading("NetworkError"),
    ),
    Fault(
        "trickle",
        "content",
        "sends the media a few bytes at a time",
        effects.trickle,
        {
            "generate": Outcome("NetworkError", "in_doubt", 1),
            "content": Outcome("NetworkError", "completed", 1),
        },
        {"bytes_per_s": 100.0},
    ),
    Fault(
        "clock_skew",
        "clock",
        "refuses for now, and names the time to come back by a clock that is wrong",
        effects.clock_skew,
        dict.fromkeys(_EVERYWHERE, Outcome("RateLimitError", "completed", 1)),
        {"skew_s": 86_400.0, "retry_after_s": 2.0},
    ),
    # -- refusals ------------------------------------------------------------------------------
    Fault(
        "rate_limited",
        "request",
        "refuses with 429 and says when to come back",
        effects.refusal(429, "Too many requests."),
        dict.fromkeys(_EVERYWHERE, Outcome("RateLimitError", "completed", 1)),
        {"retry_after_s": 1.0},
    ),
    Fault(
        "rate_limited_silently",
        "request",
        "refuses with 429 and does not say when to come back",
        effects.refusal(429, "Too many requests."),
        dict.fromkeys(_EVERYWHERE, Outcome("RateLimitError", "completed", 1)),
    ),
    Fault(
        "unavailable",
        "request",
        "refuses with 503 and says when to come back",
        effects.refusal(503, "The service is at capacity."),
        dict.fromkeys(_EVERYWHERE, Outcome("ServerError", "completed", 1)),
        {"retry_after_s": 1.0},
    ),
    Fault(
        "unavailable_silently",
        "request",
        "answers with a bare 503",
        effects.refusal(503, "Service unavailable."),
        _buying("ServerError", "in_doubt", 0) | _reading("ServerError"),
    ),
    Fault(
        "server_error",
        "request",
        "answers with 500 and has done nothing; with a Retry-After when told",
        effects.refusal(500, "Internal server error."),
        _buying("ServerError", "in_doubt", 0) | _reading("ServerError"),
        {"retry_after_s": 0.0},
    ),
    Fault(
        "bad_gateway",
        "request",
        "answers with 502 and has done nothing; with a Retry-After when told",
        effects.refusal(502, "Bad gateway."),
        _buying("ServerError", "in_doubt", 0) | _reading("ServerError"),
        {"retry_after_s": 0.0},
    ),
    Fault(
        "gateway_timeout",
        "request",
        "answers with 504 and has done nothing",
        effects.refusal(504, "Gateway timeout."),
        _buying("ServerError", "in_doubt", 0) | _reading("ServerError"),
    ),
    Fault(
        "charge_then_500",
        "answer",
        "carries out the request, charges for it, and answers with 500",
        effects.charge_then_500,
        _buying("ServerError", "in_doubt", 1) | _reading("ServerError"),
    ),
    Fault(
        "rejected",
        "request",
        "rejects this very request with 422",
        effects.refusal(422, "This request is not acceptable."),
        _buying("RejectedError", "rejected", 0),
    ),
    Fault(
        "redirect",
        "request",
        "sends the request elsewhere",
        effects.redirect,
        _buying("ResponseError", "rejected", 0) | _reading("ResponseError"),
        {"to": "https://elsewhere.example/"},
    ),
    # -- the account ---------------------------------------------------------------------------
    Fault(
        "no_credits",
        "account",
        "says that the account is empty",
        effects.refusal(402, "Insufficient credits."),
        _buying("CreditsError", "planned", 0),
    ),
    Fault(
        "key_refused",
        "account",
        "no longer accepts the key",
        effects.refusal(401, "Invalid API key."),
        _buying("AuthError", "planned", 0),
    ),
    Fault(
        "forbidden",
        "account",
        "says that the key may not do this",
        effects.refusal(403, "The key may not do this."),
        _buying("AuthError", "planned", 0),
    ),
    # -- answers that make no sense ------------------------------------------------------------
    Fault(
        "bad_json",
        "answer",
        "carries out the request and answers with JSON that is cut off",
        effects.bad_json,
        {
            "jobs": Outcome("ResponseError", "in_doubt", 1),
            "status": Outcome("ResponseError", "completed", 1),
        },
    ),
    Fault(
        "html_answer",
        "request",
        "answers 200 with a page, as the login of a guest network does",
        effects.html_answer,
        _buying("ResponseError", "in_doubt", 0) | _reading("ResponseError"),
    ),
    Fault(
        "empty_answer",
        "answer",
        "carries out the request and answers with nothing in it",
        effects.empty_answer,
        _buying("ResponseError", "in_doubt", 1) | _reading("ResponseError"),
    ),
    Fault(
        "huge_answer",
        "answer",
        "carries out the request and answers with a compressed bomb",
        effects.huge_answer,
        _buying("ResponseError", "in_doubt", 1) | _reading("ResponseError"),
    ),
    Fault(
        "length_too_long",
        "answer",
        "promises more bytes than it sends",
        effects.length_too_long,
        _buying("NetworkError", "in_doubt", 1) | _reading("NetworkError"),
        {"by_bytes": 100.0},
    ),
    Fault(
        "length_too_short",
        "answer",
        "promises fewer bytes than it sends",
        effects.length_too_short,
        # What is too much breaks the connection, when it comes together with the rest.
        _buying("ResponseError or NetworkError", "in_doubt", 1)
        | _reading("ResponseError or NetworkError"),
        {"by_bytes": 20.0},
    ),
    Fault(
        "hostile_id",
        "answer",
        "accepts the job and gives it an id that no address or file name could bear",
        effects.hostile_id,
        {"jobs": Outcome("ResponseError", "in_doubt", 1)},
        {"id": "../../etc/passwd\r\nx-evil: 1"},
    ),
    # -- jobs ----------------------------------------------------------------------------------
    Fault(
        "wrong_job",
        "answer",
        "answers about another job",
        effects.wrong_job,
        {"status": Outcome("ResponseError", "completed", 1)},
    ),
    Fault(
        "job_lost",
        "job",
        "does not know the job any more",
        effects.job_lost,
        {"status": Outcome("NotFoundError", "lost", 1)},
    ),
    Fault(
        "job_failed",
        "job",
        "fails the job and says why; what it had charged is credited back",
        effects.job_failed,
        {"status": Outcome("", "failed", 1)},
        {"reason": "The clip was too strange."},
    ),
    Fault(
        "job_stuck",
        "job",
        "says for ever that the job is being processed",
        effects.job_stuck,
        {"status": Outcome("DeadlineError", "processing", 1)},
    ),
    Fault(
        "status_flapping",
        "job",
        "takes back what it said of the job, a few times",
        effects.status_flapping,
        {"status": Outcome("", "completed", 1)},
        {"polls": 6.0},
    ),
    Fault(
        "status_unknown",
        "job",
        "uses a word for the job's status that nobody has heard of, a few times",
        effects.status_unknown,
        {"status": Outcome("", "completed", 1)},
        {"word": "polishing", "polls": 3.0},
    ),
    # -- media ---------------------------------------------------------------------------------
    Fault(
        "truncated_content",
        "content",
        "ends the media early and closes, having promised no length",
        effects.truncated_content,
        {
            "generate": Outcome("ResponseError", "in_doubt", 1),
            "content": Outcome("ResponseError", "completed", 1),
        },
        {"share": 0.6},
    ),
    Fault(
        "corrupted_media",
        "content",
        "sends media whose header is damaged, at its full length",
        effects.corrupted_media,
        {
            "generate": Outcome("ResponseError", "in_doubt", 1),
            "content": Outcome("ResponseError", "completed", 1),
        },
    ),
    Fault(
        "content_missing",
        "content",
        "has completed the job and does not find its content",
        effects.refusal(404, "The content is not there."),
        {"content": Outcome("NotFoundError", "completed", 1)},
    ),
    Fault(
        "content_expired",
        "content",
        "says that the content is kept no longer",
        effects.refusal(410, "The content is no longer kept."),
        {"content": Outcome("NotFoundError", "lost", 1)},
    ),
    # -- realtime sessions ---------------------------------------------------------------------
    _session(
        "session_unavailable",
        "has no room for another session",
        sessions.unavailable,
        {"create": Outcome("ServerError", "refused", 0)},
        retry_after_s=1.0,
    ),
    _session(
        "slow_start",
        "takes long to the first generated frame",
        sessions.slow_start,
        {"create": _UNHARMED},
        wait_s=5.0,
    ),
    _session(
        "queue_position",
        "lets the session queue behind others, and on a WebSocket says where it stands",
        sessions.queue_position,
        {"create": _UNHARMED},
        positions=3.0,
        each_s=0.5,
    ),
    _session(
        "ice_drop",
        "sends and answers nothing any more on the connection of the media",
        sessions.ice_drop,
        {"live": _RECOVERED},
        after_s=1.0,
    ),
    _session(
        "ice_restart",
        "asks for an ICE restart, which helps",
        sessions.ice_restart,
        {"live": _RECOVERED},
        after_s=1.0,
    ),
    _session(
        "ice_restart_fails",
        "loses the connection of the media and asks for an ICE restart, which does not help",
        sessions.ice_restart_fails,
        {"live": _REPLACED},
        after_s=1.0,
    ),
    _session(
        "sse_cut",
        "breaks the stream of events",
        sessions.sse_cut,
        {"live": _RECOVERED},
        after_s=1.0,
    ),
    _session(
        "etag_storm",
        "lets several PATCHes come too late, whatever ETag they bring",
        sessions.etag_storm,
        {"create": _UNHARMED},
        patches=3.0,
    ),
    _session(
        "frozen_media",
        "sends no media for a while",
        sessions.frozen_media,
        {"live": _RECOVERED},
        after_s=1.0,
        for_s=8.0,
    ),
    _session(
        "packet_loss",
        "loses a share of the packets of media, the same ones each time",
        sessions.packet_loss,
        {"live": _UNHARMED},
        share=0.1,
        for_s=1e9,
    ),
    _session(
        "socket_closed",
        "closes the WebSocket of the session",
        sessions.socket_closed,
        {"live": _REPLACED},
        after_s=1.0,
        code=1013.0,
    ),
    _session(
        "server_killed",
        "is killed, and comes back without any memory of sessions",
        sessions.server_killed,
        {"live": _REPLACED},
        after_s=1.0,
        for_s=1.0,
    ),
    _session(
        "session_ended",
        "ends the session for a reason of its own, such as moderation_violation",
        sessions.session_ended,
        {"live": Outcome("SessionClosedError", "ended", 1)},
        after_s=1.0,
        reason="moderation_violation",
    ),
)

FAULTS: Final[dict[str, Fault]] = {row.name: row for row in _ROWS}
