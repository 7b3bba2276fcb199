"""The small language of ``where()``: names, literals, comparisons, and/or/not/in.

An expression is parsed by Python's own parser, checked node by node against a closed list, and
evaluated by walking it. Nothing is ever compiled or called, so a filter that came from a file or a
magic's body can do nothing but compare. A filter says which names it looks at, by the names of its
expression or of its function's parameters: what it cannot see cannot change its answer.
"""

from __future__ import annotations

import ast
import inspect
import operator
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import PurePath
from typing import Any, Final

from ..errors import GridError

MAX_LENGTH: Final = 2000

_COMPARE: Final[dict[type[ast.cmpop], Callable[[Any, Any], bool]]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Is: operator.eq,  # "x is None" reads naturally and means the same here
    ast.IsNot: operator.ne,
    ast.In: lambda a, b: a in b,
    ast.NotIn: lambda a, b: a not in b,
}
_HINT: Final = "Use names of axes, literals, comparisons, and, or, not, in; or pass a function."


@dataclass(frozen=True, slots=True)
class Filter:
    """Whether a point is kept.

    Attributes
    ----------
    keep : callable
        Takes the values of a point, by name; those not in ``names`` may be left out.
    names : frozenset of str or None
        What the answer depends on; None when that is not known.
    """

    keep: Callable[[Mapping[str, Any]], bool]
    names: frozenset[str] | None

    def __call__(self, values: Mapping[str, Any]) -> bool:
        """Return whether a point with these values is kept."""
        return self.keep(values)


def parse_where(text: str, names: Collection[str]) -> Filter:
    """Return the filter an expression describes.

    Parameters
    ----------
    text : str
        Such as ``"not (style == 'neon' and seed == 0)"``.
    names : collection of str
        What it may mention: axes, constants and template variables.

    Raises
    ------
    GridError
        Not in the language, or naming something the grid does not have.

    Examples
    --------
    >>> keep = parse_where("not (style == 'neon' and seed in [0, 1])", {"style", "seed"})
    >>> keep({"style": "neon", "seed": 0}), keep({"style": "ink", "seed": 0})
    (False, True)
    """
    if len(text) > MAX_LENGTH:
        raise GridError(
            f"The where expression has {len(text)} characters; at most {MAX_LENGTH} are read.",
            field="where",
            hint="Pass a function instead.",
        )
    try:
        tree = ast.parse(text.strip(), mode="eval").body
        _check(tree, names, text)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        if isinstance(error, GridError):
            raise
        raise GridError(
            f"The where expression cannot be read: {text!r}.", field="where", hint=_HINT
        ) from None

    def keep(values: Mapping[str, Any]) -> bool:
        try:
            return bool(_value(tree, values))
        except TypeError as error:
            raise GridError(
                f"The where expression {text!r} cannot compare: {error}.",
                field="where",
                hint="Compare values of one kind; an axis that is not set at a point is None.",
            ) from None

    used = (node.id for node in ast.walk(tree) if isinstance(node, ast.Name))
    return Filter(keep, frozenset(used))


def guarded(function: Callable[..., Any], names: Collection[str]) -> Filter:
    """Return the user's function as a filter whose failures name the point.

    Parameters
    ----------
    function : callable
        With parameters named as what it looks at, such as ``lambda style, seed: ...``; or with
        one parameter of any other name, which gets a dict of all values.
    names : collection of str
        What the grid has.

    Raises
    ------
    GridError
        A parameter that must be given and that the grid does not have.

    Examples
    --------
    >>> keep = guarded(lambda style, seed: style == "ink" or seed > 0, {"style", "seed", "model"})
    >>> keep({"style": "neon", "seed": 1}), sorted(keep.names)
    (True, ['seed', 'style'])
    """
    taken = _parameters(function, names)

    def keep(values: Mapping[str, Any]) -> bool:
        given = values if taken is None else {name: values.get(name) for name in taken}
        try:
            return bool(function(dict(given)) if taken is None else function(**given))
        except Exception as error:
            called = "a dict of the point's values" if taken is None else ", ".join(taken)
            raise GridError(
                f"The where function failed at {_shown(given)}: {type(error).__name__}: {error}",
                field="where",
                hint=f"It is called with {called}.",
            ) from error

    return Filter(keep, None if taken is None else frozenset(taken))


def _parameters(function: Callable[..., Any], names: Collection[str]) -> tuple[str, ...] | None:
    """Return the names a function is to be called with; None when it takes the whole dict."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return None  # some written in C do not tell
    if any(p.kind is p.POSITIONAL_ONLY for p in parameters):
        return None
    named = [p for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
    taken = tuple(p.name for p in named if p.name in names)
    needed = [p.name for p in named if p.default is p.empty]
    missing = [name for name in needed if name not in names]
    if len(needed) == len(missing) <= 1 and (missing or not taken):
        return None
    if missing:
        raise GridError(
            f"The where function takes {missing[0]!r}, which the grid does not have.",
            field="where",
            hint=f"It has {', '.join(get_close_matches(missing[0], names, n=3) or sorted(names))}.",
        )
    return taken


def _check(node: ast.AST, names: Collection[str], text: str) -> None:
    match node:
        case ast.BoolOp(values=parts) | ast.List(elts=parts) | ast.Tuple(elts=parts):
            children: list[ast.expr] = parts
        case ast.Set(elts=parts):
            children = parts
        case ast.UnaryOp(op=ast.Not() | ast.USub(), operand=operand):
            children = [operand]
        case ast.Compare(left=left, comparators=others):
            children = [left, *others]
        case ast.Constant():
            return
        case ast.Name(id=name):
            if name not in names:
                near = get_close_matches(name, names, n=3) or sorted(names)
                raise GridError(
                    f"The where expression names {name!r}, which the grid does not have.",
                    field="where",
                    hint=f"It has {', '.join(near)}.",
                )
            return
        case _:
            raise GridError(
                f"The where expression {text!r} uses {type(node).__name__.lower()}, "
                "which is not part of its language.",
                field="where",
                hint=_HINT,
            )
    for child in children:
        _check(child, names, text)


def _value(node: ast.expr, values: Mapping[str, Any]) -> Any:
    match node:
        case ast.BoolOp(op=ast.And(), values=parts):
            return all(_value(part, values) for part in parts)
        case ast.BoolOp(values=parts):
            return any(_value(part, values) for part in parts)
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            return not _value(operand, values)
        case ast.UnaryOp(operand=operand):
            return -_value(operand, values)
        case ast.Compare():
            left = _value(node.left, values)
            for op, other in zip(node.ops, node.comparators, strict=True):
                right = _value(other, values)
                if not _COMPARE[type(op)](left, right):
                    return False
                left = right
            return True
        case ast.Constant(value=value):
            return value
        case ast.Name(id=name):
            found = values.get(name)
            return str(found) if isinstance(found, PurePath) else found
        case ast.List(elts=parts) | ast.Tuple(elts=parts) | ast.Set(elts=parts):
            return [_value(part, values) for part in parts]
    raise AssertionError(f"unchecked node {node!r}")


def _shown(values: Mapping[str, Any]) -> str:
    text = ", ".join(f"{name}={value!r:.40}" for name, value in values.items())
    return text if len(text) <= 200 else text[:197] + "..."
