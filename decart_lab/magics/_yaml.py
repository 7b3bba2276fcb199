"""The body of ``%%decart sweep``: YAML with the traps taken out.

Plain words stay words: ``no``, ``on``, ``16:9`` and dates are text, and only ``true`` and ``false``
are booleans, as in YAML 1.2. A plain ``@name`` stands for a variable of the kernel. A key given
twice is refused, because the first value would silently be lost.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final

import yaml
from IPython.core.error import UsageError

_KERNEL: Final = "!kernel"
_MOST_CHARACTERS: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Reference:
    """``@name``: a variable of the kernel.

    Attributes
    ----------
    name : str
        Its name.
    line : int
        Where it stands in the body, from 1.
    """

    name: str
    line: int


class _Loader(yaml.SafeLoader):
    """SafeLoader (no tags that build objects) with other rules for plain words."""

    def check_plain(self) -> bool:
        """Let ``@`` begin a plain word, which YAML reserves."""
        return self.peek() == "@" or bool(super().check_plain())

    def compose_node(self, parent: Any, index: Any) -> Any:
        """Refuse aliases: a grid has no use for them, and they can nest without bound."""
        if self.check_event(yaml.AliasEvent):
            event: Any = self.get_event()  # type: ignore[no-untyped-call]  # a stub without types
            raise yaml.composer.ComposerError(
                None, None, "aliases are not used here", event.start_mark
            )
        return super().compose_node(parent, index)

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        """Refuse keys that are no text, and keys given twice."""
        del deep  # always: a value that is not yet filled in could not be looked at
        seen: set[str] = set()
        for key, _ in node.value:
            name = key.value
            if not isinstance(key, yaml.ScalarNode):
                raise yaml.constructor.ConstructorError(
                    None, None, "a name must be plain text", key.start_mark
                )
            if name in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"{name[:60]!r} is given twice", key.start_mark
                )
            seen.add(name)
        pairs = [(key.value, self.construct_object(value, deep=True)) for key, value in node.value]
        return dict(pairs)


_Loader.yaml_implicit_resolvers = {}
for _tag, _pattern, _first in (
    (_KERNEL, r"@[A-Za-z_][A-Za-z0-9_]*$", ["@"]),
    ("tag:yaml.org,2002:null", r"(~|null|Null|NULL|)$", ["~", "n", "N", ""]),
    ("tag:yaml.org,2002:bool", r"(true|True|TRUE|false|False|FALSE)$", list("tTfF")),
    ("tag:yaml.org,2002:int", r"[-+]?(0|[1-9][0-9]*)$", list("-+0123456789")),
    (
        "tag:yaml.org,2002:float",
        r"[-+]?(\.[0-9]+|[0-9]+\.[0-9]*)([eE][-+]?[0-9]+)?$",
        list("-+.0123456789"),
    ),
):
    _Loader.add_implicit_resolver(_tag, re.compile(_pattern), _first)


def _reference(_loader: _Loader, node: yaml.ScalarNode) -> Reference:
    return Reference(node.value[1:], node.start_mark.line + 1)


_Loader.add_constructor(_KERNEL, _reference)


def read_body(body: str) -> dict[str, Any]:
    """Return the body's names and values; references to the kernel are not yet looked up.

    Raises
    ------
    UsageError
        Not YAML, or not names with values; the message says on which line of the body.

    Examples
    --------
    >>> read_body("{prompt: [ink, no], seed: 1, data: @photo}")
    {'prompt': ['ink', 'no'], 'seed': 1, 'data': Reference(name='photo', line=1)}
    """
    if len(body) > _MOST_CHARACTERS:
        raise UsageError("The body of the cell is longer than a million characters.")
    try:
        found = yaml.load(body, Loader=_Loader)  # noqa: S506 (a SafeLoader, see above)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"line {mark.line + 1} of the body" if mark else "the body"
        raise UsageError(f"In {where}: {error.problem or error.context}.") from error
    except (yaml.YAMLError, RecursionError) as error:
        raise UsageError(
            "The body is not YAML: it holds characters or nesting that YAML has not."
        ) from error
    if not isinstance(found, dict):
        raise UsageError("The body holds no names with values. For example:\nprompt: [ink, clay]")
    return found


def resolve(value: Any, namespace: dict[str, Any]) -> Any:
    """Return a value with its references replaced by the kernel's variables.

    A list that a reference stands for inside a list joins it.

    Raises
    ------
    UsageError
        The kernel has no such variable.

    Examples
    --------
    >>> resolve(["a", Reference("more", 1)], {"more": ["b", "c"]})
    ['a', 'b', 'c']
    """
    if isinstance(value, Reference):
        if value.name not in namespace:
            raise UsageError(
                f"In line {value.line} of the body: the kernel has no variable {value.name!r}."
            )
        return namespace[value.name]
    if isinstance(value, dict):
        return {name: resolve(part, namespace) for name, part in value.items()}
    if isinstance(value, list):
        joined: list[Any] = []
        for part in value:
            found = resolve(part, namespace)
            many = isinstance(part, Reference) and isinstance(found, list | tuple | range)
            joined.extend(found if many else [found])
        return joined
    return value
