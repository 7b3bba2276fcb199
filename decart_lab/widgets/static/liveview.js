// Where pictures are drawn, and how the kernel learns of it: at most one draw per animation frame,
// none while nobody looks, and as few answers as the kernel can do with.

import { Pace } from "./livestate.js";

const HOLD_MS = 150;

// Each message to the kernel makes it tell the whole front end that it is busy, and then idle again,
// which costs the page more than a picture does.

/** What was drawn, until the kernel is told, many draws in one message. */
export class Answers {
  constructor(send) {
    Object.assign(this, { send, drawn: [], timer: 0, hasty: false });
  }

  /** Note a draw; `hasty` when the kernel waits for the answer. */
  add(row, hasty) {
    this.drawn.push(row);
    if (this.timer && (this.hasty || !hasty)) return;
    clearTimeout(this.timer);
    this.hasty = hasty;
    this.timer = setTimeout(() => this.tell(), hasty ? 0 : HOLD_MS);
  }

  tell() {
    const { drawn } = this;
    Object.assign(this, { drawn: [], timer: 0, hasty: false });
    this.send({ kind: "ack", drawn, t: performance.now() });
  }
}

const MOST_HELD = 3;
const LATE_MS = 100;

// Those that come at once, as they do when the kernel is busy, are drawn one after the other; what has
// waited for long gives way to what is newer.

/** Pictures of one stream on their way to the canvases of all views: one per animation frame. */
export class Screen {
  constructor(of, answers) {
    Object.assign(this, { of, answers, held: [], asked: 0, dropped: 0, views: new Set() });
  }

  show(picture, message) {
    this.held.push({ picture, message, at: performance.now() });
    if (this.held.length > MOST_HELD) this.drop();
    this.ask();
  }

  ask() {
    if (!this.asked && this.held.length) this.asked = requestAnimationFrame((now) => this.draw(now));
  }

  drop() {
    this.held.shift().picture.close();
    this.dropped += 1;
  }

  draw(now) {
    this.asked = 0;
    while (this.held.length > 1 && now - this.held[0].at > LATE_MS) this.drop();
    const { picture, message } = this.held.shift();
    this.ask();
    for (const view of this.views) {
      const i = numberFor(message, view.id);
      if (i === null || view.hidden) continue;
      const surface = view.surfaces[this.of];
      const first = !surface.seen;
      surface.draw(picture, now);
      if (first) view.tick(now);
      this.answers.add([view.id, this.of, i, this.dropped, now], Boolean(message.now));
    }
    picture.close();
  }

  clear() {
    cancelAnimationFrame(this.asked);
    this.asked = 0;
    this.held.forEach(({ picture }) => picture.close());
    this.held = [];
  }
}

/** A frame's number for a view: `v` is null for all views, one id, or several with as many numbers. */
export function numberFor({ v, i }, id) {
  if (v === null || v === undefined || v === id) return i;
  if (!Array.isArray(v)) return null;
  const at = v.indexOf(id);
  return at < 0 ? null : Array.isArray(i) ? i[at] : i;
}

/** One canvas, or the video element in its place when the media is in the page itself. */
export class Surface {
  constructor(canvas, video) {
    Object.assign(this, { canvas, video, pace: new Pace(), last: 0, size: "" });
    this.pen = canvas.getContext("2d", { alpha: false });
  }

  draw(picture, now) {
    const width = picture.displayWidth ?? picture.width;
    const height = picture.displayHeight ?? picture.height;
    const { canvas } = this;
    if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
    this.pen.drawImage(picture, 0, 0, width, height);
    this.drawn(now, width, height);
  }

  drawn(now, width, height) {
    if (!this.seen) this.canvas.parentNode.dataset.seen = "";
    this.size = `${width}×${height}`;
    this.shape = width / height;
    this.last = now;
    this.pace.count(now);
  }

  /** Play a stream instead of drawing; null goes back to drawing. */
  play(stream) {
    const { video, canvas } = this;
    if (video.srcObject === stream) return;
    if (stream === null && video.videoWidth) this.keepLast();
    video.srcObject = stream;
    video.hidden = stream === null;
    canvas.hidden = stream !== null;
    if (stream === null) return;
    video.play().catch(() => {}); // a stream that ended meanwhile
    const each = (now, frame) => {
      if (video.srcObject !== stream) return;
      this.drawn(now, frame.width, frame.height);
      video.requestVideoFrameCallback(each);
    };
    video.requestVideoFrameCallback?.(each);
  }

  /** Draw what the video shows, which is about to be taken from it. */
  keepLast() {
    const { videoWidth: width, videoHeight: height } = this.video;
    Object.assign(this.canvas, { width, height });
    this.pen.drawImage(this.video, 0, 0);
  }

  get seen() {
    return this.last > 0;
  }

  /** What is shown, as JPEG; null before the first picture. */
  async grab(quality = 0.9) {
    if (!this.seen) return null;
    const { canvas } = this;
    if (!this.video.hidden) this.keepLast();
    const blob = await new Promise((done) => canvas.toBlob(done, "image/jpeg", quality));
    return { width: canvas.width, height: canvas.height, data: await blob.arrayBuffer() };
  }
}

/** Tell when an element comes in sight or leaves it; returns what ends that. */
export function watchSight(element, changed) {
  let inside = true;
  let told = false;
  const tell = () => {
    const hidden = !inside || document.hidden;
    if (hidden !== told) changed((told = hidden));
  };
  const observer = new IntersectionObserver((entries) => {
    inside = entries.at(-1).isIntersecting;
    tell();
  });
  observer.observe(element);
  document.addEventListener("visibilitychange", tell);
  return () => {
    observer.disconnect();
    document.removeEventListener("visibilitychange", tell);
  };
}

/** Tell the size, not more often than five times a second. */
export function watchSize(element, changed) {
  let timer = 0;
  const observer = new ResizeObserver(([entry]) => {
    const { width, height } = entry.contentRect;
    clearTimeout(timer);
    timer = setTimeout(() => changed(Math.round(width), Math.round(height)), 200);
  });
  observer.observe(element);
  return () => {
    clearTimeout(timer);
    observer.disconnect();
  };
}
