"""What a point will cost by the dated price table; NaN when nobody knows."""

from __future__ import annotations

from collections.abc import Mapping
from math import nan
from typing import Any

from ..contract.models import ModelSpec
from ..contract.prices import image_cost, video_cost


def estimate(model: ModelSpec, fields: Mapping[str, Any], input_s: float | None) -> float:
    """Return the price of one request in USD.

    Parameters
    ----------
    model : ModelSpec
        The model's row; prices go by its canonical id.
    fields : mapping
        The validated fields; only ``resolution`` matters.
    input_s : float or None
        Length of the clip sent as data, when there is one.

    Returns
    -------
    float
        USD; NaN when the price or the length of the output is unknown.

    Examples
    --------
    >>> from decart_lab.contract.models import models
    >>> estimate(models.video("lucy-2.1"), {}, 2.5)
    0.1
    >>> estimate(models.video("lucy-2.6"), {}, 2.5)
    nan
    """
    if model.kind == "image":
        return image_cost(model.canonical, str(fields.get("resolution", "720p")))
    seconds = model.output_s if model.output_s is not None else input_s
    return nan if seconds is None else video_cost(model.canonical, seconds)
