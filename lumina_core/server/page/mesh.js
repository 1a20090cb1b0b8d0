// A viewer for the meshes that we write: binary glTF 2.0 with one primitive, a colour for each
// vertex and no light. Drag or the arrow keys turn it, the wheel or + and - come nearer.

import { make } from "./make.js";

const KINDS = { 5120: Int8Array, 5121: Uint8Array, 5122: Int16Array, 5123: Uint16Array, 5125: Uint32Array, 5126: Float32Array };
const SIZES = { SCALAR: 1, VEC2: 2, VEC3: 3, VEC4: 4 };
const GLTF = 0x46546c67; // the first four bytes, "glTF"
const HEADER = 20; // bytes before the JSON

// Colours are linear light; the screen wants sRGB (IEC 61966-2-1).
const VERTEX = `attribute vec3 place; attribute vec3 colour; uniform mat4 turn; varying vec3 shade;
void main() { shade = mix(12.92 * colour, 1.055 * pow(colour, vec3(1.0 / 2.4)) - 0.055, step(0.0031308, colour));
gl_Position = turn * vec4(place, 1.0); }`;
const FRAGMENT = "precision mediump float; varying vec3 shade; void main() { gl_FragColor = vec4(shade, 1.0); }";

/** Positions, colours and triangles of a GLB. */
function parsed(buffer) {
  const data = new DataView(buffer);
  if (data.getUint32(0, true) !== GLTF) throw new Error("This is no GLB");
  const length = data.getUint32(12, true);
  const tree = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, HEADER, length)));
  const start = HEADER + length + 8;
  function values(index) {
    const accessor = tree.accessors[index];
    const view = tree.bufferViews[accessor.bufferView];
    const kind = KINDS[accessor.componentType];
    const size = SIZES[accessor.type];
    const offset = start + (view.byteOffset ?? 0) + (accessor.byteOffset ?? 0);
    const stride = view.byteStride || size * kind.BYTES_PER_ELEMENT;
    const found = new kind(size * accessor.count);
    for (let each = 0; each < accessor.count; each += 1) {
      found.set(new kind(buffer.slice(offset + each * stride, offset + each * stride + size * kind.BYTES_PER_ELEMENT)), each * size);
    }
    return { found, size, type: accessor.componentType };
  }
  const { attributes, indices } = tree.meshes[0].primitives[0];
  return { place: values(attributes.POSITION), colour: values(attributes.COLOR_0), faces: values(indices) };
}

/** The turned, centred and scaled mesh seen from afar, column by column. */
function matrix({ centre, radius }, { yaw, pitch, zoom }) {
  const [cy, sy, cp, sp] = [Math.cos(yaw), Math.sin(yaw), Math.cos(pitch), Math.sin(pitch)];
  const turn = [[cy, 0, sy], [sp * sy, cp, -sp * cy], [-cp * sy, sp, cp * cy]];
  const [far, scale] = [3.2, (0.9 * zoom) / radius];
  const [x, y, z] = turn.map((row) => [...row.map((value) => value * scale), -scale * row.reduce((sum, value, axis) => sum + value * centre[axis], 0)]);
  // what is nearer is larger; half the depth, so that nothing near is cut off
  return new Float32Array([0, 1, 2, 3].flatMap((column) => {
    const one = column === 3 ? 1 : 0;
    return [far * x[column], far * y[column], -z[column] / 2, far * one - z[column]];
  }));
}

function program(gl) {
  const made = gl.createProgram();
  for (const [kind, text] of [[gl.VERTEX_SHADER, VERTEX], [gl.FRAGMENT_SHADER, FRAGMENT]]) {
    const shader = gl.createShader(kind);
    gl.shaderSource(shader, text);
    gl.compileShader(shader);
    gl.attachShader(made, shader);
  }
  gl.linkProgram(made);
  gl.useProgram(made);
  return made;
}

function filled(gl, target, values) {
  gl.bindBuffer(target, gl.createBuffer());
  gl.bufferData(target, values, gl.STATIC_DRAW);
}

