"""From a POST to an accepted job: check, price, charge, and enter in the ledger.

The synchronous and the queued routes differ in what they do with the job, not in how it is bought.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import random
import secrets
from math import isnan

from starlette.requests import Request

from ..contract.models import ModelSpec, find
from ..contract.prices import image_cost, video_cost
from ..contract.requests import FILE_FIELDS, MAX_SEED
from ..contract.states import JobStatus
from ..media.probe import Probe
from . import prompts
from .answers import Refusal
from .fields import Asked, check_fields, check_files
from .forms import Form, discarding, keep, read_form
from .jobs import MODERATED, durations
from .records import JobRecord, LedgerEntry
from .services import Services, services


def served_model(name: str) -> ModelSpec:
    """Return the row of a model id that process or queue serves.

    Raises
    ------
    Refusal
        404 for an unknown id or one of realtime only, 410 for a retired one.
    """
    model = find(name, "image", "video")
    if model is None:
        other = find(name, "realtime")
        if other is None:
            raise Refusal(404, f"Model {name[:100]!r} not found.")
        if other.status != "retired":
            raise Refusal(404, f"Model {name!r} is served by realtime sessions only.")
        model = other
    if model.status == "retired":
        raise Refusal(410, f"Model {name!r} is retired. Use {model.successor!r} instead.")
    return model


async def buy(request: Request, name: str, *, queued: bool) -> JobRecord:
    """Accept a paid request, or refuse it.

    Parameters
    ----------
    request : Request
        The POST; its body is read here.
    name : str
        The model it asks for.
    queued : bool
        Whether it is a job to come back for. Moderation fails such a job later, and refuses a
        synchronous request at once.

    Raises
    ------
    Refusal
        401, 403 (outside a client token's scope), 402 (no credits), 404, 410, 413 or 422.
    """
    parts = services(request)
    caller = parts.gatekeeper.admit(request.headers)
    model = served_model(name)
    if caller.token is not None and not caller.token.allows_model(model.name, model.canonical):
        raise Refusal(403, f"The client token does not allow model {model.name!r}.")
    limit = parts.settings.max_upload_bytes
    form = await read_form(request, parts.world.uploads, FILE_FIELDS, limit)
    with discarding(form):
        asked = check_fields(model, form)
        probes = await asyncio.to_thread(check_files, model, form) if form.files else {}
        blocked = prompts.blocked(asked.prompt)
        if blocked and not queued:
            raise Refusal(422, MODERATED)
        job, entry = _draw_up(parts, model, asked, form, probes, blocked=blocked, queued=queued)
        _check_credits(parts, entry)
        for name, stored in form.files.items():
            if name in probes:
                job.inputs[name] = f"{job.id}-{name}"
                keep(stored, parts.world.uploads / job.inputs[name])
    entered = parts.world.save_entry(entry)
    if queued:
        entered = parts.world.save_job(job)
    await asyncio.wrap_future(entered)
    return job


def _draw_up(
    parts: Services,
    model: ModelSpec,
    asked: Asked,
    form: Form,
    probes: dict[str, Probe],
    *,
    blocked: bool,
    queued: bool,
) -> tuple[JobRecord, LedgerEntry]:
    digest = request_hash(model, asked, {name: form.files[name].sha256 for name in probes})
    # The same request drawn again is another throw of the dice, and the same one after a restart.
    dice = random.Random(  # noqa: S311 - believable, not secret
        f"{parts.settings.seed}:{digest}:{parts.world.ledger.times_seen(digest)}"
    )
    seed = dice.randint(0, MAX_SEED) if asked.seed is None else asked.seed
    data = probes.get("data")
    input_s = data.duration_s if data is not None and data.kind == "video" else None
    seconds = clip_seconds(model, input_s)
    wait_s, work_s = durations(model, seconds, dice)
    told_s = parts.settings.service_time(dice)
    if told_s is not None:
        wait_s, work_s = 0.0, told_s
    prompt = prompts.effective_prompt(asked.prompt, asked.enhance_prompt, seed)
    now = parts.clock.utc()
    price = price_of(model, asked.resolution, seconds)
    job_id = f"job_{secrets.token_hex(12)}"
    entry = LedgerEntry(
        id=f"led_{secrets.token_hex(8)}",
        at=now,
        route="jobs" if queued else "generate",
        model=model.name,
        model_resolved=model.canonical,
        request_sha256=digest,
        job_id=job_id if queued else None,
        seconds=seconds,
        resolution=asked.resolution,
        price=price,
        enhanced_prompt="" if blocked else prompt,
    )
    job = JobRecord(
        id=job_id,
        model=model.name,
        kind=model.kind,
        status=JobStatus.PENDING,
        prompt=prompt,
        seed=seed,
        resolution=asked.resolution,
        orientation=asked.orientation,
        submitted_at=now,
        wait_s=wait_s,
        work_s=0.5 if blocked else work_s,  # moderation looks at the prompt before anything else
        ledger_id=entry.id,
        blocked=blocked,
        seconds=seconds,
        input_s=input_s,
        trajectory=asked.trajectory,
    )
    return job, entry


def request_hash(model: ModelSpec, asked: Asked, files: dict[str, str]) -> str:
    """Return the SHA-256 of what was asked: canonical model, fields sent, hashes of the files."""
    body = {"model": model.canonical, "fields": asked.given, "files": files}
    text = json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def clip_seconds(model: ModelSpec, input_s: float | None) -> float | None:
    """Return the length of the clip that will come out; None for a picture."""
    if model.kind == "image":
        return None
    if input_s is None:
        return model.output_s or 5.0
    return input_s if model.output_s is None else min(input_s, model.output_s)


def price_of(model: ModelSpec, resolution: str, seconds: float | None) -> float | None:
    """Return the price in USD, None when the price table has no figure."""
    if seconds is None:
        cost = image_cost(model.canonical, resolution)
    else:
        cost = video_cost(model.canonical, seconds)
    return None if isnan(cost) else cost


def _check_credits(parts: Services, entry: LedgerEntry) -> None:
    """Refuse what the account cannot pay; 402 is inferred, the vendor documents no status."""
    held = parts.settings.credits
    if held is None or entry.price is None:
        return
    left = held - parts.world.ledger.total
    if entry.price > left + 1e-9:
        raise Refusal(
            402, f"Insufficient credits: this costs {entry.price:.4f} USD, {left:.4f} USD are left."
        )
