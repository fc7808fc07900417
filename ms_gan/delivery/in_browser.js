// What the bundle's page needs where no server draws: a seed becomes latents as NumPy makes them, and onnxruntime-web runs
// the ONNX. The images are those of `infer` and of `serve`, to 1e-5.
"use strict";

const PURPOSE = 4044060355n;  // the second half of the key: the CRC-32 of "sample"
const MASK = (1n << 64n) - 1n;

// Philox 4×64 with ten rounds (Salmon et al. 2011), as numpy.random.Philox counts with it.
class Philox {
  constructor(seed) {
    this.key = [BigInt(seed), PURPOSE];
    this.counter = 0n;  // the first of four words; no stream of latents is so long that it overflows
    this.left = [];     // numbers of 32 bits that are not yet taken, the next one last
  }

  next32() {
    if (!this.left.length) {
      this.counter += 1n;
      let [a, b, c, d] = [this.counter, 0n, 0n, 0n], [first, second] = this.key;
      for (let round = 0; round < 10; round++) {
        const one = 0xD2E7470EE14C6C93n * a, other = 0xCA5A826395121157n * c;
        [a, b, c, d] = [(other >> 64n) ^ b ^ first, other & MASK, (one >> 64n) ^ d ^ second, one & MASK];
        first = (first + 0x9E3779B97F4A7C15n) & MASK;
        second = (second + 0xBB67AE8584CAA73Bn) & MASK;
      }
      for (const word of [d, c, b, a]) this.left.push(Number(word >> 32n), Number(word & 0xFFFFFFFFn));
    }
    return this.left.pop();
  }

  uniform() {  // float32 in [0, 1)
    return (this.next32() >>> 8) / 2 ** 24;
  }
}

// The normal density in 256 layers of one area (Marsaglia and Tsang 2000, "The Ziggurat Method"), for 23 bits.
const LAYERS = 256, BITS = 2 ** 23;
const RIGHT = 3.6541528853610088, AREA = 0.00492867323399;  // where the tail begins; of each layer
const fround = Math.fround, density = x => Math.exp(-0.5 * x * x);
const inside = new Uint32Array(LAYERS), width = new Float32Array(LAYERS), height = new Float32Array(LAYERS);
{
  let x = RIGHT, outer = RIGHT;
  const base = AREA / density(RIGHT);
  inside[0] = RIGHT / base * BITS;
  width[0] = base / BITS;
  height[0] = 1;
  width[LAYERS - 1] = RIGHT / BITS;
  height[LAYERS - 1] = density(RIGHT);
  for (let layer = LAYERS - 2; layer >= 1; layer--) {
    x = Math.sqrt(-2 * Math.log(AREA / x + density(x)));
    inside[layer + 1] = x / outer * BITS;
    outer = x;
    width[layer] = x / BITS;
    height[layer] = density(x);
  }
}

function normal(stream) {
  for (;;) {
    const bits = stream.next32(), layer = bits & 0xFF, size = (bits >>> 9) & 0x7FFFFF;
    const x = fround(size * width[layer]) * ((bits >>> 8) & 1 ? -1 : 1);
    if (size < inside[layer]) return x;
    if (layer > 0) {
      const part = fround(fround(height[layer - 1] - height[layer]) * stream.uniform());
      const at = fround(part + height[layer]);  // NumPy has float32 here, and a draw that differs shifts all others
      if (at < density(x)) return x;
      continue;
    }
    for (;;) {  // the tail (Marsaglia 1964)
      const beyond = fround(-fround(1 / RIGHT) * fround(Math.log1p(-stream.uniform())));
      const other = fround(-Math.log1p(-stream.uniform()));
      if (other + other > beyond * beyond) return ((size >>> 8) & 1 ? -1 : 1) * (RIGHT + beyond);
    }
  }
}

// The latents of a seed: Float32Array, count rows of `size` numbers.
export function latentsOf(seed, count, size, distribution) {
  const stream = new Philox(seed), latents = new Float32Array(count * size);
  for (let at = 0; at < latents.length; at++) {
    latents[at] = distribution === "uniform" ? 2 * stream.uniform() - 1 : normal(stream);
  }
  for (let row = 0; distribution === "sphere" && row < count; row++) {
    const numbers = latents.subarray(row * size, (row + 1) * size);
    const length = Math.hypot(...numbers);
    numbers.forEach((number, at) => { numbers[at] = number / length; });
  }
  return latents;
}