/** A canvas on which the mesh of a GLB turns. Throws where the browser has no WebGL. */
export async function meshViewer(blob, label) {
  const { place, colour, faces } = parsed(await blob.arrayBuffer());
  const canvas = make("canvas", { width: 640, height: 640, tabIndex: 0, class: "mesh", role: "img",
    "aria-label": `${label} in 3-D. Arrow keys turn it, plus and minus change its size` });
  const gl = canvas.getContext("webgl", { alpha: true, antialias: true, preserveDrawingBuffer: true });
  if (!gl) throw new Error("This browser cannot draw in 3-D (no WebGL)");
  const lows = [0, 1, 2].map((axis) => place.found.reduce((low, value, at) => (at % 3 === axis ? Math.min(low, value) : low), Infinity));
  const highs = [0, 1, 2].map((axis) => place.found.reduce((high, value, at) => (at % 3 === axis ? Math.max(high, value) : high), -Infinity));
  const box = { centre: lows.map((low, axis) => (low + highs[axis]) / 2), radius: Math.hypot(...lows.map((low, axis) => highs[axis] - low)) / 2 || 1 };
  const shaders = program(gl);
  for (const [name, { found, size, type }] of Object.entries({ place, colour })) {
    filled(gl, gl.ARRAY_BUFFER, found);
    const slot = gl.getAttribLocation(shaders, name);
    gl.enableVertexAttribArray(slot);
    gl.vertexAttribPointer(slot, size, type, type !== gl.FLOAT, 0, 0);
  }
  gl.getExtension("OES_element_index_uint");
  filled(gl, gl.ELEMENT_ARRAY_BUFFER, faces.found);
  gl.enable(gl.DEPTH_TEST);
  const eye = { yaw: 0.5, pitch: 0.35, zoom: 1 };
  const held = new Map();
  let isFree = !matchMedia("(prefers-reduced-motion: reduce)").matches;
  function draw() {
    gl.clear(gl.COLOR_BUFFER_BIT | gl.DEPTH_BUFFER_BIT);
    gl.uniformMatrix4fv(gl.getUniformLocation(shaders, "turn"), false, matrix(box, eye));
    gl.drawElements(gl.TRIANGLES, faces.found.length, faces.type, 0);
  }
  function turned(yaw, pitch, zoom = 1) {
    isFree = false;
    eye.yaw += yaw;
    eye.pitch = Math.max(-1.5, Math.min(1.5, eye.pitch + pitch));
    eye.zoom = Math.max(0.4, Math.min(2, eye.zoom * zoom));
    draw();
  }
  function spin() {
    if (!isFree) return;
    if (canvas.isConnected) { eye.yaw += 0.01; draw(); }
    requestAnimationFrame(spin);
  }
  canvas.addEventListener("pointerdown", (event) => { canvas.setPointerCapture(event.pointerId); held.set(event.pointerId, event); isFree = false; });
  canvas.addEventListener("pointermove", (event) => {
    const before = held.get(event.pointerId);
    if (before) turned((event.clientX - before.clientX) / 100, (event.clientY - before.clientY) / 100);
    if (before) held.set(event.pointerId, event);
  });
  for (const name of ["pointerup", "pointercancel"]) canvas.addEventListener(name, (event) => held.delete(event.pointerId));
  canvas.addEventListener("wheel", (event) => { event.preventDefault(); turned(0, 0, event.deltaY < 0 ? 1.1 : 1 / 1.1); }, { passive: false });
  canvas.addEventListener("keydown", (event) => {
    const act = { ArrowLeft: [-0.15, 0], ArrowRight: [0.15, 0], ArrowUp: [0, -0.15], ArrowDown: [0, 0.15], "+": [0, 0, 1.1], "=": [0, 0, 1.1], "-": [0, 0, 1 / 1.1] }[event.key];
    if (act) { event.preventDefault(); turned(...act); }
  });
  draw();
  spin();
  return canvas;
}
