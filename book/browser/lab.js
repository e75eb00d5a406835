// The laboratory in the page: block means, bicubic interpolation, constraint and scores in plain JavaScript, networks by
// onnxruntime-web. Everything that it reads is in LAB (data.js) and RUNTIME (runtime.js): it works from a file as well.
"use strict";

const bytes = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
const floats = (text) => new Float32Array(bytes(text).buffer);
const N = LAB.factor, H = LAB.height, W = LAB.width, h = H / N, w = W / N;
const weight = floats(LAB.weights); // one for each fine cell
const frames = LAB.frames.map((f) => ({ time: f.time, truth: floats(f.truth), rmse: f.rmse }));
const sessions = {};

function coarsen(fine) {
  const total = new Float64Array(h * w), share = new Float64Array(h * w);
  for (let i = 0; i < H; i++) for (let j = 0; j < W; j++) {
    const k = Math.floor(i / N) * w + Math.floor(j / N);
    total[k] += fine[i * W + j] * weight[i * W + j];
    share[k] += weight[i * W + j];
  }
  return Float32Array.from(total, (x, k) => x / share[k]);
}

const refine = (coarse) => Float32Array.from({ length: H * W }, (_, k) =>
  coarse[Math.floor(Math.floor(k / W) / N) * w + Math.floor((k % W) / N)]);

function taps(size, last) { // for each fine index: four coarse indices and their weights (Keys, a = -3/4)
  const a = -0.75;
  const near = (t) => ((a + 2) * t - (a + 3)) * t * t + 1;
  const far = (t) => ((a * t - 5 * a) * t + 8 * a) * t - 4 * a;
  return Array.from({ length: size }, (_, i) => {
    const at = (i + 0.5) / N - 0.5, first = Math.floor(at), t = at - first;
    const index = [-1, 0, 1, 2].map((d) => Math.min(Math.max(first + d, 0), last));
    return [index, [far(t + 1), near(t), near(1 - t), far(2 - t)]];
  });
}

function bicubic(coarse) {
  const rows = taps(H, h - 1), columns = taps(W, w - 1), out = new Float32Array(H * W);
  for (let i = 0; i < H; i++) for (let j = 0; j < W; j++) {
    let sum = 0;
    for (let a = 0; a < 4; a++) for (let b = 0; b < 4; b++) {
      sum += rows[i][1][a] * columns[j][1][b] * coarse[rows[i][0][a] * w + columns[j][0][b]];
    }
    out[i * W + j] = sum;
  }
  return out;
}

function add(fine, coarse) { // one number for each block, so that its mean is right
  const made = coarsen(fine), missing = refine(coarse.map((x, k) => x - made[k]));
  return fine.map((x, k) => x + missing[k]);
}

async function network(name, coarse) {
  const given = { coarse: new ort.Tensor("float32", Float32Array.from(coarse), [1, 1, h, w]) };
  if (sessions[name].inputNames.includes("weights")) given.weights = new ort.Tensor("float32", weight, [H, W]);
  return (await sessions[name].run(given)).fine.data;
}

const METHODS = {
  nearest: async (c) => refine(c),
  bicubic: async (c) => bicubic(c),
  "bicubic+add": async (c) => add(bicubic(c), c),
  "network, no constraint": (c) => network("none", c),
  "network, softmax layer": (c) => network("softmax", c),
};

function score(fine, truth, coarse) {
  const made = coarsen(fine);
  let square = 0, all = 0, worst = 0, negative = 0;
  for (let k = 0; k < H * W; k++) {
    if (truth) square += weight[k] * (fine[k] - truth[k]) ** 2;
    all += weight[k];
    negative += fine[k] < 0;
  }
  made.forEach((x, k) => { worst = Math.max(worst, Math.abs(x - coarse[k])); });
  return { rmse: truth ? Math.sqrt(square / all) : null, worst, negative };
}

// ---- what is seen ---------------------------------------------------------------------------------------------------

const element = (id) => document.getElementById(id);

