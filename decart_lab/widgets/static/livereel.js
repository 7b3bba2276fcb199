// Recording in the page, for media that never passes the kernel: a slice each second, sent to the
// kernel as it takes them. What a busy kernel cannot take waits here, within bounds.

const SLICE_MS = 1000;
const AHEAD = 4; // slices on their way
const HELD_BYTES = 256e6;
const KINDS = ["video/mp4;codecs=avc1.42E01F,opus", "video/webm;codecs=h264,opus", "video/webm;codecs=vp8,opus", "video/webm"];

/** Begin to record; without a stream, or where it cannot be done, say so and return null. */
export function record(id, stream, send) {
  let error = "";
  try {
    if (stream !== null) return new Reel(id, stream, send);
  } catch ({ message }) {
    error = message;
  }
  send({ kind: "slice", id, n: 1, last: true, error });
  return null;
}

class Reel {
  /** Record a stream; `send(content, buffers)` reaches the kernel. */
  constructor(id, stream, send) {
    Object.assign(this, { id, send, sent: 0, taken: 0, held: [], bytes: 0, over: false, error: "", passing: false, told: false });
    const mimeType = KINDS.find((kind) => MediaRecorder.isTypeSupported(kind));
    // An MP4 is only written up to its last key frame, so there is one in each slice. A sound
    // that never comes would hold the pictures back, because the two are kept in step.
    const tracks = stream.getTracks().filter((track) => track.kind === "video" || !track.muted);
    this.recorder = new MediaRecorder(new MediaStream(tracks), { mimeType, videoKeyFrameIntervalDuration: SLICE_MS });
    this.mime = mimeType;
    this.recorder.addEventListener("dataavailable", ({ data }) => this.keep(data));
    this.recorder.addEventListener("error", ({ error }) => this.stop(error?.message ?? "the browser gave no reason"));
    this.recorder.addEventListener("stop", () => {
      this.over = true;
      this.pass();
    });
    this.recorder.start(SLICE_MS);
  }

  keep(blob) {
    if (blob.size === 0) return;
    this.held.push(blob);
    this.bytes += blob.size;
    if (this.bytes > HELD_BYTES) this.stop("the kernel was busy for too long");
    this.pass();
  }

  /** The kernel has written slices up to this one. */
  took(n) {
    this.taken = Math.max(this.taken, n);
    this.pass();
  }

  async pass() {
    if (this.passing) return; // one at a time keeps their order
    this.passing = true;
    while (this.held.length && this.sent - this.taken < AHEAD) {
      const blob = this.held.shift();
      this.bytes -= blob.size;
      const data = await blob.arrayBuffer();
      this.send({ kind: "slice", id: this.id, n: (this.sent += 1), mime: this.mime, last: false }, [data]);
    }
    this.passing = false;
    if (!this.over || this.held.length || this.told) return;
    this.told = true;
    this.send({ kind: "slice", id: this.id, n: this.sent + 1, mime: this.mime, last: true, error: this.error });
  }

  stop(error = "") {
    this.error ||= error;
    if (this.recorder.state !== "inactive") this.recorder.stop();
  }
}
