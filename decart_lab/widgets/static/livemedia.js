// The user's camera, microphone, screen or file in the page: opened when asked, explained when
// refused, and let go of completely.

const THINGS = { camera: "camera", microphone: "microphone", screen: "screen" };

/** Why a source could not be opened, and what to do. */
export function explain(error, kind, { secure = true, allowed = true } = {}) {
  const thing = THINGS[kind] ?? kind;
  if (!secure) return `Browsers give a ${thing} only to https or localhost. Open the lab there, or let the kernel send: source="camera:0".`;
  if (!allowed) return `The frame this notebook runs in may not use a ${thing}, as in VS Code. Open it in JupyterLab, or let the kernel send: source="camera:0".`;
  switch (error?.name) {
    case "NotAllowedError":
      return `The browser was not allowed to use the ${thing}. Allow it beside the address, then press Start again.`;
    case "NotFoundError":
    case "OverconstrainedError":
      return `There is no such ${thing}. Plug one in or choose another source.`;
    case "NotReadableError":
    case "AbortError":
      return `The ${thing} could not be read; another program may hold it. Close that, then press Start again.`;
    case "NotSupportedError":
      return "This browser cannot play that file. MP4 with H.264 and WebM are understood.";
    default:
      return `The ${thing} could not be opened: ${error?.message || error?.name || "no reason was given"}.`;
  }
}

/** What explain() must know about the page. */
export function circumstances(kind) {
  const policy = document.permissionsPolicy ?? document.featurePolicy;
  const name = kind === "screen" ? "display-capture" : kind;
  return { secure: isSecureContext, allowed: policy?.allowsFeature?.(name) ?? true };
}

/** "camera", "camera:ID", "microphone", "screen" or a file, as a stream. */
export const openMedia = async (choice, { size, fps, audio = false, file = null } = {}) => {
  const [kind, id] = split(choice);
  if (kind === "file") return openFile(file);
  const devices = navigator.mediaDevices;
  if (!devices) throw new Error(explain(null, kind, circumstances(kind)));
  const exact = id ? { deviceId: { exact: id } } : {};
  const picture = { ...(size ? { width: { ideal: size[0] }, height: { ideal: size[1] } } : {}), ...(fps ? { frameRate: { ideal: fps } } : {}) };
  try {
    if (kind === "screen") return await devices.getDisplayMedia({ video: picture, audio });
    if (kind === "microphone") return await devices.getUserMedia({ audio: { ...exact } });
    return await devices.getUserMedia({ video: { ...exact, ...picture }, audio });
  } catch (error) {
    throw new Error(explain(error, kind, circumstances(kind)));
  }
};

async function openFile(file) {
  if (file === null) throw new Error("Choose a file first.");
  const video = document.createElement("video");
  const url = URL.createObjectURL(file);
  Object.assign(video, { src: url, loop: true, muted: true, playsInline: true });
  try {
    await video.play();
  } catch (error) {
    URL.revokeObjectURL(url);
    throw new Error(explain(error, "file"));
  }
  const stream = video.captureStream();
  stream.release = () => {
    video.pause();
    video.removeAttribute("src");
    URL.revokeObjectURL(url);
  };
  return stream;
}

export function split(choice) {
  const colon = choice.indexOf(":");
  return colon < 0 ? [choice, ""] : [choice.slice(0, colon), choice.slice(colon + 1)];
}

/** Stop every track of a stream, so that no lamp stays on. */
export function release(stream) {
  stream?.getTracks().forEach((track) => track.stop());
  stream?.release?.();
}

/** Sources one can choose: [value, words]; names of devices are known once one was allowed. */
export const listSources = async () => {
  const found = (await navigator.mediaDevices?.enumerateDevices?.()) ?? [];
  const named = ({ kind, deviceId, label }, n) => {
    const thing = kind === "videoinput" ? "camera" : "microphone";
    return [deviceId ? `${thing}:${deviceId}` : thing, label || `${thing} ${n + 1}`];
  };
  const of = (kind) => found.filter((device) => device.kind === kind).map(named);
  const [cameras, microphones] = [of("videoinput"), of("audioinput")];
  return [...(cameras.length ? cameras : [["camera", "camera"]]), ...microphones, ["screen", "screen or window"], ["file", "file"]];
};
