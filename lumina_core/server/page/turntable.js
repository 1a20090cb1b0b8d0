// The views of an object as one that turns: drag, or the arrow keys.

import { make } from "./make.js";

const PACE = 260; // milliseconds of a view while it turns by itself

/** Cut a grid of views apart. Its last row may have too many cells. */
function cells(grid, settings) {
  const width = settings.width || grid.width;
  const height = settings.height || grid.height;
  const columns = Math.max(1, Math.round(grid.width / width));
  const rows = Math.max(1, Math.round(grid.height / height));
  const count = Math.min(settings.views || columns * rows, columns * rows);
  return Array.from({ length: count }, (_, index) => ({
    x: (index % columns) * width, y: Math.floor(index / columns) * height, width, height,
  }));
}

/** A canvas that turns through the views of a grid; `settings` has height, width and views. */
export async function turntable(blob, settings, label) {
  const grid = await createImageBitmap(blob);
  const views = cells(grid, settings);
  const { width, height } = views[0];
  const canvas = make("canvas", { tabIndex: 0, role: "slider", class: "turntable", width, height,
    "aria-label": `${label}. Arrow keys turn it`, "aria-valuemin": 1, "aria-valuemax": views.length });
  const context = canvas.getContext("2d");
  let at = 0;
  let from = null;
  let isFree = !matchMedia("(prefers-reduced-motion: reduce)").matches;
  function show(index) {
    at = ((index % views.length) + views.length) % views.length;
    context.drawImage(grid, views[at].x, views[at].y, width, height, 0, 0, width, height);
  }
  function turned(index) {
    isFree = false;
    show(index);
    canvas.setAttribute("aria-valuenow", at + 1); // not while it turns by itself: readers would speak
  }
  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    from = { x: event.clientX, at };
    isFree = false;
  });
  canvas.addEventListener("pointermove", (event) => {
    const step = canvas.clientWidth / views.length;
    if (from) turned(from.at + Math.round((event.clientX - from.x) / step));
  });
  for (const name of ["pointerup", "pointercancel"]) canvas.addEventListener(name, () => { from = null; });
  canvas.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!step) return;
    event.preventDefault();
    turned(at + step);
  });
  const timer = setInterval(() => {
    if (!isFree) clearInterval(timer);
    else if (canvas.isConnected && !document.hidden) show(at + 1);
  }, PACE);
  turned(0);
  isFree = !matchMedia("(prefers-reduced-motion: reduce)").matches;
  return canvas;
}

/** The first view of a grid as a picture of its own, to be given for other views. */
export async function firstView(blob, settings) {
  const grid = await createImageBitmap(blob);
  const { x, y, width, height } = cells(grid, settings)[0];
  const canvas = new OffscreenCanvas(width, height);
  canvas.getContext("2d").drawImage(grid, x, y, width, height, 0, 0, width, height);
  return canvas.convertToBlob();
}
