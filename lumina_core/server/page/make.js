// Elements from data. Text from the server enters as text, never as HTML.

const SVG = "http://www.w3.org/2000/svg";

/** An element with properties and children; `class`, `for` and `aria-*` are attributes. */
export function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (/^(class|for|role|aria-.*)$/.test(name)) element.setAttribute(name, value);
    else element[name] = value;
  }
  element.append(...children.filter((child) => child !== null && child !== false && child !== undefined));
  return element;
}

const ICONS = {
  image: "M4 5h16v14H4zM4 16l5-5 4 4 3-3 4 4",
  video: "M3 6h12v12H3zM15 10l6-3v10l-6-3",
  audio: "M4 10v4M8 6v12M12 3v18M16 7v10M20 10v4",
  multiview: "M12 3l8 4.5v9L12 21l-8-4.5v-9zM12 12l8-4.5M12 12v9M12 12L4 7.5",
  other: "M12 3l2.5 6.5L21 12l-6.5 2.5L12 21l-2.5-6.5L3 12l6.5-2.5z",
  save: "M12 4v11M7 11l5 5 5-5M4 20h16",
  again: "M20 12a8 8 0 1 1-2.5-5.8M20 3v4h-4",
};

/** One line drawing; a name that we do not know gets a star. */
export function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("aria-hidden", "true");
  const path = document.createElementNS(SVG, "path");
  path.setAttribute("d", Object.hasOwn(ICONS, name) ? ICONS[name] : ICONS.other);
  svg.append(path);
  return svg;
}

export const last = (key) => key.split(".").at(-1);
export const words = (name) => name.replaceAll("_", " ").replace(/^./, (first) => first.toUpperCase());
export const byId = (id) => document.getElementById(id);