function draw(id, field, rows, columns, low, high, colours) {
  const small = document.createElement("canvas");
  small.width = columns; small.height = rows;
  const image = small.getContext("2d").createImageData(columns, rows);
  for (let i = 0; i < rows; i++) for (let j = 0; j < columns; j++) {
    const x = (field[(rows - 1 - i) * columns + j] - low) / (high - low); // north is up
    const c = colours[Math.min(255, Math.max(0, Math.round(255 * x)))];
    image.data.set([c[0], c[1], c[2], 255], 4 * (i * columns + j));
  }
  small.getContext("2d").putImageData(image, 0, 0);
  const pen = element(id).getContext("2d");
  pen.imageSmoothingEnabled = false;
  pen.drawImage(small, 0, 0, element(id).width, element(id).height);
}

let coarse = null, truth = null, made = {};

async function show() {
  const method = element("method").value, fine = made[method].fine;
  draw("coarse", coarse, h, w, 0, LAB.high, LAB.viridis);
  draw("fine", fine, H, W, 0, LAB.high, LAB.viridis);
  if (truth) draw("truth", truth, H, W, 0, LAB.high, LAB.viridis);
  const difference = truth ? fine.map((x, k) => x - truth[k]) : new Float32Array(H * W);
  draw("error", difference, H, W, -10, 10, LAB.diverging);
  const block = coarsen(fine).map((x, k) => x - coarse[k]);
  draw("residual", block, h, w, -1, 1, LAB.diverging);
  element("told").textContent = truth
    ? `${method}: RMSE ${made[method].rmse.toFixed(3)} kg m⁻², largest block error ${made[method].worst.toExponential(1)} kg m⁻².`
    : `${method}: you have poured water, so there is no truth any more. Largest block error ${made[method].worst.toExponential(1)} kg m⁻².`;
  element("truth").style.opacity = element("error").style.opacity = truth ? 1 : 0.15;
}

async function compute() {
  made = {};
  for (const [name, refineBy] of Object.entries(METHODS)) {
    const start = performance.now();
    const fine = await refineBy(coarse);
    const time = performance.now() - start;
    made[name] = { fine, time, ...score(fine, truth, coarse) };
  }
  const frame = frames[element("frame").value];
  element("scores").innerHTML = Object.entries(made).map(([name, s]) => `<tr><th scope="row">${name}</th>
    <td>${s.rmse === null ? "" : s.rmse.toFixed(3)}</td><td>${truth ? frame.rmse[name].toFixed(3) : ""}</td>
    <td>${s.worst.toExponential(1)}</td><td>${s.negative}</td><td>${s.time.toFixed(0)}</td></tr>`).join("");
  await show();
  window.lab = { made: Object.fromEntries(Object.entries(made).map(([n, s]) => [n, { rmse: s.rmse, worst: s.worst }])),
    expected: frame.rmse, poured: !truth };
}

async function choose() {
  truth = frames[element("frame").value].truth;
  coarse = coarsen(truth);
  element("when").textContent = frames[element("frame").value].time;
  await compute();
}

async function pour(event) {
  const box = element("coarse").getBoundingClientRect();
  const j = Math.floor((event.clientX - box.left) / box.width * w);
  const i = h - 1 - Math.floor((event.clientY - box.top) / box.height * h);
  coarse = Float32Array.from(coarse);
  coarse[i * w + j] += 15;
  truth = null;
  await compute();
}

async function start() {
  const own = (part, type = "text/javascript") => URL.createObjectURL(new Blob([bytes(part)], { type }));
  window.ort = await import(own(RUNTIME.script));
  ort.env.wasm.numThreads = 1;
  ort.env.wasm.wasmPaths = { mjs: own(RUNTIME.glue), wasm: own(RUNTIME.wasm, "application/wasm") };
  for (const [name, model] of Object.entries(LAB.models)) {
    sessions[name] = await ort.InferenceSession.create(bytes(model), { executionProviders: ["wasm"] });
  }
  element("frame").max = frames.length - 1;
  element("method").innerHTML = Object.keys(METHODS).map((name) => `<option>${name}</option>`).join("");
  element("method").value = "network, softmax layer";
  element("frame").addEventListener("input", choose);
  element("method").addEventListener("change", show);
  element("coarse").addEventListener("click", pour);
  element("again").addEventListener("click", choose);
  await choose();
  element("lab").hidden = false;
  element("wait").hidden = true;
}

start().catch((error) => { element("wait").textContent = `This browser cannot run the networks: ${error.message}`; });
