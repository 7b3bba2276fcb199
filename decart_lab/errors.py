"""Every error the package raises, as one tree.

What belongs here: exception classes and the table that combines them. No I/O, no parsing of
responses (that is ``_http``), no formatting for notebooks. It is longer than other files because
the tree is one thing: whoever catches an error looks at all of it, in one place.

::

    DecartSDKError                    message, hint, code, status, data, and ids to quote
    ├─ InvalidAPIKeyError             no key, or a malformed one
    ├─ InvalidBaseURLError            base_url, realtime_base_url or proxy cannot be used
    ├─ InvalidInputError (ValueError) refused before any request; field=
    │  ├─ ModelNotFoundError          no such model; model=, suggests near names
    │  ├─ MediaError                  a picture or clip that cannot be read, or is too large
    │  └─ GridError                   a sweep that cannot be expanded
    ├─ operation errors               which call failed; these carry the official SDK's codes
    │  ├─ ProcessingError             process
    │  ├─ QueueSubmitError            queue.submit
    │  ├─ QueueStatusError            queue.status, queue.wait
    │  ├─ QueueResultError            queue.result
    │  ├─ TokenCreateError            tokens.create
    │  ├─ FilesUploadError, FilesGetError, FilesDeleteError
    │  ├─ ModelsResolveError          models.resolve
    │  └─ RealtimeQuotaError          realtime.quota
    ├─ cause errors                   why it failed; raised together with an operation error
    │  ├─ AuthError                   401, 403
    │  │  └─ CreditsError             402, or a 403 that says the credits are used up
    │  ├─ NotFoundError               404, 410
    │  ├─ RejectedError               400, 405, 409, 413, 415, 422: this very request is refused
    │  │  └─ ModerationError          the prompt or picture was refused
    │  ├─ RateLimitError              429
    │  ├─ ServerError                 5xx
    │  ├─ NetworkError                no complete answer; sent=, response_started=
    │  │  └─ DeadlineError (TimeoutError)
    │  └─ ResponseError               an answer that does not make sense
    ├─ JobError                       job_id=
    │  ├─ JobFailedError              the service says the job failed
    │  └─ JobLostError                the service no longer knows the job
    ├─ InDoubtError                   a paid request whose fate is unknown
    ├─ BudgetError                    the run would cost more than allowed
    ├─ StoreError                     the run folder cannot be read or written
    │  └─ LeaseError                  another kernel owns the run
    ├─ WebRTCError                    realtime media or signaling failed
    │  └─ SessionClosedError          the session is over; reason=
    └─ EmulatorError                  the emulator did not start or answer

A raised operation failure is both: ``combined(QueueSubmitError, RateLimitError)`` is a class that
``except`` clauses for either will catch, and whose ``.code`` is the operation's.
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal

__all__ = [
    "AuthError",
    "BudgetError",
    "CreditsError",
    "DeadlineError",
    "DecartSDKError",
    "EmulatorError",
    "FilesDeleteError",
    "FilesGetError",
    "FilesUploadError",
    "GridError",
    "InDoubtError",
    "InvalidAPIKeyError",
    "InvalidBaseURLError",
    "InvalidInputError",
    "JobError",
    "JobFailedError",
    "JobLostError",
    "LeaseError",
    "MediaError",
    "ModelNotFoundError",
    "ModelsResolveError",
    "ModerationError",
    "NetworkError",
    "NotFoundError",
    "ProcessingError",
    "QueueResultError",
    "QueueStatusError",
    "QueueSubmitError",
    "RateLimitError",
    "RealtimeQuotaError",
    "RejectedError",
    "ResponseError",
    "ServerError",
    "SessionClosedError",
    "StoreError",
    "TokenCreateError",
    "WebRTCError",
    "combined",
]

Sent = Literal["none", "partial", "all"]


class DecartSDKError(Exception):
    """Base of everything this package raises.

    Parameters
    ----------
    message : str
        What happened, and to what.
    hint : str, optional
        What to do next, as a sentence.
    status : int, optional
        HTTP status, when an answer arrived.
    data : dict, optional
        Facts for programs: the parsed error body, field names. Never a secret.
    retry_after_s : float, optional
        How long the service asked us to wait, in seconds.
    request_id : str, optional
        The service's own name for the request, for its support.
    job_id : str, optional
        The job concerned; with it a paid result can still be collected.
    """

    code: ClassVar[str] = "DECART_ERROR"
    default_hint: ClassVar[str] = ""

    def __init__(
        self,
        message: str,
        *,
        hint: str | None = None,
        status: int | None = None,
        data: dict[str, Any] | None = None,
        retry_after_s: float | None = None,
        request_id: str | None = None,
        job_id: str | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint if hint is not None else self.default_hint
        self.status = status
        self.data = dict(data or {})
        if status is not None:
            self.data.setdefault("status", status)
        self.retry_after_s = retry_after_s
        self.request_id = request_id
        self.job_id = job_id

    def __str__(self) -> str:
        return f"{self.message} {self.hint}" if self.hint else self.message

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.message!r})"


class InvalidAPIKeyError(DecartSDKError):
    """There is no API key, or it cannot be one."""

    code = "INVALID_API_KEY"
    default_hint = (
        "Pass api_key=, set DECART_API_KEY, or work without a key on the emulator: "
        'decart_lab.connect("emulator").'
    )


class InvalidBaseURLError(DecartSDKError):
    """base_url, realtime_base_url or proxy cannot be used."""

    code = "INVALID_BASE_URL"
    default_hint = "Give an absolute address such as https://api.decart.ai."


class InvalidInputError(DecartSDKError, ValueError):
    """An argument was refused before any request was made; nothing was bought.

    Parameters
    ----------
    field : str, optional
        The argument at fault, as the API spells it.
    """

    code = "INVALID_INPUT"

    def __init__(self, message: str, *, field: str | None = None, **kwargs: Any) -> None:
        super().__init__(message, **kwargs)
        self.field = field
        if field is not None:
            self.data.setdefault("field", field)


class ModelNotFoundError(InvalidInputError):
    """No model of that name for this use."""

    code = "MODEL_NOT_FOUND"

    def __init__(self, message: str, *, model: str = "", **kwargs: Any) -> None:
        kwargs.setdefault("field", "model")
        super().__init__(message, **kwargs)
        self.model = model


class MediaError(InvalidInputError):
    """A picture or clip that cannot be read, is damaged, or is larger than we accept."""


class GridError(InvalidInputError):
    """A sweep whose grid cannot be expanded."""


class ProcessingError(DecartSDKError):
    """``process`` failed."""

    code = "PROCESSING_ERROR"


class QueueSubmitError(DecartSDKError):
    """``queue.submit`` failed."""

    code = "QUEUE_SUBMIT_ERROR"


class QueueStatusError(DecartSDKError):
    """``queue.status`` or ``queue.wait`` failed; the job itself may be well."""

    code = "QUEUE_STATUS_ERROR"


class QueueResultError(DecartSDKError):
    """``queue.result`` failed; the job id still leads to the result."""

    code = "QUEUE_RESULT_ERROR"


class TokenCreateError(DecartSDKError):
    """``tokens.create`` failed."""

    code = "TOKEN_CREATE_ERROR"


class FilesUploadError(DecartSDKError):
    """``files.upload`` failed."""

    code = "FILES_UPLOAD_ERROR"


class FilesGetError(DecartSDKError):
    """``files.get`` failed."""

    code = "FILES_GET_ERROR"


class FilesDeleteError(DecartSDKError):
    """``files.delete`` failed."""

    code = "FILES_DELETE_ERROR"


class ModelsResolveError(DecartSDKError):
    """``models.resolve`` failed."""

    code = "MODELS_RESOLVE_ERROR"


class RealtimeQuotaError(DecartSDKError):
    """``realtime.quota`` failed."""

    code = "REALTIME_QUOTA_ERROR"


class AuthError(DecartSDKError):
    """The service refused the key (401) or what it may do (403)."""

    code = "AUTH_ERROR"
    default_hint = "Check the key; a client token may have expired or lack this permission."


class CreditsError(AuthError):
    """The account has no credits left."""

    code = "CREDITS_ERROR"
    default_hint = "Add credits to the account, then run again: what is finished is kept."


class NotFoundError(DecartSDKError):
    """The service does not know this address, job or file (404, 410)."""

    code = "NOT_FOUND"


class RejectedError(DecartSDKError):
    """The service refused this very request; sending it again would be refused again."""

    code = "REJECTED"


class ModerationError(RejectedError):
    """The prompt or a picture was refused by moderation."""

    code = "MODERATION"
    default_hint = "Change the prompt or the picture; the service names the reason above."


class RateLimitError(DecartSDKError):
    """Too many requests (429)."""

    code = "RATE_LIMIT"
    default_hint = "Wait, or lower concurrency=."


class ServerError(DecartSDKError):
    """The service failed (5xx)."""

    code = "SERVER_ERROR"


class NetworkError(DecartSDKError):
    """No complete answer arrived.

    Parameters
    ----------
    sent : {"none", "partial", "all"}
        How much of the request had been handed to the network, by evidence (whether the body
        iterator was exhausted), never by the exception's class.
    response_started : bool
        Whether any part of an answer had arrived.
    """

    code = "NETWORK_ERROR"
    default_hint = "Check the connection and the address."

    def __init__(
        self,
        message: str,
        *,
        sent: Sent = "none",
        response_started: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(message, **kwargs)
        self.sent: Sent = sent
        self.response_started = response_started


class DeadlineError(NetworkError, TimeoutError):
    """The time allowed for the whole call ran out."""

    code = "DEADLINE"
    default_hint = "Allow more time, or look at the job again later."


class ResponseError(DecartSDKError):
    """An answer arrived that does not make sense: wrong type, truncated, not what was asked."""

    code = "RESPONSE_ERROR"
    default_hint = "If this repeats, check that the address is a Decart API and not another site."


class JobError(DecartSDKError):
    """Something about one job; ``job_id`` says which."""

    code = "JOB_ERROR"


class JobFailedError(JobError):
    """The service says the job failed."""

    code = "JOB_FAILED"


class JobLostError(JobError):
    """The service no longer knows the job."""

    code = "JOB_LOST"


class InDoubtError(DecartSDKError):
    """A paid request whose fate is unknown; it is never repeated unasked."""

    code = "IN_DOUBT"
    default_hint = "It may have been bought. Decide before sending it again."


class BudgetError(DecartSDKError):
    """The run would cost more than allowed; nothing was bought."""

    code = "BUDGET"


class StoreError(DecartSDKError):
    """The run folder cannot be read or written."""

    code = "STORE_ERROR"


class LeaseError(StoreError):
    """Another kernel owns the run."""

    code = "LEASE"


class WebRTCError(DecartSDKError):
    """Realtime media or signaling failed."""

    code = "WEBRTC_ERROR"


class SessionClosedError(WebRTCError):
    """The session is over.

    Parameters
    ----------
    reason : str
        The service's word for it, verbatim.
    """

    code = "SESSION_CLOSED"

    def __init__(self, message: str, *, reason: str = "", **kwargs: Any) -> None:
        super().__init__(message, **kwargs)
        self.reason = reason


class EmulatorError(DecartSDKError):
    """The emulator did not start, or did not answer."""

    code = "EMULATOR_ERROR"


_combined: dict[tuple[type[DecartSDKError], type[DecartSDKError]], type[DecartSDKError]] = {}


def combined(operation: type[DecartSDKError], cause: type[DecartSDKError]) -> type[DecartSDKError]:
    """Class of an error that is both: which operation failed, and why.

    Parameters
    ----------
    operation, cause : type
        One class of each branch of the tree above.

    Returns
    -------
    type
        A subclass of both; ``.code`` is the operation's, the default hint the cause's. It takes
        the keyword arguments of the cause.

    Examples
    --------
    >>> error = combined(QueueSubmitError, RateLimitError)("Too many jobs.", status=429)
    >>> isinstance(error, QueueSubmitError), isinstance(error, RateLimitError), error.code
    (True, True, 'QUEUE_SUBMIT_ERROR')
    """
    if issubclass(cause, operation):
        return cause
    made = _combined.get((operation, cause))
    if made is None:
        # The cause comes first so that its constructor and default hint are the ones used.
        made = type(
            f"{operation.__name__}[{cause.__name__}]",
            (cause, operation),
            {"code": operation.code, "__module__": __name__, "__doc__": operation.__doc__},
        )
        made = _combined.setdefault((operation, cause), made)
    return made
