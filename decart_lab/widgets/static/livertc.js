// The browser path: the page owns the connection and the camera, the kernel asks the service for
// answers. No key and nothing that bills comes here; media flows on whatever the kernel does.

import { openMedia, release, split } from "./livemedia.js";

const BUSY_MS = 2000;
const GOODBYE_MS = 1000;

/** Figures of a connection, cumulative where the kernel takes differences; unknown ones are null. */
export function statsOf(report) {
  const all = [...report.values()];
  const pair = all.find((s) => s.type === "candidate-pair" && s.nominated && s.state === "succeeded");
  const inbound = all.find((s) => s.type === "inbound-rtp" && s.kind === "video");
  const outbound = all.find((s) => s.type === "outbound-rtp" && s.kind === "video");
  const [got, lost] = [inbound?.packetsReceived, inbound?.packetsLost];
  const known = (value) => value ?? null;
  return {
    rtt_s: known(pair?.currentRoundTripTime),
    loss: got + lost > 0 ? Math.max(lost, 0) / (got + lost) : null,
    jitter_s: known(inbound?.jitter),
    bytes_in: known(inbound?.bytesReceived),
    bytes_out: known(outbound?.bytesSent),
    packets_in: known(got),
    packets_out: known(outbound?.packetsSent),
    frames_in: known(inbound?.framesDecoded),
    frames_out: known(outbound?.framesSent),
    dropped: known(inbound?.framesDropped),
    freezes: known(inbound?.freezeCount),
    decode_ms: inbound?.framesDecoded ? (1000 * inbound.totalDecodeTime) / inbound.framesDecoded : null,
    limited_by: known(outbound?.qualityLimitationReason),
    width: known(inbound?.frameWidth),
    height: known(inbound?.frameHeight),
  };
}

/** One connection at a time, by its generation: what belongs to an earlier one is ignored. */
export class Call {
  /** `send` reaches the kernel; `on` has local(stream), remote(stream), busy(on) and trouble(text). */
  constructor(send, on) {
    Object.assign(this, { send, on, gen: 0, peer: null, ended: 0, closings: 0, local: null, choice: null, muted: false, file: null });
    this.online = () => this.peer && this.tell("state", { state: "network" });
  }

  tell(op, content) {
    this.send({ kind: "rtc", op, gen: this.gen, ...content });
  }

  async take(message) {
    if (message.op === "offer?") {
      this.turn = this.offer(message);
      await this.turn;
    } else if ((message.gen ?? this.gen) === this.gen) {
      if (message.op === "close") this.close(); // also while somebody is still asked for the camera
      else if (this.peer === null) return;
      else if (message.op === "answer") await this.accept(message);
      else if (message.op === "candidate") await this.candidate(message.candidate);
    }
  }

  /** Open what is to be sent; what was open is kept when it is the same. */
  async open(choice, wanted) {
    if (this.local !== null && this.choice === choice && this.alive()) return this.local;
    const { closings } = this;
    const stream = await openMedia(choice, { ...wanted, file: this.file });
    if (closings !== this.closings) {
      release(stream);
      throw new Error("The session ended before it began.");
    }
    release(this.local);
    this.local = stream;
    this.choice = choice;
    this.mute(this.muted);
    for (const track of stream.getTracks()) {
      track.addEventListener("ended", () => {
        if (this.local === stream) this.on.trouble(`The ${split(choice)[0]} ended. Choose another source; the session goes on.`);
      });
    }
    this.on.local(stream);
    return stream;
  }

  alive() {
    return this.local.getTracks().some((track) => track.readyState === "live");
  }

  async offer({ gen, source, size, fps, audio, ice_servers = [], restart = false }) {
    const again = restart && this.peer !== null;
    if (!again) this.hangUp();
    this.gen = gen;
    this.ended = 0;
    this.early = [];
    this.late = [];
    try {
      if (!again) {
        this.wanted = { size, fps, audio };
        const local = await this.open(this.choice ?? source ?? "camera", this.wanted);
        if (this.gen !== gen) return;
        this.connect(local, ice_servers);
      } else if (ice_servers.length) {
        this.peer.setConfiguration({ iceServers: ice_servers });
      }
      await this.peer.setLocalDescription(await this.peer.createOffer({ iceRestart: again }));
    } catch (error) {
      if (this.gen !== gen) return;
      this.tell("state", { state: "failed", error: error.message });
      this.close();
      this.on.trouble(error.message);
      return;
    }
    this.tell("offer", { sdp: this.peer.localDescription.sdp });
    clearTimeout(this.waiting);
    this.waiting = setTimeout(() => this.on.busy(true), BUSY_MS);
  }

