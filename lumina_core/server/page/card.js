// One job on the page: how far it is, what it made, and what can be done next.

import { cancel, followed, isOver } from "./api.js";
import { byId, icon, make } from "./make.js";
import { asFile, forget, shown } from "./media.js";

const NEAREST = /the nearest that it knows: (['"])(.*?)\1$/s;
const STATES = {
  queued: "Waiting in line", in_progress: "Making", completed: "Done", failed: "Failed", cancelled: "Cancelled",
};
/** What can be begun with a result: by modality, the condition and what the button says. */
const NEXT = {
  image: [["mask", "Change a part"], ["image", "Extend"]],
  video: [["frames", "Continue"]],
  audio: [["sound", "Continue"]],
  multiview: [["view", "More views of it"]],
};

function noteOf(note, acts) {
  const text = note.replace(/^note: /, "");
  const found = NEAREST.exec(text)?.[2].replace(/\\(['"\\])/g, "$1");
  const button = found === undefined ? null
    : make("button", { type: "button", class: "quiet", onclick: () => acts.prompt(found) }, "Use that prompt");
  return make("li", {}, make("span", {}, text), button);
}

async function save(job, file) {
  const held = await asFile(job, file);
  const link = make("a", { href: URL.createObjectURL(held), download: held.name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

/** A card of a job. `entry` is what the history keeps: {id, modality, model, prompt, settings, given}. */
export function cardOf(entry, acts) {
  const bar = make("progress", { max: 100, value: 0, "aria-label": "Progress" });
  const state = make("span", { class: "state" }, STATES.queued);
  const stop = make("button", { type: "button", class: "quiet" }, "Cancel");
  const preview = make("img", { class: "preview enlarged", alt: "Preview", hidden: true });
  const media = make("div", { class: "media" });
  const notes = make("ul", { class: "notes", "aria-label": "Notes" });
  const problem = make("p", { class: "problem", role: "alert", hidden: true });
  const actions = make("div", { class: "row actions" });
  const running = make("div", { class: "running" }, state, bar, stop);
  const set = Object.entries(entry.settings).map(([key, value]) => `${key.replace(/^modality\./, "")} ${JSON.stringify(value).replaceAll('"', "")}`);
  const details = make("small", { class: "muted" }, [entry.model, ...set].join(" · "));
  const remove = make("button", { type: "button", class: "quiet remove", title: "Take it off this page", "aria-label": "Take it off this page" }, "×");
  const card = make("article", { class: "card", tabIndex: -1, "aria-label": entry.prompt },
    make("div", { class: "title" }, icon(entry.modality), make("h3", {}, entry.prompt), remove),
    details, running, preview, media, notes, problem, actions);
  card.dataset.job = entry.id;
  let job = { status: "queued" };

  const said = (text) => { problem.textContent = text; problem.hidden = false; };
  const tried = (act) => async () => { try { await act(); } catch (error) { said(error.message); } };
  const button = (text, act, sign = null) =>
    make("button", { type: "button", class: "quiet", onclick: tried(act) }, sign && icon(sign), text);

  const stopped = tried(async () => { if (!isOver(job)) await cancel(entry.id); });
  stop.addEventListener("click", stopped);
  remove.addEventListener("click", tried(async () => {
    await stopped();
    forget(entry);
    for (const each of card.querySelectorAll("[src^='blob:']")) URL.revokeObjectURL(each.src);
    card.remove();
    acts.remove(entry);
  }));

  function progressed(now) {
    if (now.status !== job.status) byId("said").textContent = `${STATES[now.status] ?? now.status}: ${entry.prompt}`;
    job = now;
    bar.value = job.progress ?? 0;
    state.textContent = job.status === "in_progress" ? `${STATES.in_progress} ${Math.round(job.progress)} %` : STATES[job.status] ?? job.status;
    if (/^data:image\/png[;,]/.test(job.preview ?? "")) preview.src = job.preview;
    preview.hidden = !preview.src;
  }
  function again() {
    const seed = Number(job.files?.at(-1)?.seed ?? entry.settings.seed ?? 0) + 1;
    return acts.again({ ...entry, settings: { ...entry.settings, seed } });
  }
  function offered() {
    actions.append(button("Again with seed + 1", again, "again"), button("Use these settings", () => acts.fill(entry)));
    if (job.status !== "completed") return;
    for (const [key, text] of Object.hasOwn(NEXT, job.modality) ? NEXT[job.modality] : []) {
      if (acts.takes(job.modality, key)) {
        actions.append(button(text, async () => acts.begin(job, key, await asFile(job, job.files[0], key === "view"), media)));
      }
    }
  }
  async function finished() {
    preview.hidden = bar.hidden = stop.hidden = true;
    running.hidden = job.status !== "cancelled";
    notes.replaceChildren(...(job.notes ?? []).map((note) => noteOf(note, acts)));
    if (job.status === "failed") said(job.error?.message ?? "It failed.");
    for (const file of job.status === "completed" ? job.files : []) {
      const name = job.files.length > 1 ? `Save, seed ${file.seed}` : "Save";
      const { seen, more = [] } = await shown(job, file, said);
      media.append(make("figure", {}, seen, make("div", { class: "row" }, ...more, button(name, () => save(job, file), "save"))));
    }
    offered();
  }
  async function follow() {
    try {
      for await (const now of followed(entry.id)) progressed(now);
      await finished();
    } catch (error) {
      running.hidden = preview.hidden = true;
      said(error.status === 404 ? "The server does not keep this any more." : error.message);
      if (!actions.children.length) offered();
    }
  }
  follow();
  return { card, stop: stopped, isRunning: () => card.isConnected && !isOver(job) && !running.hidden };
}
