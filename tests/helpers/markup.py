"""An outside judge of markup: what a page could make a browser do, found by Python's own parser."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from urllib.parse import urlsplit

ACTIVE = {
    "script", "iframe", "object", "embed", "form", "input", "button", "link", "base", "svg", "math",
    "template", "frame", "frameset", "applet", "source", "audio",
}  # fmt: skip
ADDRESSES = {"src", "href", "poster", "srcset", "action", "data", "background", "formaction"}
VOID = {"img", "meta", "br"}

HOSTILE = (
    "<script>alert(1)</script>",
    "</style><script>alert(1)</script>",
    "</title><img src=x onerror=alert(1)>",
    '"><img src=x onerror=alert(1)>',
    "' onmouseover='alert(1)",
    '" autofocus onfocus="alert(1)',
    "javascript:alert(1)",
    "data:text/html,<script>alert(1)</script>",
    "<svg/onload=alert(1)>",
    "<iframe srcdoc='<script>alert(1)</script>'>",
    "<a href=//evil.example>x</a>",
    "<base href=https://evil.example/>",
    "<meta http-equiv=refresh content='0;url=https://evil.example'>",
    "--><script>alert(1)</script><!--",
    "]]><script>alert(1)</script>",
    "&lt;script&gt;alert(1)&lt;/script&gt;",
    "{{constructor.constructor('alert(1)')()}}",
    "${alert(1)}",
    "x; background: url(https://evil.example/a.png)",
    "<style>@import 'https://evil.example/a.css'</style>",
    "\x00<scr\x00ipt>alert(1)</script>",
    "\u202egpj.exe\u2066",
    "\ud800 lone",
    "日本語 émoji 🎨 <b>",
    "a" * 20_000,
    "=HYPERLINK(\"https://evil.example\")",
    "\n\r\t <img src=https://evil.example/p.png>",
    "`<img src=x onerror=alert(1)>`",
)  # fmt: skip


class Page(HTMLParser):
    """Markup as parsed: its elements, texts, and every rule it breaks."""

    def __init__(self, markup: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.texts: list[str] = []
        self.styles: list[str] = []
        self.faults: list[str] = []
        self._open: list[str] = []
        markup.encode("utf-8")  # a lone surrogate could not be saved
        self.feed(markup)
        self.close()
        if self._open:
            self.faults.append(f"never closed: {self._open}")

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.texts).split())

    def having(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.elements if name == tag]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = {name: value or "" for name, value in attrs}
        self.elements.append((tag, attributes))
        if tag in ACTIVE:
            self.faults.append(f"element {tag}")
        if tag == "meta" and attributes.get("http-equiv", "").lower() == "refresh":
            self.faults.append("a refresh")
        for name, value in attributes.items():
            if name.startswith("on") or not re.fullmatch(r"[a-z-]+", name):
                self.faults.append(f"attribute {name}")
            if name in ADDRESSES and not _harmless(value):
                self.faults.append(f"{name}={value[:80]}")
            if name == "style" and not re.fullmatch(r"[-a-z: 0-9.;]*", value):
                self.faults.append(f"style={value[:80]}")
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if not self._open or self._open.pop() != tag:
            self.faults.append(f"unexpected </{tag}>")

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] == "style":
            self.styles.append(data)
            if "url(" in data or "@import" in data or "<" in data:
                self.faults.append("a stylesheet that loads or breaks out")
        else:
            self.texts.append(data)

    def handle_comment(self, data: str) -> None:
        self.faults.append(f"comment {data[:40]}")


def _harmless(address: str) -> bool:
    if re.match(r"data:(image/(webp|png|jpeg)|video/(mp4|webm));base64,", address):
        return True
    parts = urlsplit(address)
    return not parts.scheme and not parts.netloc and not address.startswith(("/", "\\"))
