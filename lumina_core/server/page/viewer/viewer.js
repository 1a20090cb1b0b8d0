// Shows the mesh that the page around this frame sends. The frame has an origin of its own, so that
// the library sees this mesh and nothing else of the page, its token least of all.

const STILL = "(prefers-reduced-motion: reduce)";

function show({ mesh, label }) {
  const viewer = document.createElement("model-viewer");
  // the colours are those of the pictures, which are shaded already
  const set = { "camera-controls": "", "touch-action": "pan-y", "interaction-prompt": "none",
    "tone-mapping": "none", "shadow-intensity": "0", alt: label };
  if (!matchMedia(STILL).matches) set["auto-rotate"] = "";
  for (const [name, value] of Object.entries(set)) viewer.setAttribute(name, value);
  const bar = document.createElement("div"); // in place of its own, for nothing is loaded from afar
  bar.slot = "progress-bar";
  viewer.append(bar);
  viewer.addEventListener("load", () => parent.postMessage("shown", "*"));
  viewer.addEventListener("error", () => parent.postMessage("failed", "*"));
  viewer.src = URL.createObjectURL(new Blob([mesh], { type: "model/gltf-binary" }));
  document.body.replaceChildren(viewer);
}

addEventListener("message", (event) => {
  if (event.source === parent) show(event.data);
});
