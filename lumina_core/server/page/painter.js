// Painting a mask over a picture: white is changed, black is kept.

import { byId } from "./make.js";

const LONGEST = 480; // on the screen

/** Ask for a mask of a picture. Resolves to a PNG of the picture's size, or to null. */
export async function paintMask(file) {
  const picture = await createImageBitmap(file);
  const { width, height } = picture;
  const scale = Math.min(LONGEST, window.innerWidth - 64) / Math.max(width, height);
  const shown = byId("mask");
  [shown.width, shown.height] = [Math.round(width * scale), Math.round(height * scale)];
  const mask = new OffscreenCanvas(shown.width, shown.height);
  const [view, paint] = [shown.getContext("2d"), mask.getContext("2d")];
  const cursor = { x: shown.width / 2, y: shown.height / 2, isShown: false };
  let before = null;
  let isEmpty = true;
  const radius = () => Number(byId("brush").value);

  function draw() {
    view.imageSmoothingEnabled = scale < 4;
    view.drawImage(picture, 0, 0, shown.width, shown.height);
    view.globalAlpha = 0.6;
    view.drawImage(mask, 0, 0);
    view.globalAlpha = 1;
    if (!cursor.isShown) return;
    for (const [colour, wide] of [["#000", 3], ["#fff", 1]]) {
      view.beginPath();
      view.arc(cursor.x, cursor.y, radius(), 0, 2 * Math.PI);
      [view.strokeStyle, view.lineWidth] = [colour, wide];
      view.stroke();
    }
  }
  function stroke(from, to) {
    isEmpty = false;
    paint.strokeStyle = "#fff";
    paint.lineCap = "round";
    paint.lineWidth = 2 * radius();
    paint.beginPath();
    paint.moveTo(from.x, from.y);
    paint.lineTo(to.x + 0.01, to.y); // a line of no length draws nothing
    paint.stroke();
  }
  function moved(event) {
    const box = shown.getBoundingClientRect();
    cursor.x = ((event.clientX - box.left) * shown.width) / box.width;
    cursor.y = ((event.clientY - box.top) * shown.height) / box.height;
    cursor.isShown = true;
    if (before) stroke(before, cursor);
    if (before) before = { ...cursor };
    draw();
  }
  function key(event) {
    const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (!step && event.key !== " ") return;
    event.preventDefault();
    cursor.isShown = true;
    if (step) {
      cursor.x = Math.max(0, Math.min(shown.width, cursor.x + 8 * step[0]));
      cursor.y = Math.max(0, Math.min(shown.height, cursor.y + 8 * step[1]));
    } else stroke(cursor, cursor);
    draw();
  }
  async function finished() {
    const whole = new OffscreenCanvas(width, height);
    const context = whole.getContext("2d");
    context.fillStyle = "#000";
    context.fillRect(0, 0, width, height);
    context.drawImage(mask, 0, 0, width, height);
    const pixels = context.getImageData(0, 0, width, height);
    for (let at = 0; at < pixels.data.length; at += 4) {
      pixels.data.fill(pixels.data[at] > 127 ? 255 : 0, at, at + 3);
    }
    context.putImageData(pixels, 0, 0);
    return new File([await whole.convertToBlob()], "mask.png", { type: "image/png" });
  }

  const dialog = byId("painter");
  const done = new AbortController();
  const on = (target, name, act) => target.addEventListener(name, act, { signal: done.signal });
  on(shown, "pointerdown", (event) => {
    shown.setPointerCapture(event.pointerId);
    before = cursor;
    moved({ clientX: event.clientX - 0.01, clientY: event.clientY });
    before = { ...cursor };
    moved(event);
  });
  on(shown, "pointermove", moved);
  on(shown, "pointerup", () => { before = null; });
  on(shown, "pointercancel", () => { before = null; });
  on(shown, "keydown", key);
  on(byId("brush"), "input", draw);
  on(byId("mask-clear"), "click", () => { paint.clearRect(0, 0, mask.width, mask.height); isEmpty = true; draw(); });
  on(byId("mask-done"), "click", () => dialog.close("done"));
  on(byId("mask-cancel"), "click", () => dialog.close(""));
  draw();
  dialog.returnValue = "";
  dialog.showModal();
  shown.focus();
  await new Promise((resolve) => on(dialog, "close", resolve));
  done.abort();
  return dialog.returnValue === "done" && !isEmpty ? finished() : null;
}
