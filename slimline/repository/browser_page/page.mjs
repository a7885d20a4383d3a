// The page: photos that are dropped or chosen, answered by the model beside it, without a network.
import * as ort from './ort.wasm.min.mjs';
import {decode, fit, toInput} from './preprocessing.mjs';

const status = document.getElementById('status');
const drop = document.getElementById('drop');
const list = document.getElementById('answers');

ort.env.wasm.numThreads = 1;
ort.env.wasm.wasmPaths = new URL('.', import.meta.url).href;

const loaded = load();

async function load() {
  const about = await (await fetch('model.json')).json();
  const session = await ort.InferenceSession.create('model.onnx', {executionProviders: ['wasm']});
  status.textContent = `Ready: ${about.classes.length} classes.`;
  return {about, session};
}

loaded.catch((error) => {
  if (location.protocol !== 'file:') status.textContent = `The model cannot be loaded: ${error.message}`;
});

// Returns how likely each class is, 0 to 1, in the order of `classes` in model.json.
async function classify(file) {
  const {about, session} = await loaded;
  const frame = {crop: 1, ...about.preprocessing};
  const input = about.input;
  const pixels = fit(await decode(file, frame.channels), frame);
  const shape = [1, ...input.shape.slice(1)];
  const fed = {[session.inputNames[0]]: new ort.Tensor(input.dtype, toInput(pixels, frame, input), shape)};
  const answers = Array.from((await session.run(fed))[session.outputNames[0]].data);
  if (about.output.name === 'probabilities') return answers;
  const largest = Math.max(...answers);
  const weights = answers.map((each) => Math.exp(each - largest));
  const sum = weights.reduce((total, each) => total + each, 0);
  return weights.map((each) => each / sum);
}

async function show(file) {
  const item = document.createElement('li');
  const image = document.createElement('img');
  image.src = URL.createObjectURL(file);
  image.alt = '';
  const [text, name, answer] = ['div', 'div', 'div'].map((each) => document.createElement(each));
  name.className = 'file';
  name.textContent = file.name;
  text.append(name, answer);
  item.append(image, text);
  list.append(item);
  try {
    const shares = await classify(file);
    const best = shares.indexOf(Math.max(...shares));
    answer.className = 'answer';
    answer.textContent = `${(await loaded).about.classes[best]}, ${(100 * shares[best]).toFixed(1)} %`;
  } catch (error) {
    answer.className = 'wrong';
    answer.textContent = `cannot be classified: ${error.message}`;
  }
}

async function showAll(files) {
  for (const file of files) await show(file);
}

document.getElementById('files').addEventListener('change', (event) => showAll(event.target.files));
// A photo that is dropped beside the box would take the place of the page.
for (const kind of ['dragover', 'drop']) addEventListener(kind, (event) => event.preventDefault());
for (const kind of ['dragover', 'dragleave', 'drop']) {
  drop.addEventListener(kind, (event) => {
    event.preventDefault();
    drop.classList.toggle('over', kind === 'dragover');
    if (kind === 'drop') showAll(event.dataTransfer.files);
  });
}
