"""Where a session's frames come from: files, stills, patterns, generators, devices, tracks.

What belongs here: one small file per kind, the thread that paces what they give (``base``), how a
frame is made to fit (``fit``), and the registry (``registry``). A new kind is one file with a
function ``open`` and one row given to :func:`register`. Encoding and sending is the business of
``media.rtc``; swapping one source for another is the session's.
"""

from .base import Item, Sink, Source
from .registry import KINDS, SourceKind, open_source, register
from .wanted import Wanted

__all__ = ["KINDS", "Item", "Sink", "Source", "SourceKind", "Wanted", "open_source", "register"]
