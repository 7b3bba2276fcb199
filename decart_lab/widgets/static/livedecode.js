// From messages to pictures. Nothing waits in line here: encoded frames go into the decoder at once,
// of JPEGs only the newest is kept, and whoever is shown a picture closes it.

const BACKLOG = 12; // frames inside the decoder; more than the kernel may have on its way

/** What this browser can decode; asked once. */
export const abilities = async () => {
  const can = async (codec) => {
    try {
      return (await VideoDecoder.isConfigSupported({ codec })).supported === true;
    } catch {
      return false;
    }
  };
  const webcodecs = typeof VideoDecoder === "function";
  const [h264, vp8] = webcodecs ? await Promise.all([can("avc1.42E01F"), can("vp8")]) : [false, false];
  const policy = globalThis.document?.permissionsPolicy ?? globalThis.document?.featurePolicy;
  return { webcodecs, h264, vp8, secure: globalThis.isSecureContext === true, camera: policy?.allowsFeature("camera") };
};

/** One stream of frames, input or output, decoded once for all views in the page. */
export class Stream {
  /** `show(picture, message)` owns the picture; `wantKey()` asks for a key frame. */
  constructor({ show, wantKey, broken }) {
    Object.assign(this, { show, wantKey, broken, failures: 0, jpeg: null, busy: false });
    this.restart();
  }

  /** Forget where the stream stood: the next usable frame is a key frame. */
  restart() {
    if (this.decoder?.state === "configured") this.decoder.close();
    this.decoder = null;
    this.lost = true;
    this.last = {};
    this.inside = new Map();
  }

  take(message, data) {
    if (message.mode === "jpeg") {
      this.jpeg = [message, data];
      if (!this.busy) this.pump();
    } else {
      this.encoded(message, data);
    }
  }

  encoded(message, data) {
    const gap = this.gap(message);
    if (message.key) {
      this.prepare(message);
    } else if (this.lost || gap || this.decoder.decodeQueueSize > BACKLOG) {
      // A picture made from a missing one is wrong until the next key frame: show none.
      this.lost = true;
      this.wantKey();
      return;
    }
    this.inside.set(message.us, message);
    const type = message.key ? "key" : "delta";
    try {
      this.decoder.decode(new EncodedVideoChunk({ type, timestamp: message.us, data }));
    } catch (error) {
      this.fail(error);
    }
  }

  /** Whether a number is missing before this frame, for all of those that it is for. */
  gap({ v, i }) {
    const views = Array.isArray(v) ? v : [v ?? "*"];
    const numbers = Array.isArray(i) ? i : [i];
    let whole = false;
    views.forEach((view, at) => {
      if (this.last[view] === numbers[at] - 1) whole = true;
      this.last[view] = numbers[at];
    });
    return !whole;
  }

  prepare({ codec, mode }) {
    const wanted = codec ?? (mode === "vp8" ? "vp8" : "avc1.42E01F");
    this.lost = false;
    if (this.decoder?.state === "configured" && this.codec === wanted) return;
    if (this.decoder?.state === "configured") this.decoder.close();
    this.inside.clear();
    const decoder = new VideoDecoder({
      output: (frame) => this.decoded(frame),
      error: (error) => decoder === this.decoder && this.fail(error),
    });
    this.decoder = decoder;
    this.codec = wanted;
    try {
      decoder.configure({ codec: wanted, optimizeForLatency: true });
    } catch (error) {
      this.fail(error);
    }
  }

  decoded(frame) {
    const found = this.inside.get(frame.timestamp);
    if (found === undefined) {
      frame.close();
      return;
    }
    for (const us of this.inside.keys()) {
      this.inside.delete(us);
      if (us === frame.timestamp) break;
    }
    this.failures = 0;
    this.show(frame, found);
  }

  fail(error) {
    this.restart();
    this.failures += 1;
    if (this.failures < 3) this.wantKey();
    else this.broken(error);
  }

  async pump() {
    this.busy = true;
    while (this.jpeg !== null) {
      const [message, data] = this.jpeg;
      this.jpeg = null;
      try {
        const picture = await createImageBitmap(new Blob([data], { type: "image/jpeg" }));
        this.show(picture, message);
      } catch {
        // not a picture; the next one may be
      }
    }
    this.busy = false;
  }
}
