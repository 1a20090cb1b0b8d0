// The page: a form of what to make, and below it all that this tab has made.

import { json, submit } from "./api.js";
import { cardOf } from "./card.js";
import { chosen, chosenFiles, fill, fillAll, giveFile, reset, showFields } from "./fields.js";
import { byId, icon, make, words } from "./make.js";
import { paintMask } from "./painter.js";

const HISTORY = "lumina-history";
const MAX_KEPT = 200; // jobs; a tab stores 5 MB, and a prompt may have 4000 characters
// of the modalities that we know, in the order in which they are shown
const NOUNS = { image: "Picture", video: "Clip", multiview: "Views", audio: "Sound" };
const ROUNDED = 16; // pixels, to which the size of an extended picture is rounded

let catalogue = [];
let about = null; // the chosen modality
const cards = new Map();

const said = (text) => { byId("said").textContent = text; };
const stored = () => JSON.parse(sessionStorage.getItem(HISTORY) ?? "[]");
const store = (entries) => sessionStorage.setItem(HISTORY, JSON.stringify(entries.slice(0, MAX_KEPT)));
const noun = (name) => (Object.hasOwn(NOUNS, name) ? NOUNS[name] : words(name));

function choose(name) {
  about = catalogue.find(({ modality }) => modality === name);
  byId(`make-${name}`).checked = true;
  byId("model").replaceChildren(...about.models.map((model) => new Option(model, model)));
  byId("model-field").hidden = about.models.length < 2;
  byId("examples").replaceChildren(...about.examples.map((text) =>
    make("button", { type: "button", class: "chip", onclick: () => prompted(text) }, text)));
  showFields(about, paint);
}

function prompted(text) {
  byId("prompt").value = text;
  byId("prompt").focus();
}

async function paint() {
  const picture = chosenFiles().image;
  if (!picture) return said("Choose the picture first, then paint on it.");
  let mask;
  try {
    mask = await paintMask(picture);
  } catch {
    return said("This browser cannot show that picture.");
  }
  if (!mask) return said("No mask was painted.");
  giveFile("mask", mask);
  return said("The mask is set: what you painted is made anew.");
}

const given = new Map(); // by job, the files that it began with; gone once the page is loaded anew

/** Ask for a job and show it on top. */
async function begin(modality, body, files) {
  const job = await submit(modality, body, files);
  const { prompt, model, ...settings } = body;
  const entry = { id: job.id, modality, model, prompt, settings, given: Object.keys(files) };
  given.set(entry.id, files);
  store([entry, ...stored()]);
  show(entry, true);
  document.querySelector("#results article").scrollIntoView({ block: "nearest" });
}

function again(entry) {
  const files = given.get(entry.id) ?? {};
  if (Object.keys(files).length < entry.given.length) {
    throw new Error(`The page was loaded anew since and has no more what this began with (${entry.given.join(", ")}). Press "Use these settings" and choose it again.`);
  }
  return begin(entry.modality, { ...entry.settings, prompt: entry.prompt, model: entry.model }, files);
}

async function asked(event) {
  event.preventDefault();
  byId("go").disabled = true;
  said("Asking the server");
  try {
    await begin(about.modality, { ...chosen(), prompt: byId("prompt").value, model: byId("model").value }, chosenFiles());
    said("");
  } catch (error) {
    said(error.message);
  } finally {
    byId("go").disabled = false;
  }
}

function fillFrom({ modality, model, prompt, settings, seed, conditions = [] }) {
  if (!catalogue.some((each) => each.modality === modality)) return said(`This server makes no ${modality}.`);
  choose(modality);
  if (model && about.models.includes(model)) byId("model").value = model;
  byId("prompt").value = prompt ?? "";
  fillAll(settings);
  if (seed !== undefined && seed !== null) fill("seed", seed);
  byId("prompt").scrollIntoView({ block: "center" });
  if (!conditions.length) return said("The settings are back.");
  byId("given").open = true;
  return said(`The settings are back. It began with a file: choose it again (${conditions.join(", ")}).`);
}

/** All of a job back in the form, with the files that it began with. */
function fillAgain(entry) {
  fillFrom(entry);
  for (const [key, file] of Object.entries(given.get(entry.id) ?? {})) giveFile(key, file);
}

