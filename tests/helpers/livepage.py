"""The page of the live preview without a kernel: a model that remembers what was sent to it.

What belongs here: putting the page up, speaking in the kernel's name, and reading what it answered.
"""

from __future__ import annotations

import base64
from typing import Any

from decart_lab.widgets.livepage import CSS, ESM, PROTOCOL

SIZE = (320, 180)
FEATURES = ["start", "stop", "prompt", "image", "enhance", "model", "record", "snapshot"]
FEATURES += ["mute", "source", "keep", "input"]
# Decoding and cameras are for secure pages only, which localhost is.
ADDRESS = "http://localhost/"
BODY = "<!doctype html><body style='margin:0'><div id=root></div><div style='height:3000px'></div>"

MOUNT = """async ([esm, css]) => {
  document.head.append(Object.assign(document.createElement('style'), {textContent: css}));
  const url = URL.createObjectURL(new Blob([esm], {type: 'text/javascript'}));
  const hooks = (await import(url)).default();
  const heard = new Set(), bytes = text => Uint8Array.from(atob(text), c => c.charCodeAt(0));
  window.sent = [];
  window.listener = () => {};
  const model = {
    widget_manager: window.manager,
    on: (event, f) => heard.add(f), off: (event, f) => heard.delete(f),
    send: (message, _, buffers) => {
      window.sent.push({...message, sizes: (buffers ?? []).map(buffer => buffer.byteLength)});
      window.listener(message, buffers);
    },
  };
  window.say = (message, buffers = []) => heard.forEach(f => f(message, buffers));
  window.tell = (message, buffers) =>
    window.say(message, buffers.map(text => new DataView(bytes(text).buffer)));
  window.finish = await hooks.initialize({model});
  window.join = async (el) => hooks.render({model, el});
  window.leave = await window.join(document.getElementById('root'));
}"""
SETTLED = "() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))"


def mounted(page: Any, *scripts: str, headers: dict[str, str] | None = None) -> Any:
    answer = {"body": BODY, "headers": {"content-type": "text/html", **(headers or {})}}
    page.route(ADDRESS, lambda route: route.fulfill(**answer))
    for script in scripts:
        page.add_init_script(script)
    page.goto(ADDRESS)
    page.evaluate(MOUNT, [ESM, CSS])
    page.evaluate(SETTLED)
    return page


def hello(**more: Any) -> dict[str, Any]:
    said = {"kind": "hello", "protocol": PROTOCOL, "model": "lucy-2.1", "path": "kernel"}
    return {**said, "models": ["lucy-2.1"], "size": SIZE, "features": FEATURES, **more}


def state(**more: Any) -> dict[str, Any]:
    said = {"kind": "state", "state": "idle", "reason": "", "error": "", "prompt": "ink"}
    said |= {"pending": False, "prompt_error": "", "history": [], "enhance": True, "done": []}
    said |= {"has_image": False, "seconds": 0.0, "cost": 0.0, "note": "", "viewers": 0}
    return {**said, **more}


def tell(page: Any, message: dict[str, Any], *buffers: bytes) -> None:
    texts = [base64.b64encode(data).decode() for data in buffers]
    page.evaluate("([message, buffers]) => window.tell(message, buffers)", [message, texts])
    page.evaluate(SETTLED)


def sent(page: Any, kind: str) -> list[dict[str, Any]]:
    return [message for message in page.evaluate("window.sent") if message["kind"] == kind]


def view_of(page: Any) -> str:
    return sent(page, "ready")[0]["view"]
