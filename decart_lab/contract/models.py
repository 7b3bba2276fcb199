"""The model registry: one row per id and kind, and the names users ask it by.

A new model is one row of ``ROWS``. Validation, completion, prices, the emulator's routes and the
parametrised tests read the same row. Sources: wire contract sections 3.1 to 3.4, which cite the
official SDKs (PyPI decart 0.2.4, npm @decartai/sdk 0.1.20) and the vendor's OpenAPI document of
2026-08-01; older documents name the older ids.
"""

from __future__ import annotations

import difflib
import warnings
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

from ..errors import InvalidInputError, ModelNotFoundError

Kind = Literal["image", "video", "realtime"]
Status = Literal["current", "legacy", "retired"]
KINDS: Final[tuple[Kind, ...]] = ("image", "video", "realtime")


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """Everything known about one model id for one use.

    Attributes
    ----------
    name : str
        The id, as it goes on the wire.
    kind : {"image", "video", "realtime"}
        Which API serves it: process, queue, or realtime.
    schema : str
        Name of the input schema in :mod:`decart_lab.contract.requests`; "" for no validation.
    fps, width, height : int
        What comes out: frames per second and pixels.
    status : {"current", "legacy", "retired"}
        Legacy ids work and warn once; retired ids are errors.
    successor : str
        What to use instead of a legacy or retired id.
    resolves_to : str
        The canonical id this name stands for at the service; "" for canonical names.
    output_s : float or None
        Fixed length of the generated clip in seconds; None follows the input.
    max_input_s : float or None
        Longest documented input in seconds; None when no limit is documented.
    speeds : tuple of str
        Realtime speed tiers.
    url_path, queue_path : str
        Routes; derived from kind and name when empty. ``queue_path`` is "" for realtime.
    """

    name: str
    kind: Kind
    schema: str
    fps: int
    width: int
    height: int
    status: Status = "current"
    successor: str = ""
    resolves_to: str = ""
    output_s: float | None = None
    max_input_s: float | None = None
    speeds: tuple[str, ...] = ()
    url_path: str = ""
    queue_path: str = ""

    def __post_init__(self) -> None:
        routes = {
            "image": (f"/v1/generate/{self.name}", f"/v1/jobs/{self.name}"),
            "video": (f"/v1/jobs/{self.name}", f"/v1/jobs/{self.name}"),
            "realtime": ("/v1/stream", ""),
        }
        url_path, queue_path = routes[self.kind]
        object.__setattr__(self, "url_path", self.url_path or url_path)
        object.__setattr__(self, "queue_path", self.queue_path or queue_path)

    @property
    def canonical(self) -> str:
        """The id the service resolves this one to, as last seen."""
        return self.resolves_to or self.name

    @property
    def custom(self) -> bool:
        """Whether the definition was given inline and is not of the registry."""
        return False


@dataclass(frozen=True, slots=True)
class ModelDefinition(ModelSpec):
    """An inline definition of a model the registry does not know.

    The official SDK's counterpart takes the same first fields. Without a schema, nothing but the
    file types is checked before the request.

    Examples
    --------
    >>> ModelDefinition("lucy-3-preview", url_path="/v1/jobs/lucy-3-preview").kind
    'video'
    """

    kind: Kind = "video"
    schema: str = ""
    fps: int = 25
    width: int = 1280
    height: int = 720

    def __post_init__(self) -> None:
        if not self.name:
            raise InvalidInputError("A ModelDefinition needs a name.", field="model")
        if min(self.fps, self.width, self.height) < 1:
            raise InvalidInputError(
                "fps, width and height of a ModelDefinition must be at least 1.", field="model"
            )
        if self.url_path.startswith("/v1/generate/") and not self.queue_path:
            object.__setattr__(self, "kind", "image")
        ModelSpec.__post_init__(self)

    @property
    def custom(self) -> bool:
        """Always True: given inline."""
        return True


