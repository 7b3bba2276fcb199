"""Frames that say which one they are, followed from where they are sent to where they are drawn.

What belongs here: a clip whose frames carry the pixel marker, the script that notes in a page what
is drawn and how many bytes came, what notes in the kernel when frames arrive, and the arithmetic of
both. None of our own figures is used. What is compared with what is the business of who asks.

The kernel notes encoded frames as they come, and their markers are read when the span is over; the
page keeps the corner of each picture it draws. Neither costs what would change the outcome.
"""

from __future__ import annotations

import base64
import json
import math
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import numpy as np

from decart_lab.media import marker
from decart_lab.media.sources.fit import Fit
from decart_lab.media.video import read_frames

CLIP_S = 20.0
"""A clip's numbers begin again after so long, so no delay is longer."""
CLIP_BITRATE = 2_500_000
NOTE = """
window.wire = {came: 0, went: 0};  // bytes of all messages on websockets
window.corners = [];  // {at, width, height, whole, luma} of each picture that was drawn
window.blobs = [];  // [at, blob] of each picture that another widget showed
{
  const draw = CanvasRenderingContext2D.prototype.drawImage;
  const pen = new OffscreenCanvas(256, 128).getContext('2d', {willReadFrequently: true});
  const even = (n) => Math.ceil(n / 2) * 2;
  const corner = (width, height) => [even(8 * width / 80), even(4 * height / 44)];
  const read = (picture, width, height) => {
    const [across, down] = corner(width, height);
    pen.drawImage(picture, 0, 0, across, down, 0, 0, across, down);
    return pen.getImageData(0, 0, across, down).data.filter((_, at) => at % 4 === 1);
  };
  const keep = async (picture, row) => {
    if (!(picture instanceof VideoFrame)) {
      row.luma = read(picture, row.width, row.height);
      return;
    }
    const own = picture.clone(), [width, height] = corner(row.width, row.height);
    const planes = new Uint8Array(width * height * 2);
    await own.copyTo(planes, {rect: {x: 0, y: 0, width, height}});
    own.close();
    row.luma = planes.subarray(0, width * height);
  };
  CanvasRenderingContext2D.prototype.drawImage = function (picture, ...args) {
    if (this.canvas.closest?.('.dl-output')) {
      const width = picture.displayWidth ?? picture.width;
      const height = picture.displayHeight ?? picture.height;
      const row = {at: performance.now(), width, height, whole: picture instanceof VideoFrame};
      window.corners.push(row);
      keep(picture, row).catch(() => {});
    }
    return draw.call(this, picture, ...args);
  };
  const made = new Map();
  const makeURL = URL.createObjectURL;
  URL.createObjectURL = (blob) => {
    const url = makeURL.call(URL, blob);
    if (blob.type === 'image/jpeg') made.set(url, blob);
    return url;
  };
  document.addEventListener('load', ({target}) => {
    const blob = made.get(target.src);
    if (!blob) return;
    window.blobs.push([performance.now(), blob]);
    for (const url of made.keys()) {  // those before it were never shown
      made.delete(url);
      if (url === target.src) break;
    }
  }, true);
  const size = (data) => data.byteLength ?? data.length;
  const Plain = window.WebSocket;
  window.WebSocket = class extends Plain {
    constructor(...args) {
      super(...args);
      this.addEventListener('message', ({data}) => (window.wire.came += size(data)));
    }
    send(data) {
      window.wire.went += size(data);
      super.send(data);
    }
  };
  const told = ({at, width, height, whole, luma}) =>
    [at, width, height, whole, luma ? btoa(String.fromCharCode(...luma)) : ''];
  window.drawn = (from, to) =>
    window.corners.filter(({at}) => at >= from && at < to).map(told);
  window.loaded = async (from, to) => {
    const rows = [];
    for (const [at, blob] of window.blobs.filter(([at]) => at >= from && at < to)) {
      const picture = await createImageBitmap(blob), {width, height} = picture;
      rows.push(told({at, width, height, whole: false, luma: read(picture, width, height)}));
      picture.close();
    }
    return rows;
  };
}
"""
WITHOUT_DECODER = "delete window.VideoDecoder;"
# No cell is shown to run, so that the notebook does not move to it.
RUN = """async (code) => {
  const {kernel} = jupyterapp.shell.currentWidget.sessionContext.session;
  const {content} = await kernel.requestExecute({code, store_history: false}).done;
  if (content.status !== 'ok') throw new Error(`${content.ename}: ${content.evalue}`);
}"""
SHOW = "(box) => document.querySelector(box).scrollIntoView({block: 'center'})"
# Date.now() is cut to milliseconds: the smallest difference is the true one.
EPOCH_MS = """() => {
  const late = Array.from({length: 20000}, () =>
    performance.timeOrigin + performance.now() - Date.now());
  return performance.timeOrigin - Math.min(...late);
}"""
TAP = """
import json, time
import av
from decart_lab.media import marker

class Tap:
    '''Notes when frames are sent and come back; reads their markers when it is over.'''

    def __init__(self, session):
        self.session, self.came, self.left = session, [], []
        self.ears = [self.came.append, self.left.append]
        session.hub.add_video(self.ears[0])
        session.sends.add_sink(self.ears[1])

    def end(self, path):
        self.session.hub.remove(self.ears[0])
        self.session.sends.remove_sink(self.ears[1])
        shift = time.time() - time.monotonic()
        told = {"came": rows(self.came, shift), "left": rows(self.left, shift)}
        with open(path, "w") as file:
            json.dump(told, file)

def rows(frames, shift):
    context = av.CodecContext.create("h264", "r")
    context.thread_count = 2
    at = {}
    found = []
    begun = False
    for number, frame in enumerate([*frames, None]):
        begun = begun or frame is None or frame.key
        if not begun:
            continue
        packet = None
        if frame is not None:
            packet, at[number] = av.Packet(frame.data), frame.arrived_s
            packet.pts = number
        for picture in context.decode(packet):
            found.append([marker.read(picture), (at[picture.pts] + shift) * 1e3])
    return found
"""


