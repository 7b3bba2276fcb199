"""The curl snippets of the vendor's queue migration guide, with only host and key changed.

Those of its realtime signaling guide, too, with what they abridge or make up filled in.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import av
import pytest

from decart_lab.emulator import emulator
from tests.helpers.calling import an_offer

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


CANDIDATES = """
curl -X PATCH https://api.decart.ai/v1/realtime/sessions/rs_abc123 \\
  -H "x-api-key: $DECART_API_KEY" \\
  -H "Content-Type: application/json" \\
  -H 'If-Match: "ice-1a2b3c"' \\
  -d '{
    "candidates": [
      {
        "candidate": "candidate:1 1 UDP 2130706431 192.168.1.5 54321 typ host",
        "sdpMLineIndex": 0,
        "sdpMid": "0"
      }
    ]
  }'
"""

PROMPT = """
curl -X POST https://api.decart.ai/v1/realtime/sessions/rs_abc123/prompt \\
  -H "x-api-key: $DECART_API_KEY" \\
  -H "Content-Type: application/json" \\
  -d '{"prompt": "Anime style", "enhance_prompt": true}'
"""

IMAGE = """
curl -X POST https://api.decart.ai/v1/realtime/sessions/rs_abc123/image \\
  -H "x-api-key: $DECART_API_KEY" \\
  -H "Content-Type: application/json" \\
  -d '{
    "image_data": "<base64-encoded image>",
    "prompt": "Transform into this character",
    "enhance_prompt": true
  }'
"""

STATE = """
curl https://api.decart.ai/v1/realtime/sessions/rs_abc123 \\
  -H "x-api-key: $DECART_API_KEY"
"""

RESTART = """
curl -X PATCH https://api.decart.ai/v1/realtime/sessions/rs_abc123 \\
  -H "x-api-key: $DECART_API_KEY" \\
  -H "Content-Type: application/json" \\
  -H 'If-Match: "*"' \\
  -d '{
    "sdp": {
      "type": "offer",
      "sdp": "v=0\\r\\no=- 123 3 IN IP4 127.0.0.1\\r\\ns=-\\r\\nt=0 0\\r\\n..."
    }
  }'
"""

END = """
curl -X DELETE https://api.decart.ai/v1/realtime/sessions/rs_abc123 \\
  -H "x-api-key: $DECART_API_KEY"
"""

CREATE = """
curl -X POST https://api.decart.ai/v1/realtime/sessions \\
  -H "x-api-key: $DECART_API_KEY" \\
  -H "Content-Type: application/json" \\
  -d '{
    "model": "lucy_2_rt",
    "sdp": {
      "type": "offer",
      "sdp": "v=0\\r\\no=- 123 2 IN IP4 127.0.0.1\\r\\ns=-\\r\\nt=0 0\\r\\na=group:BUNDLE 0 1\\r\\n..."
    },
    "prompt": "Anime style portrait",
    "enhance_prompt": true
  }'
"""  # noqa: E501 - as it is printed


@pytest.fixture(scope="module")
def offer() -> str:
    """A real offer in the place of what the guide abridges."""
    return json.dumps(asyncio.run(an_offer()))[1:-1]


def test_the_snippets_of_the_signaling_guide_run_in_their_order(tools, picture, offer):
    abridged = re.compile(r'"v=0\\r\\n[^"]*"')
    with emulator() as emu:
        image = base64.b64encode(picture).decode()
        known = {"https://api.decart.ai": emu.url, "<base64-encoded image>": image}

        def run(snippet: str) -> tuple[int, dict[str, str], dict]:
            text = abridged.sub(lambda _: f'"{offer}"', snippet)
            for name, value in known.items():
                text = text.replace(name, value)
            done = subprocess.run(
                ["bash", "-e", "-u", "-c", text.replace("curl ", "curl -s -i ", 1)],
                capture_output=True,
                text=True,
                timeout=60,
                env={"PATH": f"{tools}:{os.environ['PATH']}", "DECART_API_KEY": "a-key"},
                check=True,
            )
            head, _, body = done.stdout.replace("\r\n", "\n").partition("\n\n")
            first, *lines = head.splitlines()
            headers = dict(line.lower().split(": ", 1) for line in lines)
            return int(first.split()[1]), headers, json.loads(body) if body.strip() else {}

        status, headers, created = run(CREATE)
        assert status == 201
        known["rs_abc123"], known['"ice-1a2b3c"'] = created["session_id"], headers["etag"]
        status, headers, _ = run(CANDIDATES)
        assert status == 204
        assert run(CANDIDATES)[0] == 412
        assert run(PROMPT)[::2] == (200, {"prompt": "Anime style"})
        assert run(IMAGE)[::2] == (200, {"prompt": "Transform into this character"})
        status, headers, state = run(STATE)
        assert (status, state["session_id"]) == (200, created["session_id"])
        status, renewed, restarted = run(RESTART)
        assert (status, restarted["sdp"]["type"]) == (200, "answer")
        assert renewed["etag"] != headers["etag"]
        status, _, summary = run(END)
        assert (status, summary["reason"]) == (200, "disconnect")
        assert run(STATE)[0] == 404
        assert len(emu.ledger) == 1