def _video(name: str, schema: str = "EDIT2", **facts: Any) -> ModelSpec:
    base: dict[str, Any] = {"fps": 20, "width": 1280, "height": 720}
    return ModelSpec(name, "video", schema, **(base | facts))


def _legacy_video(name: str, schema: str, successor: str, **facts: Any) -> ModelSpec:
    base: dict[str, Any] = {"fps": 25, "width": 1280, "height": 704, "output_s": 5.0}
    return ModelSpec(name, "video", schema, **(base | facts), status="legacy", successor=successor)


def _alias(row: ModelSpec, *names: str, legacy: bool = True) -> tuple[ModelSpec, ...]:
    """Rows for other names of one model; the original name goes on the wire."""
    facts: dict[str, Any] = {"resolves_to": row.canonical, "url_path": "", "queue_path": ""}
    if legacy:
        facts |= {"status": "legacy", "successor": row.canonical}
    return tuple(replace(row, name=name, **facts) for name in names)


def _retired(name: str, kind: Kind, successor: str) -> ModelSpec:
    return ModelSpec(name, kind, "", 25, 1280, 704, status="retired", successor=successor)


def _realtime(name: str, fps: int = 30, height: int = 720, **facts: Any) -> ModelSpec:
    return ModelSpec(name, "realtime", "", fps, 1280, height, **facts)


_IMAGE_2 = ModelSpec("lucy-image-2", "image", "I2I", 25, 1280, 704)
_RESTYLE_2 = _video("lucy-restyle-2", "RESTYLE", fps=22, height=704, max_input_s=1800.0)
_V21 = _video("lucy-2.1")
_V25 = _video("lucy-2.5", "EDIT2_ANCHOR")
_V26 = _video("lucy-2.6")
_VTON_1 = _video(
    "lucy-2.1-vton", width=1088, height=624, status="legacy", successor="lucy-vton-latest"
)
_VTON_2 = _video("lucy-vton-2", width=1088, height=624)
_VTON_3 = _video("lucy-vton-3", width=1088, height=624)
_VTON_35 = _video("lucy-vton-3.5")
_VTON_43 = _video("lucy-vton-3.5-4-3", width=960)
_VTON_11 = _video("lucy-vton-3.5-1-1", width=720)
_VTON_36 = _video("lucy-vton-3.6")
_CLIP = _legacy_video("lucy-clip", "V2V", "lucy-2.1")
_MOTION = _legacy_video("lucy-motion", "MOTION", "lucy-2.1")
_ROBOT = _video("lucy-robot-720p", "ROBOT")
_R21 = _realtime("lucy-2.1")
_R25 = _realtime("lucy-2.5", speeds=("fast",))
_R26 = _realtime("lucy-2.6", speeds=("fast",))
_RVTON_35 = _realtime("lucy-vton-3.5", speeds=("fast",))
_RVTON_36 = _realtime("lucy-vton-3.6", speeds=("fast",))
_RRESTYLE_2 = _realtime("lucy-restyle-2", height=704)

