"""A small question: which model a name stands for."""

from __future__ import annotations

import json
from typing import overload

from pydantic import BaseModel, ConfigDict

from .._caller import Caller, nonsense, parse_json
from .._wire import BytesBody, Call
from ..contract.models import ModelSpec
from ..errors import DecartSDKError, InvalidInputError, ModelsResolveError

Names = list[str] | list[ModelSpec] | list[ModelSpec | str] | tuple[ModelSpec | str, ...]


class _Resolved(BaseModel):
    model_config = ConfigDict(extra="ignore", protected_namespaces=())
    model_id: str | None = None
    model_ids: dict[str, str] | None = None


class ModelsApi:
    """What the service says about model names. Reached as ``client.models``."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    @overload
    async def resolve(self, model: ModelSpec | str) -> str: ...
    @overload
    async def resolve(self, model: Names) -> dict[str, str]: ...
    async def resolve(self, model: ModelSpec | str | Names) -> str | dict[str, str]:
        """Ask which canonical id a name stands for now (``POST /v1/models/resolve``).

        Parameters
        ----------
        model : str or ModelSpec, or a list or tuple of them
            One name, or several in one request.

        Returns
        -------
        str or dict of str to str
            The id of the one, or each name with its id.

        Raises
        ------
        ModelsResolveError
            Also of a cause class.
        """
        one = isinstance(model, (str, ModelSpec))
        names = [_name(item) for item in ([model] if one else model)]  # type: ignore[union-attr]  # a str is not iterated
        if not names:
            return {}
        what = f"Resolving {', '.join(names)[:200]}"
        question = {"model": names[0]} if one else {"models": names}
        call = Call(
            "POST",
            "/v1/models/resolve",
            "/v1/models/resolve",
            self._caller.http.timeouts.call_s,
            body=BytesBody(json.dumps(question).encode()),
        )
        answer = await self._caller.call(ModelsResolveError, what, call)

        def refuse(why: str) -> DecartSDKError:
            return nonsense(ModelsResolveError, what, answer.head, why)

        resolved = parse_json(answer, _Resolved, refuse)
        if one and resolved.model_id:
            return resolved.model_id
        if not one and resolved.model_ids is not None and set(names) <= set(resolved.model_ids):
            return {name: resolved.model_ids[name] for name in names}
        raise refuse("the answer does not name every model asked for")

    def __repr__(self) -> str:
        return "<models: resolve>"


def _name(model: object) -> str:
    if isinstance(model, ModelSpec):
        return model.name
    if isinstance(model, str) and model:
        return model
    raise InvalidInputError("model must be a name or a list of names.", field="model")