// Names of labels, each one row: what the model takes, Int32Array. Classes are numbers; in `places` places tags are 1 + their
// numbers, then zeros.
export function labelsOf(names, known, places) {
  const rows = new Int32Array(names.length * (places ?? 1));
  names.forEach((text, row) => {
    if (places === undefined) { rows[row] = known.indexOf(text); return; }
    const tags = text === "" ? [] : text.split(",").map(name => 1 + known.indexOf(name)).sort((a, b) => a - b);
    rows.set(tags, row * places);
  });
  return rows;
}

const RUNTIME = "ort.wasm.min.js", MODULE = "ort-wasm-simd-threaded.js", PROGRAM = "ort-wasm-simd-threaded.wasm";
const beside = name => new URL(name, document.baseURI).href;
const answerOf = name => fetch(beside(name)).catch(() => { throw new Error(`${name} cannot be loaded: no answer.`); });

async function runtime() {
  try { return await import(beside(RUNTIME)); } catch {
    const {status} = await answerOf(RUNTIME);
    throw new Error(status === 404 ? "onnxruntime-web is not beside this page. Add it: python -m ms_gan export BUNDLE --page."
                                   : `${RUNTIME} cannot be loaded, status ${status}.`);
  }
}

// The bytes of a file of the bundle. Whether they are those of the contract can be told over https and on this machine.
async function bytesOf(name, {sha256}) {
  const answer = await answerOf(name);
  if (!answer.ok) throw new Error(`${name} cannot be loaded, status ${answer.status}. Copy the whole bundle.`);
  const bytes = await answer.arrayBuffer();
  const hex = digest => Array.from(new Uint8Array(digest), byte => byte.toString(16).padStart(2, "0")).join("");
  if (crypto.subtle && hex(await crypto.subtle.digest("SHA-256", bytes)) !== sha256) {
    throw new Error(`${name} is damaged, or of another bundle: its SHA-256 is not the contract's. Copy the whole bundle again.`);
  }
  return new Uint8Array(bytes);
}

// A function that answers as the server's `infer` does: of inputs as the protocol has them, the outputs by their names.
// It draws one at a time, and leaves out what is no longer wanted when its turn comes.
export async function opened(contract) {
  const file = contract.models.generator.files.onnx;
  if (!file) throw new Error("This bundle holds no ONNX, so a browser cannot draw of it. Serve it with ms_gan.");
  const ort = await runtime(), model = await bytesOf(file, contract.files[file]);
  ort.env.wasm.proxy = true;    // draws in a worker, so that the page goes on meanwhile
  ort.env.wasm.numThreads = 1;  // more need headers that a plain host does not send
  ort.env.wasm.wasmPaths = {mjs: beside(MODULE), wasm: beside(PROGRAM)};
  const session = await ort.InferenceSession.create(model).catch(error => {
    throw new Error(`onnxruntime-web does not start with ${file} (${error.message.split("\n")[0]}).`);
  });
  const [latent, label] = contract.models.generator.inputs, size = latent.shape[1];
  const places = label?.shape[1];
  let last = Promise.resolve();

  async function run(inputs, outputs, wanted) {
    if (!wanted()) throw new Error("something else is wanted");
    const given = Object.fromEntries(inputs.map(input => [input.name, input]));
    const count = given.latent ? given.latent.shape[0] : given.num.data[0];
    const latents = given.latent ? Float32Array.from(given.latent.data)
                                 : latentsOf(given.seed.data[0], count, size, latent.distribution);
    const found = {latent: {shape: [count, size], data: [...latents]}};
    if (!outputs.includes("image")) return found;
    const feeds = {latent: new ort.Tensor("float32", latents, [count, size])};
    if (label) {
      const names = Array.from({length: count}, (_, row) => given.label.data[row % given.label.data.length]);
      feeds.label = new ort.Tensor("int32", labelsOf(names, contract.labels, places), [count, ...label.shape.slice(1)]);
    }
    const {image} = await session.run(feeds);
    return {...found, image: {shape: [...image.dims], data: Array.from(image.data)}};
  }

  return (inputs, outputs, wanted) => {
    const next = () => run(inputs, outputs, wanted);
    last = last.then(next, next);
    return last;
  };
}