  connect(local, iceServers) {
    const peer = new RTCPeerConnection({ iceServers, bundlePolicy: "max-bundle" });
    this.peer = peer;
    const [picture] = local.getVideoTracks();
    const [sound] = local.getAudioTracks();
    const video = peer.addTransceiver(picture ?? "video", { direction: picture ? "sendrecv" : "recvonly", streams: [local] });
    // Always a line for sound: an offer without one stalls at the service.
    const audio = peer.addTransceiver(sound ?? "audio", { direction: sound ? "sendrecv" : "recvonly", streams: [local] });
    this.senders = { video: video.sender, audio: audio.sender };
    prefer(video);
    const remote = new MediaStream();
    peer.addEventListener("track", ({ track }) => {
      remote.addTrack(track);
      if (track.kind === "video") this.on.remote(remote);
    });
    peer.addEventListener("icecandidate", ({ candidate }) => {
      const row = candidate && candidate.candidate ? candidate.toJSON() : null;
      // Before the answer nobody could use it, and a busy kernel would only collect them.
      if (this.late === null) this.tell("candidate", { candidate: row });
      else this.late.push(row);
    });
    peer.addEventListener("connectionstatechange", () => {
      if (peer === this.peer) this.tell("state", { state: peer.connectionState });
    });
    this.counting = setInterval(() => this.count(peer), 1000);
    addEventListener("online", this.online);
  }

  async accept({ sdp }) {
    clearTimeout(this.waiting);
    this.on.busy(false);
    const { gen } = this;
    try {
      await this.peer.setRemoteDescription({ type: "answer", sdp });
    } catch (error) {
      this.tell("state", { state: "failed", error: error.message });
      return;
    }
    if (gen !== this.gen || this.late === null) return;
    const { peer } = this;
    const { transport } = this.senders.video;
    // The far end says goodbye long before its silence would be noticed.
    if (transport) transport.onstatechange = () => transport.state === "closed" && this.hungUp(peer);
    const [late, early] = [this.late, this.early];
    this.late = this.early = null;
    for (const candidate of late) this.tell("candidate", { candidate });
    for (const candidate of early) await this.candidate(candidate);
  }

  async candidate(candidate) {
    if (this.early !== null) {
      this.early.push(candidate);
      return;
    }
    try {
      await this.peer.addIceCandidate(candidate ?? undefined);
    } catch {
      // one way less; the others may do
    }
  }

  async count(peer) {
    if (peer.connectionState !== "connected") return;
    const stats = statsOf(await peer.getStats());
    if (peer === this.peer) this.tell("stats", { stats: { ...stats, ...this.on.drawn() } });
  }

  /** Send another source over the same connection. */
  async change(choice) {
    const before = this.local;
    const stream = await this.open(choice, this.wanted);
    if (this.peer === null || stream === before) return;
    const [picture = null] = stream.getVideoTracks();
    const [sound = null] = stream.getAudioTracks();
    await this.senders.video.replaceTrack(picture);
    await this.senders.audio.replaceTrack(sound);
  }

  /** The service hung up. When that was the session's end, the kernel says so first. */
  hungUp(peer) {
    const tell = () => peer === this.peer && this.tell("state", { state: "closed" });
    if (peer === this.peer) this.ended = performance.now();
    setTimeout(tell, GOODBYE_MS);
  }

  mute(on) {
    this.muted = on;
    this.local?.getAudioTracks().forEach((track) => (track.enabled = !on));
  }

  hangUp() {
    clearTimeout(this.waiting);
    clearInterval(this.counting);
    removeEventListener("online", this.online);
    this.peer?.close();
    this.peer = null;
    this.on.busy(false);
    this.on.remote(null);
  }

  /** Close what no kernel answers for; one that was only frozen hears of it when it is back. */
  abandon() {
    if (this.peer !== null) this.tell("state", { state: "closed" });
    this.close();
  }

  /** End the connection and let go of camera and microphone. */
  close() {
    this.gen = this.ended = 0;
    this.closings += 1;
    this.hangUp();
    release(this.local);
    this.local = null;
    this.on.local(null);
  }
}

function prefer(transceiver) {
  const codecs = RTCRtpReceiver.getCapabilities("video")?.codecs ?? [];
  const ranks = ["video/H264", "video/VP8", "video/rtx", "video/red", "video/ulpfec"];
  const rank = ({ mimeType }) => ranks.indexOf(mimeType);
  const usable = codecs.filter((codec) => rank(codec) >= 0).sort((a, b) => rank(a) - rank(b));
  if (usable.length) transceiver.setCodecPreferences(usable);
}
