// The official JavaScript SDK, unmodified, against the emulator; prints what it saw as JSON.
// Usage: node node_sdk.mjs BASE_URL PICTURE CLIP
import { readFileSync } from "node:fs";
import { createDecartClient, models } from "@decartai/sdk";

const [baseUrl, picture, clip] = process.argv.slice(2);
const blob = (path, type) => new Blob([readFileSync(path)], { type });
const client = createDecartClient({ apiKey: "any", baseUrl, telemetry: false });
const seen = {};
const attempt = async (promise) => {
  try {
    return { value: await promise };
  } catch (error) {
    return { code: error.code, status: error.data?.status, message: error.message };
  }
};
const bytes = async (data) => new Uint8Array(await data.arrayBuffer());

const image = await client.process({
  model: models.image("lucy-image-2"),
  prompt: "an ink drawing",
  data: blob(picture, "image/png"),
  enhance_prompt: false,
});
seen.image = { type: image.type, head: Array.from((await bytes(image)).slice(0, 4)) };

const statuses = [];
const done = await client.queue.submitAndPoll({
  model: models.video("lucy-2.1"),
  prompt: "snow",
  data: blob(clip, "video/mp4"),
  seed: 7,
  onStatusChange: (job) => statuses.push(job.status),
});
seen.queue = { status: done.status, statuses, size: done.data.size, type: done.data.type };

const job = await client.queue.submit({
  model: models.video("lucy-restyle-2"),
  data: blob(clip, "application/octet-stream"),
  reference_image: blob(picture, "image/png"),
});
seen.submitted = await client.queue.status(job.job_id);

const blocked = await client.queue.submitAndPoll({
  model: models.video("lucy-2.1"),
  prompt: "[[blocked]]",
  data: blob(clip, "video/mp4"),
});
seen.blocked = { status: blocked.status, error: blocked.error };

seen.token = await client.tokens.create({
  expiresIn: 120,
  allowedModels: ["lucy-2.1"],
  allowedOrigins: ["https://example.com"],
  constraints: { realtime: { maxSessionDuration: 60 } },
});
const child = createDecartClient({ apiKey: seen.token.apiKey, baseUrl, telemetry: false });
seen.minted = await attempt(child.tokens.create());

const file = await client.files.upload(blob(picture, "image/png"), { ttlSeconds: 60 });
seen.file = { uploaded: file, found: await client.files.get(file.id) };
await client.files.delete(file.id);
seen.file.gone = await attempt(client.files.get(file.id));

const stranger = createDecartClient({ apiKey: "invalid-key", baseUrl, telemetry: false });
seen.refused = await attempt(
  stranger.queue.submit({ model: models.video("lucy-2.1"), prompt: "x", data: blob(clip, "") }),
);
console.log(JSON.stringify(seen));