ROWS: Final[tuple[ModelSpec, ...]] = (
    # image: contract 3.3
    _IMAGE_2,
    *_alias(_IMAGE_2, "lucy-image-latest", legacy=False),
    *_alias(_IMAGE_2, "lucy-pro-i2i", "lucy_pro_i2i"),
    ModelSpec(
        "lucy-pro-t2i", "image", "T2I", 25, 1280, 704, status="legacy", successor="lucy-image-2"
    ),
    # video: contract 3.2
    _V26,
    _V25,
    *_alias(_V25, "lucy-latest", legacy=False),
    *_alias(_V25, "lucy-2-5", "lucy_2_5"),
    _V21,
    *_alias(
        _V21,
        "lucy-2-v2v",
        "lucy_2_v2v",
        "lucy-2",
        "lucy_2",
        "lucy_2_rt",
        "lucy_2_rt_preview",
        "lucy_v2v_14b_rt",
    ),
    _RESTYLE_2,
    *_alias(_RESTYLE_2, "lucy-restyle-latest", legacy=False),
    *_alias(_RESTYLE_2, "lucy-restyle-v2v", "mirage_v2"),
    _VTON_36,
    *_alias(_VTON_36, "lucy-vton-latest", legacy=False),
    _VTON_35,
    *_alias(_VTON_35, "lucy-vton-3-5"),
    # the 4:3 and 1:1 routes are in the OpenAPI document; their sizes are inferred
    _VTON_43,
    *_alias(_VTON_43, "lucy-vton-3-5-4-3"),
    _VTON_11,
    *_alias(_VTON_11, "lucy-vton-3-5-1-1"),
    _VTON_3,
    *_alias(_VTON_3, "lucy-2.1-vton-3"),
    _VTON_2,
    *_alias(_VTON_2, "lucy-2.1-vton-2"),
    _VTON_1,
    *_alias(_VTON_1, "lucy-vton", "lucy-2.viton", "lucy-2.1.viton"),
    _ROBOT,
    *_alias(_ROBOT, "lucy-samsung-robot-poc", "lucy-solomon-robot-poc", legacy=False),
    _CLIP,
    *_alias(_CLIP, "lucy-clip-latest", "lucy-pro-v2v"),
    _legacy_video("lucy-fast-v2v", "V2V_PLAIN", "lucy-2.1"),
    _legacy_video("lucy-pro-t2v", "T2V", "lucy-2.1"),
    _legacy_video("lucy-pro-i2v", "I2V", "lucy-2.1"),
    _legacy_video("lucy-dev-i2v", "I2V_DEV", "lucy-2.1"),
    _legacy_video("lucy-pro-flf2v", "FLF2V", "lucy-2.1"),
    _MOTION,
    *_alias(_MOTION, "lucy-motion-latest"),
    _retired("lucy-dev-v2v", "video", "lucy-2.1"),
    # realtime: contract 3.1
    _R26,
    _R25,
    *_alias(_R25, "lucy-latest", legacy=False),
    _R21,
    *_alias(_R21, "lucy-2", "lucy_2_rt", "lucy_2_rt_preview"),
    _RVTON_36,
    *_alias(_RVTON_36, "lucy-vton-latest", legacy=False),
    _RVTON_35,
    replace(_R21, name="lucy-vton-3", width=1088, height=624),
    replace(_R21, name="lucy-vton-2", width=1088, height=624),
    *_alias(replace(_R21, name="lucy-vton-2", width=1088, height=624), "lucy-2.1-vton-2"),
    replace(
        _R21,
        name="lucy-2.1-vton",
        width=1088,
        height=624,
        status="legacy",
        successor="lucy-vton-latest",
    ),
    _RRESTYLE_2,
    *_alias(_RRESTYLE_2, "lucy-restyle-latest", legacy=False),
    *_alias(_RRESTYLE_2, "mirage_v2"),
    replace(_R21, name="live-avatar", fps=25, status="legacy", successor="lucy-2.1"),
    replace(_R21, name="live_avatar", fps=25, status="legacy", successor="lucy-2.1"),
    _retired("avatar-live", "realtime", "lucy-2.1"),
    _retired("mirage", "realtime", "lucy-restyle-2"),
    _retired("lucy_v2v_720p_rt", "realtime", "lucy-2.1"),
    _retired("lucy_v2v_14b_rt", "realtime", "lucy-2.1"),
    _retired("lucy", "realtime", "lucy-2.1"),
    _retired("lucy-restyle", "realtime", "lucy-restyle-2"),
    _retired("lucy-vton", "realtime", "lucy-vton-latest"),
)

REGISTRY: Final[dict[tuple[Kind, str], ModelSpec]] = {(row.kind, row.name): row for row in ROWS}

_warned: set[tuple[Kind, str]] = set()


