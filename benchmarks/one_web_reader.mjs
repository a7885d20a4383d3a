// Reads a folder of `benchmarks.readers` with ONNX Runtime Web in Node.
// WASM, one thread; what it writes and prints is that of one_reader.py.
import fs from 'node:fs';
import path from 'node:path';
import * as ort from 'onnxruntime-web';

const [blocks, runs] = [20, 10];
const folder = process.argv[2];
ort.env.wasm.numThreads = 1;

const {shape} = JSON.parse(fs.readFileSync(path.join(folder, 'shape.json')));
const bytes = fs.readFileSync(path.join(folder, 'images.bin'));
const images = new Float32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4);
const size = shape.slice(1).reduce((product, each) => product * each, 1);

const sessions = {};
for (const name of ['float', 'int8']) {
  const file = new Uint8Array(fs.readFileSync(path.join(folder, `${name}.onnx`)));
  sessions[name] = await ort.InferenceSession.create(file, {executionProviders: ['wasm']});
}

async function answer(name, position) {
  const image = images.slice(position * size, (position + 1) * size);
  const fed = {input: new ort.Tensor('float32', image, [1, ...shape.slice(1)])};
  return (await sessions[name].run(fed)).logits.data;
}

const answers = [];
for (let position = 0; position < shape[0]; position++) {
  answers.push(...(await answer('int8', position)));
}
fs.writeFileSync(path.join(folder, 'answers.bin'), Buffer.from(new Float32Array(answers).buffer));

const times = {float: [], int8: []};
for (let block = 0; block < blocks; block++) {
  for (const name of ['float', 'int8']) {
    await answer(name, 0);
    for (let run = 0; run < runs; run++) {
      const start = performance.now();
      await answer(name, 0);
      times[name].push(performance.now() - start);
    }
  }
}
const median = (values) => values.sort((a, b) => a - b)[values.length >> 1];
console.log(JSON.stringify({in_int8: 'not told', float_ms: median(times.float), int8_ms: median(times.int8)}));
process.exit(0);
