"""The curl snippets of the vendor's queue migration guide, with only host and key changed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import av
import pytest

from decart_lab.emulator import emulator

BEFORE = """
curl -X POST https://api.decart.ai/v1/generate/lucy-pro-t2v \\
  -H "X-API-KEY: $DECART_API_KEY" \\
  -F "prompt=A serene lake at sunset" \\
  --output output.mp4
"""

AFTER = """
# Step 1: Submit job
JOB_ID=$(curl -s -X POST https://api.decart.ai/v1/jobs/lucy-pro-t2v \\
  -H "X-API-KEY: $DECART_API_KEY" \\
  -F "prompt=A serene lake at sunset" | jq -r '.job_id')

echo "Job submitted: $JOB_ID"

# Step 2: Poll for status
while true; do
  STATUS=$(curl -s -H "X-API-KEY: $DECART_API_KEY" \\
    https://api.decart.ai/v1/jobs/$JOB_ID | jq -r '.status')
  echo "Status: $STATUS"
  [ "$STATUS" = "completed" ] && break
  [ "$STATUS" = "failed" ] && exit 1
  sleep 2
done

# Step 3: Download result
curl -H "X-API-KEY: $DECART_API_KEY" \\
  https://api.decart.ai/v1/jobs/$JOB_ID/content --output output.mp4
"""

JQ = """#!{python}
import json, sys
[_, raw, path] = sys.argv
assert raw == "-r"
print(json.load(sys.stdin)[path.lstrip(".")])
"""


@pytest.fixture
def tools(tmp_path: Path) -> Path:
    """Folder with a jq for machines that have none."""
    for tool in ("bash", "curl"):
        if shutil.which(tool) is None:
            pytest.skip(f"{tool} is not on this machine")
    folder = tmp_path / "bin"
    folder.mkdir()
    if shutil.which("jq") is None:
        (folder / "jq").write_text(JQ.format(python=sys.executable))
        (folder / "jq").chmod(0o755)
    return folder


@pytest.mark.parametrize("snippet", [BEFORE, AFTER], ids=["before", "after"])
def test_a_documented_snippet_runs(tmp_path, tools, snippet):
    with emulator(speed=100, render="canned") as emu:
        done = subprocess.run(
            [
                "bash",
                "-e",
                "-u",
                "-o",
                "pipefail",
                "-c",
                snippet.replace("https://api.decart.ai", emu.url),
            ],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=60,
            env={"PATH": f"{tools}:{os.environ['PATH']}", "DECART_API_KEY": "a-key"},
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert len(emu.ledger) == 1
    with av.open(str(tmp_path / "output.mp4")) as container:
        video = container.streams.video[0]
        assert (video.width, video.height, video.average_rate) == (1280, 704, 25)
        assert video.frames == 125
    if snippet is AFTER:
        assert "Status: completed" in done.stdout