/** Begin something new with a result: fill the form, and open the painter for a mask. */
async function beginWith(job, key, file, media) {
  const entry = stored().find(({ id }) => id === job.id);
  fillFrom({ ...job, settings: entry?.settings ?? {} });
  giveFile(key === "mask" ? "image" : key, file);
  const image = media.querySelector("img");
  const player = media.querySelector("video, audio");
  if (key === "mask" && image) {
    fill("modality.width", image.naturalWidth);
    fill("modality.height", image.naturalHeight);
    await paint();
  } else if (key === "image" && image) {
    const larger = (size) => Math.ceil((1.5 * size) / ROUNDED) * ROUNDED;
    fill("modality.width", larger(image.naturalWidth));
    fill("modality.height", larger(image.naturalHeight));
    said("The picture stands in the middle of a larger one. Choose its size, then press Make.");
  } else if (player) {
    fill("modality.frames", null);
    fill("modality.seconds", Number((2 * player.duration).toFixed(2)));
    said("What you have is the beginning. Choose the whole duration, then press Make.");
  } else {
    said("The view is given, the others are made. Press Make.");
  }
  byId("prompt").focus();
}

const acts = {
  again, fill: fillAgain, begin: beginWith, prompt: prompted,
  takes: (modality, key) => catalogue.find((each) => each.modality === modality)?.conditions.some((each) => each.key === key),
  remove(entry) {
    cards.delete(entry.id);
    given.delete(entry.id);
    store(stored().filter(({ id }) => id !== entry.id));
    byId("empty").hidden = cards.size > 0;
  },
};

function show(entry, isNew) {
  const made = cardOf(entry, acts);
  cards.set(entry.id, made);
  if (isNew) byId("results").prepend(made.card);
  else byId("results").append(made.card);
  byId("empty").hidden = true;
}

async function read(file) {
  const form = new FormData();
  form.append("file", file, file.name);
  said("Reading the file");
  try {
    fillFrom(await json("/v1/media/read", { method: "POST", body: form }));
  } catch (error) {
    said(error.message);
  }
}

function dropped() {
  const hasFiles = (event) => event.dataTransfer?.types.includes("Files") && event.target.type !== "file";
  const hint = byId("drop");
  document.addEventListener("dragover", (event) => { if (hasFiles(event)) { event.preventDefault(); hint.hidden = false; } });
  document.addEventListener("dragleave", (event) => { if (!event.relatedTarget) hint.hidden = true; });
  document.addEventListener("drop", (event) => {
    hint.hidden = true;
    if (!hasFiles(event)) return;
    event.preventDefault();
    if (event.dataTransfer.files.length) read(event.dataTransfer.files[0]);
  });
  byId("open").addEventListener("change", ({ target }) => {
    if (target.files.length) read(target.files[0]);
    target.value = "";
  });
}

function keys(event) {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && byId("ask").contains(event.target)) byId("ask").requestSubmit();
  if (event.key !== "Escape" || document.querySelector("dialog[open]")) return;
  [...cards.values()].findLast((each) => each.isRunning())?.stop(); // the newest
}

async function start() {
  dropped();
  document.addEventListener("keydown", keys);
  byId("ask").addEventListener("submit", asked);
  byId("clear").addEventListener("click", () => { reset(); said("All settings are those of the server again."); });
  try {
    const answer = await json("/v1/media");
    const order = Object.keys(NOUNS);
    const place = ({ modality }) => (order.includes(modality) ? order.indexOf(modality) : order.length);
    catalogue = (Array.isArray(answer) ? answer : answer.data).sort((a, b) => place(a) - place(b));
  } catch (error) {
    byId("go").disabled = true;
    return said(error.message);
  }
  byId("modalities").append(...catalogue.map(({ modality, summary }) => make("label", { title: summary ?? "" },
    make("input", { type: "radio", name: "modality", id: `make-${modality}`, value: modality, onchange: () => choose(modality) }),
    icon(modality), noun(modality))));
  const entries = stored();
  choose(entries.find(({ modality }) => catalogue.some((each) => each.modality === modality))?.modality
    ?? (catalogue.find(({ modality }) => modality === "image") ?? catalogue[0]).modality);
  for (const entry of entries) show(entry, false);
  return undefined;
}

start();
