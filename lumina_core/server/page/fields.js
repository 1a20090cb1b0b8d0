// The settings of a modality as fields. An empty field leaves the choice to the server.

import { byId, last, make, words } from "./make.js";

const COMMON = {
  "modality.width": "Width", "modality.height": "Height", "modality.seconds": "Duration",
  "modality.views": "Views", num_samples: "Samples", seed: "Seed",
  "solver.num_steps": "Steps", "guidance.scale": "Guidance",
};
const GIVEN = "condition.";

/** One input for a setting, by its type. */
function inputOf(setting, id) {
  const { type, choices, least, most } = setting;
  const described = { id, name: setting.key, "aria-describedby": `${id}-meaning` };
  const shown = setting.default === null ? "automatic" : JSON.stringify(setting.default).replaceAll('"', "");
  const options = choices?.length ? choices.filter((choice) => choice !== setting.default)
    : /^bool\b/.test(type) ? [true, false] : null;
  if (options) {
    return make("select", described, new Option(`${shown} (default)`, ""),
      ...options.map((choice) => new Option(String(choice), JSON.stringify(choice))));
  }
  if (/^(int|float)( \| null)?$/.test(type) && typeof setting.default !== "string") {
    const max = most === null ? "" : Math.min(most, Number.MAX_SAFE_INTEGER); // a larger seed would be another one
    const bounds = { min: least ?? "", max, step: type.startsWith("int") ? 1 : "any" };
    const inputMode = type.startsWith("int") ? "numeric" : "decimal";
    return make("input", { ...described, type: "number", ...bounds, inputMode, placeholder: shown });
  }
  return make("input", { ...described, type: "text", placeholder: shown });
}

function fieldOf(setting) {
  const id = `set-${setting.key}`;
  const name = COMMON[setting.key]
    ?? words(setting.key.replace(/^(modality|condition)\./, "").replaceAll(".", ": "));
  const unit = setting.unit && setting.unit !== name.toLowerCase() ? make("small", {}, ` ${setting.unit}`) : null;
  const input = inputOf(setting, id);
  const meaning = make("small", { id: `${id}-meaning`, class: "meaning" }, setting.meaning ?? "");
  return make("label", { for: id, title: setting.key }, make("span", {}, name, unit), input, meaning);
}

function conditionOf(condition, paint) {
  const id = `give-${condition.key}`;
  const input = make("input", {
    type: "file", id, name: condition.key, accept: condition.accepts.join(","),
    "aria-describedby": `${id}-meaning`,
  });
  const button = paint && make("button", { type: "button", class: "quiet", onclick: paint }, "Paint a mask");
  const meaning = make("small", { id: `${id}-meaning`, class: "meaning" }, condition.meaning ?? "");
  return make("div", { class: "field wide" },
    make("label", { for: id }, make("span", {}, words(condition.key))), input, button, meaning);
}

/** Lay out the fields of a modality; `paint` opens the painter of masks. */
export function showFields(about, paint) {
  const settings = about.settings.filter(({ key }) => key !== "prompt");
  const order = Object.keys(COMMON);
  const common = settings.filter(({ key }) => Object.hasOwn(COMMON, key))
    .sort((a, b) => order.indexOf(a.key) - order.indexOf(b.key));
  const given = settings.filter(({ key }) => key.startsWith(GIVEN));
  const rest = settings.filter((each) => !common.includes(each) && !given.includes(each));
  const format = { key: "format", type: "str", unit: null, default: about.formats[0],
    choices: about.formats, meaning: "kind of file" };
  const keys = about.conditions.map(({ key }) => key);
  byId("common").replaceChildren(...common.map(fieldOf));
  byId("rest").replaceChildren(...[format, ...rest].map(fieldOf));
  byId("conditions").replaceChildren(
    ...about.conditions.map((each) => conditionOf(each, each.key === "mask" && keys.includes("image") && paint)),
    ...given.map(fieldOf));
  byId("given").hidden = !about.conditions.length;
  byId("given").open = byId("more").open = false;
}

const inputs = () => [...byId("ask").querySelectorAll("input[id^=set-], select[id^=set-]")];

function valueOf(input) {
  if (input.type === "number") return Number(input.value);
  const isList = input.type === "text" && /^[\d\s.,+-]+$/.test(input.value) && input.value.includes(",");
  try {
    return JSON.parse(isList ? `[${input.value}]` : input.value);
  } catch {
    return input.value;
  }
}

/** What the user set, by key. */
export function chosen() {
  const set = inputs().filter((input) => input.value.trim() !== "");
  return Object.fromEntries(set.map((input) => [input.name, valueOf(input)]));
}

/** The files that the user gave, by the key of their condition. */
export function chosenFiles() {
  const given = [...byId("conditions").querySelectorAll("input[type=file]")];
  return Object.fromEntries(given.filter(({ files }) => files.length).map(({ name, files }) => [name, files[0]]));
}

/** Give a file for a condition, as if it were chosen by hand. */
export function giveFile(key, file) {
  const held = new DataTransfer();
  held.items.add(file);
  byId(`give-${key}`).files = held.files;
  byId("given").open = true;
}

function flat(settings, prefix = "") {
  return Object.entries(settings ?? {}).flatMap(([name, value]) =>
    value !== null && typeof value === "object" && !Array.isArray(value)
      ? flat(value, `${prefix}${name}.`) : [[prefix + name, value]]);
}

/** Set one field by its key or the last part of it. Returns whether there is such a field. */
export function fill(key, value) {
  const all = inputs();
  const input = all.find(({ name }) => name === key)
    ?? all.find(({ name }) => name === `modality.${key}`)
    ?? all.find(({ name }) => last(name) === key && !name.startsWith(GIVEN));
  if (!input) return false;
  input.value = value === null || value === undefined ? ""
    : input.tagName === "SELECT" || typeof value !== "string" ? JSON.stringify(value) : value;
  if (input.tagName === "SELECT" && input.selectedIndex < 0) input.value = "";
  if (byId("rest").contains(input) && input.value) byId("more").open = true;
  if (byId("conditions").contains(input) && input.value) byId("given").open = true;
  return true;
}

/** Empty all fields, then fill those of a request. */
export function fillAll(settings) {
  reset();
  for (const [key, value] of flat(settings)) fill(key, value);
}

export function reset() {
  for (const input of inputs()) input.value = "";
  for (const input of byId("conditions").querySelectorAll("input[type=file]")) input.value = "";
}
