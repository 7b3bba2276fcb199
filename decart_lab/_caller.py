"""One way to call the service: repeat where that is safe, and say what failed and why.

What belongs here: joining transport, retries and the error table for every operation. No routes
and no schemas.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from ._clock import Clock
from ._http import Http
from ._log import SafeLogger
from ._retry import NEVER, Policy, parse_retry_after, repeat
from ._wire import Answer, Call, Head
from .contract.failures import failure, request_id
from .errors import DecartSDKError, NetworkError, ResponseError, combined

M = TypeVar("M", bound=BaseModel)

IN_DOUBT = (
    "The request had been sent and no answer came: it may have been carried out and charged, "
    "and is not repeated."
)


class Caller:
    """Makes calls for every namespace of one client.

    Parameters
    ----------
    http : Http
        The transport.
    policy : Policy
        How often to repeat what may be repeated.
    """

    def __init__(
        self,
        http: Http,
        *,
        clock: Clock,
        logger: SafeLogger,
        policy: Policy | None = None,
        dice: random.Random | None = None,
    ) -> None:
        self.http = http
        self.clock = clock
        self.logger = logger
        self.policy = policy or Policy()
        self.dice = dice or random.Random()  # noqa: S311 - spreads retries; guards nothing

    def unrepeated(self) -> Caller:
        """Return a caller on the same connections that repeats nothing."""
        return Caller(self.http, clock=self.clock, logger=self.logger, policy=NEVER, dice=self.dice)

    async def call(
        self,
        operation: type[DecartSDKError],
        what: str,
        call: Call,
        *,
        job_id: str | None = None,
        repeatable: bool = True,
        hints: dict[int, str] | None = None,
    ) -> Answer:
        """Make one call and return its 2xx answer.

        Parameters
        ----------
        operation : type
            The error class of the operation.
        what : str
            The call as the start of a sentence, such as "Submitting to lucy-2.1".
        repeatable : bool
            False for calls that are not safe to repeat although they cost nothing.
        hints : dict, optional
            What to do next, by status, where the operation knows better.

        Raises
        ------
        DecartSDKError
            Of ``operation`` and of a cause error, both.
        """

        async def attempt(remaining_s: float) -> Answer:
            return await self._once(
                operation, what, replace(call, total_s=remaining_s), job_id, hints or {}
            )

        return await repeat(
            attempt,
            policy=self.policy if repeatable else NEVER,
            once=call.once,
            total_s=call.total_s,
            clock=self.clock,
            dice=self.dice,
            on_retry=partial(self._note, what),
        )

    async def _once(
        self,
        operation: type[DecartSDKError],
        what: str,
        call: Call,
        job_id: str | None,
        hints: dict[int, str],
    ) -> Answer:
        try:
            answer = await self.http.exchange(call)
        except (NetworkError, ResponseError) as error:
            raise attributed(error, operation, what, job_id=job_id, once=call.once) from (
                error.__cause__
            )
        head = answer.head
        if 200 <= head.status < 300:
            return answer
        retry_after_s = parse_retry_after(
            head.headers.get("retry-after"), head.headers.get("date"), self.clock.utc()
        )
        raise failure(
            operation,
            what,
            head.status,
            head.headers,
            answer.body,
            retry_after_s=retry_after_s,
            job_id=job_id,
            hint=hints.get(head.status),
        )

    def _note(self, what: str, error: DecartSDKError, wait_s: float) -> None:
        self.logger.info(f"{what}: {error.message} Trying again in {wait_s:.1f} s.")


def attributed(
    error: NetworkError | ResponseError,
    operation: type[DecartSDKError],
    what: str,
    *,
    job_id: str | None = None,
    once: bool = False,
) -> DecartSDKError:
    """Return a transport's error as the operation's, with what the operation knows."""
    message = f"{what} failed. {error.message}"
    facts: dict[str, Any] = {"job_id": job_id or error.job_id, "data": error.data}
    hint = error.hint
    if isinstance(error, NetworkError):
        facts |= {"sent": error.sent, "response_started": error.response_started}
        if once and error.sent == "all":
            hint = IN_DOUBT
    return combined(operation, type(error))(message, hint=hint, status=error.status, **facts)


def nonsense(
    operation: type[DecartSDKError],
    what: str,
    head: Head,
    why: str,
    *,
    hint: str | None = None,
    data: dict[str, Any] | None = None,
    job_id: str | None = None,
) -> DecartSDKError:
    """Return the error for an answer that does not make sense."""
    return combined(operation, ResponseError)(
        f"{what} failed: {why}.",
        hint=hint,
        status=head.status,
        data=data,
        request_id=request_id(head.headers),
        job_id=job_id,
    )


def parse_json(
    answer: Answer,
    shape: type[M],
    refuse: Callable[[str], DecartSDKError],
) -> M:
    """Return a JSON answer in its shape.

    Parameters
    ----------
    refuse : callable
        Makes the error from a clause that says what is wrong.

    Raises
    ------
    DecartSDKError
        What ``refuse`` returned: not JSON, cut off, or without the keys it must have.
    """
    kind = answer.head.content_type
    if kind and kind != "application/json" and not kind.endswith("+json"):
        raise refuse(f"the answer is {kind[:60]!r} and not JSON")
    try:
        return shape.model_validate(json.loads(answer.body))
    except (ValueError, RecursionError) as error:
        why = _why(error)
    raise refuse(why)


def _why(error: Exception) -> str:
    if isinstance(error, ValidationError):
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "the answer"
        return f"{where} is not as expected: {first['msg']}"
    return "the answer is not valid JSON"
