"""Logging for people: any logger object, a console one, none, and the redaction of secrets.

What belongs here: adapting what the user passes as ``logger=`` and making sure that nothing which
looks like a key or a token reaches it. What is logged is decided by the callers.

The default is :data:`noop_logger`: the output of a notebook cell belongs to its results. The
official JavaScript SDK logs to the console at level info; ``create_console_logger()`` does that.
"""

from __future__ import annotations

import re
import sys
from typing import Any, Final, Literal, Protocol, runtime_checkable

from .errors import InvalidInputError

Level = Literal["debug", "info", "warning", "error"]
_LEVELS: Final[dict[str, int]] = {"debug": 10, "info": 20, "warn": 30, "warning": 30, "error": 40}

_SECRETS: Final = re.compile(
    r"""
    \b(?:dct|ek|sk)[_-][A-Za-z0-9_\-]{4,}             # permanent keys and client tokens
    | \beyJ[A-Za-z0-9_\-]{4,}(?:\.[A-Za-z0-9_\-]+){1,4}  # signed tokens
    | (?<=api_key=)[^&\s"']+ | (?<=event_token=)[^&\s"']+ | (?<=token=)[^&\s"']+
    | (?<=x-api-key:\s)\S+ | (?<=X-API-KEY:\s)\S+
    """,
    re.VERBOSE,
)


@runtime_checkable
class Logger(Protocol):
    """What a logger must offer; ``warn`` or ``warning`` besides, whichever it has.

    :class:`logging.Logger` fits, and so do most others.
    """

    def debug(self, message: str, /) -> Any:
        """Take a detail."""

    def info(self, message: str, /) -> Any:
        """Take a fact."""

    def error(self, message: str, /) -> Any:
        """Take a failure."""


def redact(text: str) -> str:
    """Return the text with everything that looks like a key or a token masked.

    Examples
    --------
    >>> redact("GET /v1/stream?api_key=abc&model=lucy-2.1 with dct_0123abcd")
    'GET /v1/stream?api_key=***&model=lucy-2.1 with ***'
    """
    return _SECRETS.sub("***", text)


class _Noop:
    """Keeps nothing."""

    def debug(self, message: str, /) -> None:
        """Ignore."""

    def info(self, message: str, /) -> None:
        """Ignore."""

    def warning(self, message: str, /) -> None:
        """Ignore."""

    def error(self, message: str, /) -> None:
        """Ignore."""

    def __repr__(self) -> str:
        return "noop_logger"


noop_logger: Final = _Noop()
"""A logger that keeps nothing; the default."""


class ConsoleLogger:
    """Writes lines at or above a level to standard error."""

    def __init__(self, level: str) -> None:
        self.level = level
        self._least = _LEVELS[level]

    def debug(self, message: str, /) -> None:
        """Write a detail."""
        self._write("debug", message)

    def info(self, message: str, /) -> None:
        """Write a fact."""
        self._write("info", message)

    def warning(self, message: str, /) -> None:
        """Write a warning."""
        self._write("warning", message)

    def error(self, message: str, /) -> None:
        """Write a failure."""
        self._write("error", message)

    def _write(self, level: str, message: str) -> None:
        if _LEVELS[level] >= self._least:
            print(f"decart_lab {level}: {redact(message)}", file=sys.stderr)

    def __repr__(self) -> str:
        return f"create_console_logger(level={self.level!r})"


def create_console_logger(
    level: Literal["debug", "info", "warn", "warning", "error"] = "info",
) -> ConsoleLogger:
    """Return a logger that writes to standard error.

    Parameters
    ----------
    level : {"debug", "info", "warn", "warning", "error"}, default "info"
        Lines below it are left out.

    Raises
    ------
    InvalidInputError
        No such level.
    """
    if level not in _LEVELS:
        raise InvalidInputError(
            f"There is no log level {level!r}.",
            field="level",
            hint="Levels are debug, info, warning and error.",
        )
    return ConsoleLogger(level)


class SafeLogger:
    """The user's logger behind redaction; a logger that fails cannot break a request.

    Parameters
    ----------
    logger : object or None
        Anything with ``debug``, ``info``, ``error`` and ``warn`` or ``warning``; None for none.

    Raises
    ------
    InvalidInputError
        A method is missing.
    """

    def __init__(self, logger: Any = None) -> None:
        logger = noop_logger if logger is None else logger
        warn = getattr(logger, "warning", None) or getattr(logger, "warn", None)
        if not isinstance(logger, Logger) or not callable(warn):
            raise InvalidInputError(
                f"logger is a {type(logger).__name__} without the methods of a logger.",
                field="logger",
                hint="It needs debug, info, error, and warn or warning; "
                "create_console_logger() makes one.",
            )
        self._logger = logger
        self._warn = warn
        self.enabled = logger is not noop_logger

    def debug(self, message: str) -> None:
        """Pass on a detail."""
        self._pass(self._logger.debug, message)

    def info(self, message: str) -> None:
        """Pass on a fact."""
        self._pass(self._logger.info, message)

    def warning(self, message: str) -> None:
        """Pass on a warning."""
        self._pass(self._warn, message)

    def error(self, message: str) -> None:
        """Pass on a failure."""
        self._pass(self._logger.error, message)

    def _pass(self, method: Any, message: str) -> None:
        if not self.enabled:
            return
        try:
            method(redact(message))
        except Exception as error:  # noqa: BLE001 - the logger is the user's and may raise anything
            print(f"decart_lab: the logger raised {type(error).__name__}", file=sys.stderr)

    def __repr__(self) -> str:
        return f"SafeLogger({self._logger!r})"
