// A mesh in 3-D, in a frame that has no part of this page.

import { make } from "./make.js";

const PATIENCE_MS = 20_000; // without WebGL the viewer may say nothing

/**
 * A frame in which the mesh of a GLB turns once the frame is in the page. `failed` is called where
 * the browser cannot show it.
 */
export function meshViewer(blob, label, failed) {
  const frame = make("iframe", { class: "mesh", title: `${label} in 3-D`, sandbox: "allow-scripts", src: "/page/viewer/index.html" });
  const over = new AbortController();
  let timer = 0;
  function ended(isShown) {
    clearTimeout(timer);
    over.abort();
    frame.dataset.shown = isShown;
    if (!isShown) failed("This browser cannot draw in 3-D (it needs WebGL).");
  }
  frame.addEventListener("load", async () => {
    // its origin is opaque, so that no other name leads to it
    frame.contentWindow.postMessage({ mesh: await blob.arrayBuffer(), label }, "*");
    timer = setTimeout(ended, PATIENCE_MS, false);
  });
  addEventListener("message", (event) => {
    if (event.source === frame.contentWindow) ended(event.data === "shown");
  }, { signal: over.signal });
  return frame;
}
