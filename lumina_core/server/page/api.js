// Calls of the server. The token is sent as a header, so events and media are fetched, too.

const TOKEN = "lumina-token";
const PAUSE_MS = 400; // between two looks at a job
const MAX_LOST = 5; // connections to the events of a job, one after the other

export class Refused extends Error {
  constructor(message, status) {
    super(message);
    this.status = status;
  }
}

async function askToken(said) {
  const dialog = document.getElementById("token-dialog");
  const field = document.getElementById("token");
  field.value = "";
  document.getElementById("token-title").textContent = said;
  if (!dialog.open) dialog.showModal();
  await new Promise((resolve) => dialog.addEventListener("close", resolve, { once: true }));
  if (field.value) sessionStorage.setItem(TOKEN, field.value);
  return field.value !== "";
}

let asking = null; // several calls may be refused at once; one question serves all

/** An answer of the server; a refusal throws the server's own words. */
export async function call(path, options = {}) {
  for (;;) {
    const token = sessionStorage.getItem(TOKEN);
    const headers = { ...options.headers, ...(token && { Authorization: `Bearer ${token}` }) };
    let answer;
    try {
      answer = await fetch(path, { ...options, headers });
    } catch (error) {
      if (error.name === "AbortError") throw error;
      throw new Refused("The server does not answer. Is it still running?", 0);
    }
    if (answer.ok) return answer;
    if (answer.status === 401) {
      if (token !== sessionStorage.getItem(TOKEN)) continue; // given meanwhile
      asking ??= askToken(token ? "That token was refused" : "This server asks for a token")
        .finally(() => { asking = null; });
      if (await asking) continue;
    }
    const body = await answer.json().catch(() => ({}));
    throw new Refused(body.error?.message ?? `The server says ${answer.status}`, answer.status);
  }
}

export const json = async (path, options) => (await call(path, options)).json();

/** A request for a new job: JSON, or a form where files go along. */
export function submit(modality, body, files) {
  const names = Object.keys(files);
  if (!names.length) {
    const headers = { "Content-Type": "application/json" };
    return json(`/v1/media/${modality}`, { method: "POST", headers, body: JSON.stringify(body) });
  }
  const form = new FormData();
  for (const [key, value] of Object.entries(body)) {
    form.append(key, typeof value === "string" ? value : JSON.stringify(value));
  }
  for (const name of names) form.append(name, files[name], files[name].name);
  return json(`/v1/media/${modality}`, { method: "POST", body: form });
}

async function* stream(path) {
  const { body } = await call(path);
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const parts = (rest + value).split(/\r?\n\r?\n/);
    rest = parts.pop();
    for (const part of parts) {
      const data = part.split(/\r?\n/).filter((line) => line.startsWith("data:"));
      if (data.length) yield JSON.parse(data.map((line) => line.slice(5)).join("\n"));
    }
  }
}

export const isOver = (job) => !["queued", "in_progress"].includes(job.status);
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

let isStreaming = false;

/** Some states of a job: as a stream where none is open, for a browser has six connections. */
async function* states(path) {
  if (isStreaming) {
    yield await json(path);
    return;
  }
  isStreaming = true;
  try {
    yield* stream(`${path}/events`);
  } finally {
    isStreaming = false;
  }
}

/** Each state of a job until it is over; a lost stream is taken up again. */
export async function* followed(id) {
  for (let lost = 0; ; lost += 1) {
    try {
      for await (const job of states(`/v1/media/jobs/${id}`)) {
        lost = 0;
        yield job;
        if (isOver(job)) return;
      }
    } catch (error) {
      if (error instanceof Refused && error.status) throw error;
      if (lost >= MAX_LOST) throw new Refused("The connection to the server was lost.", 0);
    }
    await pause(PAUSE_MS * (lost + 1));
  }
}

export const cancel = (id) => call(`/v1/media/jobs/${id}`, { method: "DELETE" });
export const blobOf = async (path) => (await call(path)).blob();