def find(name: str, *kinds: Kind) -> ModelSpec | None:
    """Return the row of a name, looking at the kinds in order; None when there is none."""
    for kind in kinds or KINDS:
        row = REGISTRY.get((kind, name))
        if row is not None:
            return row
    return None


def names(kind: Kind | None = None, *, status: Status | None = "current") -> list[str]:
    """Return model ids in registry order, those of one kind and status by default current ones."""
    return list(
        dict.fromkeys(
            row.name for row in ROWS if kind in (None, row.kind) and status in (None, row.status)
        )
    )


def resolve_model(model: object, *kinds: Kind, stacklevel: int = 3) -> ModelSpec:
    """Return the row for a name or definition, or explain why there is none.

    Parameters
    ----------
    model : str or ModelSpec
        A model id, what ``models.image()`` and friends return, or a ModelDefinition.
    *kinds : {"image", "video", "realtime"}
        What the caller can serve, in order of preference.

    Raises
    ------
    ModelNotFoundError
        Unknown or retired id.
    InvalidInputError
        A model of another kind; the hint names the call that serves it.
    """
    kinds = kinds or KINDS
    if isinstance(model, ModelSpec):
        row: ModelSpec | None = model
        if model.kind not in kinds:
            raise _wrong_kind(model, kinds)
    elif isinstance(model, str):
        row = find(model, *kinds)
        if row is None:
            other = find(model)
            if other is not None:
                raise _wrong_kind(other, kinds)
            raise _unknown(model, kinds)
    else:
        raise InvalidInputError(
            f"model must be a name or a model definition, not {type(model).__name__}.",
            field="model",
            hint='Give a name such as "lucy-image-2", or models.video("lucy-2.1").',
        )
    assert row is not None
    if row.status == "retired":
        raise ModelNotFoundError(
            f"Model {row.name!r} is retired and no longer served.",
            model=row.name,
            hint=f"Use {row.successor!r} instead.",
        )
    if row.status == "legacy" and (row.kind, row.name) not in _warned:
        _warned.add((row.kind, row.name))
        warnings.warn(
            f"Model {row.name!r} is a legacy name; use {row.successor!r} instead.",
            DeprecationWarning,
            stacklevel=stacklevel,
        )
    return row


_SERVED_BY: Final[dict[Kind, str]] = {
    "image": "process",
    "video": "the queue: queue.submit_and_poll, or lab.edit_video",
    "realtime": "a realtime session",
}


def _wrong_kind(row: ModelSpec, kinds: tuple[Kind, ...]) -> InvalidInputError:
    wanted = " or ".join(kinds)
    return InvalidInputError(
        f"{row.name!r} is a model for {row.kind}; this call takes models for {wanted}.",
        field="model",
        hint=f"{row.kind.capitalize()} models are served by {_SERVED_BY[row.kind]}.",
    )


def _unknown(name: str, kinds: tuple[Kind, ...]) -> ModelNotFoundError:
    known = [row.name for row in ROWS if row.kind in kinds and row.status != "retired"]
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    choice = ", ".join(near or [n for kind in kinds for n in names(kind)])
    return ModelNotFoundError(
        f"Model {name[:100]!r} not found.",
        model=name,
        hint=f"Known names near it: {choice}. A newer one can be given as a ModelDefinition.",
    )


class Models:
    """Look-up by kind, spelt as in the official SDK: ``models.video("lucy-2.1")``."""

    def image(self, name: str) -> ModelSpec:
        """Return the row of an image model; ModelNotFoundError when there is none."""
        return resolve_model(name, "image")

    def video(self, name: str) -> ModelSpec:
        """Return the row of a video model; ModelNotFoundError when there is none."""
        return resolve_model(name, "video")

    def realtime(self, name: str) -> ModelSpec:
        """Return the row of a realtime model; ModelNotFoundError when there is none."""
        return resolve_model(name, "realtime")

    def __repr__(self) -> str:
        return "models.image(name), models.video(name), models.realtime(name)"


models: Final = Models()
