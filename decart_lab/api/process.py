"""``process``: a picture made while we wait (``POST /v1/generate/{model}``, wire contract 4)."""

from __future__ import annotations

from .._caller import Caller
from .._wire import Call
from ..contract.responses import ResultBytes
from ..errors import ProcessingError
from ..media.media import Media
from .inputs import Fetch, form
from .options import Options, checked, safe_path
from .results import MAX_ON_DISK, collect, destination


async def process(caller: Caller, options: Options, fetch: Fetch) -> ResultBytes | Media:
    """Send one image request and return the picture.

    Parameters
    ----------
    options : Options
        From :func:`decart_lab.api.options.merge`.

    Raises
    ------
    InvalidInputError
        Before any request, naming the field and the fix.
    ProcessingError
        The service refused or failed, or no complete answer came; also of a cause class.
    """
    save_to = destination(options.controls.get("save_to"))
    request = checked(options, "image")
    path = safe_path(request.model.url_path, request.model)
    body = await form(request, fetch)
    timeouts = caller.http.timeouts
    call = Call(
        "POST",
        path,
        "/v1/generate/{model}",
        timeouts.process_s,
        body=body,
        once=True,
        accept="image/*, application/json",
        read_s=timeouts.process_s,  # the answer begins only when the picture is made
        max_bytes=MAX_ON_DISK,
        on_progress=options.controls.get("on_upload_progress"),
        slow_ok=False,
    )
    return await collect(
        caller,
        ProcessingError,
        f"Processing with {request.model.name}",
        call,
        kinds=("image",),
        save_to=save_to,
    )