@dataclass(frozen=True)
class Seen:
    """A frame somewhere.

    Attributes
    ----------
    number : int or None
        Which one it is; None when its marker cannot be read.
    at_ms : float
        When, in milliseconds of the epoch.
    whole : bool
        Whether it was drawn from the encoded stream, and not from a picture made of it.
    """

    number: int | None
    at_ms: float
    whole: bool = False


def write_clip(path: Path, source: Path, size: tuple[int, int], fps: int) -> None:
    """Write a clip whose frames carry their number, and that can be sent packet by packet."""
    fit = Fit(size)
    pictures = [fit(frame) for frame in read_frames(source, fps=fps, end_s=5.0)]
    pictures += pictures[-2:0:-1]  # forwards and backwards: no cut, which would cost a key frame
    with av.open(str(path), "w") as file:
        stream: Any = file.add_stream("libx264", rate=fps)
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        stream.bit_rate = CLIP_BITRATE
        stream.gop_size = fps
        stream.options = {
            "preset": "veryfast", "tune": "zerolatency", "profile": "baseline",
            "x264-params": "scenecut=0",
        }  # fmt: skip
        for number in range(round(CLIP_S * fps)):
            frame = av.VideoFrame.from_ndarray(
                pictures[number % len(pictures)].to_ndarray(), format="yuv420p"
            )
            frame.pts, frame.time_base = number, Fraction(1, fps)
            marker.stamp(frame, number)
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))


def read_drawn(rows: Iterable[Sequence[Any]], epoch_ms: float) -> list[Seen]:
    """Return what the page's rows of ``drawn`` or ``loaded`` show."""
    found = []
    for at, width, height, whole, corner in rows:
        across, down = marker.region(width, height)
        luma = np.zeros((height, width), np.uint8)
        data = np.frombuffer(base64.b64decode(corner), np.uint8)
        known = data.size == across * down > 0
        if known:
            luma[:down, :across] = data.reshape(down, across)
        found.append(Seen(marker.read_luma(luma) if known else None, epoch_ms + at, whole))
    return found


def read_tap(path: Path) -> dict[str, list[Seen]]:
    """Return what the kernel noted: frames that "came", and that "left"."""
    return {
        name: [Seen(*row) for row in rows] for name, rows in json.loads(path.read_text()).items()
    }


def delays_ms(drawn: Iterable[Seen], before: Iterable[Seen]) -> list[float]:
    """Return how long after it was there each frame was drawn, in milliseconds."""
    when: dict[int, list[float]] = {}
    for frame in before:
        if frame.number is not None:
            when.setdefault(frame.number, []).append(frame.at_ms)
    found = []
    for frame in drawn:
        earlier = [at for at in when.get(frame.number, ()) if at <= frame.at_ms]  # type: ignore[arg-type]
        if earlier and frame.at_ms - earlier[-1] < CLIP_S / 2 * 1e3:
            found.append(frame.at_ms - earlier[-1])
    return found


def quantile(values: Sequence[float], share: float) -> float:
    """Return the value that so many stay within; NaN when there is none, which keeps no promise."""
    return float(np.quantile(values, share)) if values else math.nan


def out_of_order(drawn: Iterable[Seen], fps: int) -> int:
    """Return how many frames were drawn after one that followed them."""
    numbers = [frame.number for frame in drawn if frame.number is not None]
    length = round(CLIP_S * fps)
    return sum((b - a) % length > length // 2 for a, b in pairwise(numbers))


def unread(drawn: Sequence[Seen]) -> float:
    """Return the share of frames whose marker cannot be read."""
    return sum(frame.number is None for frame in drawn) / len(drawn) if drawn else math.nan


def cpu_s(pid: int) -> float:
    """Return the processor time a process has used so far, in seconds."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
