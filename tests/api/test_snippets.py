"""The documented Python snippets run with only the import changed.

Their text is that of the vendor's migration page; the host they speak to is the emulator, because
the client's default address is looked up when it is made.
"""

from __future__ import annotations

import ast
import subprocess
import sys
import textwrap

import pytest

from decart_lab import config
from decart_lab.media.probe import probe

AUTOMATIC = """
import asyncio
from decart_lab import DecartClient, models

async def generate():
    async with DecartClient(api_key="your-api-key") as client:
        # Asynchronous - submit and poll for completion
        result = await client.queue.submit_and_poll({
            "model": models.video("lucy-pro-t2v"),
            "prompt": "A serene lake at sunset",
            "on_status_change": lambda job: print(f"Status: {job.status}"),
        })

        if result.status == "completed":
            with open("output.mp4", "wb") as f:
                f.write(result.data)

asyncio.run(generate())
"""

MANUAL = """
import asyncio

# Submit job
job = await client.queue.submit({
    "model": models.video("lucy-pro-t2v"),
    "prompt": "A serene lake at sunset",
})

print(f"Job ID: {job.job_id}")

# Poll for status
while True:
    status = await client.queue.status(job.job_id)
    print(f"Status: {status.status}")

    if status.status == "completed":
        result = await client.queue.result(job.job_id)
        with open("output.mp4", "wb") as f:
            f.write(result.data)
        break
    elif status.status == "failed":
        print("Job failed")
        break

    await asyncio.sleep(2)
"""

BEFORE = """
import asyncio
from decart_lab import DecartClient, models

async def generate():
    async with DecartClient(api_key="your-api-key") as client:
        # Synchronous - blocks until video is ready
        video = await client.generate({
            "model": models.video("lucy-pro-t2v"),
            "prompt": "A serene lake at sunset",
        })

        with open("output.mp4", "wb") as f:
            f.write(video)

asyncio.run(generate())
"""


@pytest.fixture
def at_home(emu, monkeypatch, tmp_path):
    """The default address is the emulator's, and files land in a folder of the test."""
    monkeypatch.setattr(config, "DEFAULT_BASE_URL", emu.url)
    monkeypatch.chdir(tmp_path)
    return emu


@pytest.mark.filterwarnings("ignore:Model 'lucy-pro-t2v' is a legacy name:DeprecationWarning")
def test_the_automatic_snippet_runs(at_home, tmp_path, capsys):
    exec(compile(AUTOMATIC, "snippet", "exec"), {})
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "Status: pending"
    assert lines[-1] == "Status: completed"
    assert len(lines) == len(set(lines))
    assert probe(tmp_path / "output.mp4").kind == "video"


@pytest.mark.filterwarnings("ignore:Model 'lucy-pro-t2v' is a legacy name:DeprecationWarning")
@pytest.mark.anyio
async def test_the_manual_snippet_runs_as_a_cell_with_top_level_await(at_home, tmp_path, capsys):
    from decart_lab import DecartClient, models

    async with DecartClient(api_key="your-api-key") as client:
        # The one wait is shortened: the emulator's clock runs a hundred times as fast.
        program = MANUAL.replace("asyncio.sleep(2)", "asyncio.sleep(0.02)")
        flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
        cell = compile(program, "snippet", "exec", flags=flags)
        await eval(cell, {"client": client, "models": models})
    out = capsys.readouterr().out
    assert out.startswith("Job ID: ")
    assert out.endswith("Status: completed\n")
    assert probe(tmp_path / "output.mp4").kind == "video"


@pytest.mark.filterwarnings("ignore:Model 'lucy-pro-t2v' is a legacy name:DeprecationWarning")
def test_the_old_snippet_fails_with_the_name_of_the_new_call(at_home):
    with pytest.raises(Exception, match="submit_and_poll"):
        exec(compile(BEFORE, "snippet", "exec"), {})
    assert at_home.ledger.entries == []


def test_the_automatic_snippet_runs_in_a_cell_after_allow_asyncio_run(at_home, tmp_path):
    program = f"""
import asyncio, sys
from decart_lab import allow_asyncio_run, config
config.DEFAULT_BASE_URL = {at_home.url!r}
async def cell():
    allow_asyncio_run()
{textwrap.indent(AUTOMATIC, "    ")}
asyncio.run(cell())
"""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program],
        cwd=tmp_path,
        timeout=60,
        capture_output=True,
        text=True,
    )
    assert "Status: completed" in done.stdout, done.stderr
    assert probe(tmp_path / "output.mp4").kind == "video"
