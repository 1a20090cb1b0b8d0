// What was made, as something to look at or to listen to.

import { blobOf } from "./api.js";
import { make } from "./make.js";
import { meshViewer } from "./mesh.js";
import { firstView, turntable } from "./turntable.js";

const GLB = "model/gltf-binary";
const SMALL = 160; // pixels; a smaller picture is enlarged without a blur
const SUFFIXES = {
  "image/png": ".png", "image/jpeg": ".jpg", "image/webp": ".webp", "image/gif": ".gif",
  "video/mp4": ".mp4", "audio/wav": ".wav", "audio/x-wav": ".wav", "audio/flac": ".flac", "audio/x-flac": ".flac",
  "audio/ogg": ".ogg", [GLB]: ".glb",
};

/** What a file is called when it is saved. */
export function nameOf(job, file) {
  const type = file.content_type.split(";")[0];
  const asked = typeof job.settings?.format === "string" ? `.${job.settings.format.replace(/^\./, "")}` : "";
  const suffix = SUFFIXES[type] ?? (/^\.\w{1,8}$/.test(asked) ? asked : "");
  return `${job.modality}-${file.seed ?? file.index}${suffix}`;
}

/** Height, width and number of views, as far as a job says. */
function viewsOf(job) {
  const of = (name) => job.settings?.[`modality.${name}`] ?? job.settings?.modality?.[name] ?? job.settings?.[name];
  return { height: of("height"), width: of("width"), views: of("views") ?? of("azimuths")?.length };
}

const blobs = new Map(); // by address; of this tab, as long as it is not loaded anew

async function fetched(url) {
  if (!blobs.has(url)) blobs.set(url, await blobOf(url));
  return blobs.get(url);
}

export function forget(job) {
  for (const url of [...blobs.keys()]) if (url.startsWith(`/v1/media/jobs/${job.id}/`)) blobs.delete(url);
}

/** A picture; resolves once it can be seen. */
async function picture(blob, alt) {
  const image = make("img", { alt, src: URL.createObjectURL(blob) });
  await image.decode();
  if (image.naturalWidth <= SMALL) image.classList.add("enlarged");
  return image;
}

function clip(blob, label) {
  const video = make("video", { controls: true, loop: true, muted: true, autoplay: true, playsInline: true,
    "aria-label": label, src: URL.createObjectURL(blob) });
  video.addEventListener("loadedmetadata", () => video.videoWidth <= SMALL && video.classList.add("enlarged"));
  return video;
}

/** A player below the spectrogram. */
async function sound(blob, url, label) {
  const seen = await picture(await fetched(`${url}?as=png`), `Spectrogram: ${label}`);
  seen.classList.add("spectrogram");
  return make("div", { class: "sound" }, seen, make("audio", { controls: true, "aria-label": label, src: URL.createObjectURL(blob) }));
}

async function views(job, file, type, said) {
  const grid = await fetched(type === "image/png" ? file.url : `${file.url}?as=png`);
  const turning = await turntable(grid, viewsOf(job), job.prompt);
  const place = make("div", {}, turning);
  const button = make("button", { type: "button", class: "quiet", "aria-pressed": "false" }, "Show in 3-D");
  let mesh = null;
  function switched(is3d) {
    turning.hidden = is3d;
    if (mesh) mesh.hidden = !is3d;
    button.setAttribute("aria-pressed", String(is3d));
    button.textContent = is3d ? "Show the views" : "Show in 3-D";
  }
  function failed(text) {
    mesh.remove();
    mesh = null;
    switched(false);
    said(text);
  }
  button.addEventListener("click", async () => {
    button.disabled = true;
    try {
      if (!mesh) {
        const data = await fetched(type === GLB ? file.url : `${file.url}?as=glb`);
        place.append(mesh = meshViewer(data, job.prompt, failed));
      }
      switched(button.getAttribute("aria-pressed") !== "true");
    } catch (error) {
      said(error.message);
    } finally {
      button.disabled = false;
    }
  });
  return { seen: place, more: [button] };
}

/** One file of a job as an element, and buttons beside it. `said` takes what went wrong later. */
export async function shown(job, file, said) {
  const blob = await fetched(file.url);
  const type = file.content_type.split(";")[0];
  if (job.modality === "multiview") return views(job, file, type, said);
  return { seen: await seenAs(type, blob, file, job.prompt, said) };
}

async function seenAs(type, blob, file, prompt, said) {
  if (type.startsWith("video/")) return clip(blob, prompt);
  if (type.startsWith("audio/")) return sound(blob, file.url, prompt);
  if (type.startsWith("image/")) return picture(blob, prompt);
  if (type === GLB) return meshViewer(blob, prompt, said);
  return picture(await fetched(`${file.url}?as=png`), prompt);
}

/** A file of a job to save, or to begin something else with; of views, the first one. */
export async function asFile(job, file, isFirstView = false) {
  const blob = await fetched(file.url);
  if (!isFirstView) return new File([blob], nameOf(job, file), { type: blob.type });
  const grid = blob.type.startsWith("image/png") ? blob : await fetched(`${file.url}?as=png`);
  return new File([await firstView(grid, viewsOf(job))], "view.png", { type: "image/png" });
}
