// Drives Chromium by its DevTools protocol, for benchmarks/browser.py.
//   node browser.mjs SOCKET ADDRESS PICTURE PHOTO ...
// chooses the photos on the page at ADDRESS, waits for an answer to each, and prints them as JSON.
import fs from 'node:fs';

const [socketAddress, address, picture, ...photos] = process.argv.slice(2);
const socket = new WebSocket(socketAddress);
const waiting = new Map();
let count = 0;

socket.addEventListener('message', ({data}) => {
  const {id, result, error} = JSON.parse(data);
  if (!waiting.has(id)) return;
  const [resolve, reject] = waiting.get(id);
  error ? reject(new Error(error.message)) : resolve(result);
});
await new Promise((resolve) => socket.addEventListener('open', resolve));

function send(method, params = {}, sessionId = undefined) {
  const id = ++count;
  socket.send(JSON.stringify({id, method, params, sessionId}));
  return new Promise((resolve, reject) => waiting.set(id, [resolve, reject]));
}

const {targetId} = await send('Target.createTarget', {url: address});
const {sessionId} = await send('Target.attachToTarget', {targetId, flatten: true});
const ask = async (expression) =>
  (await send('Runtime.evaluate', {expression, returnByValue: true}, sessionId)).result.value;

async function until(expression) {
  while (!(await ask(expression))) await new Promise((resolve) => setTimeout(resolve, 100));
}

await until("document.getElementById('status')?.textContent.startsWith('Ready')");
const {root} = await send('DOM.getDocument', {}, sessionId);
const {nodeId} = await send('DOM.querySelector', {nodeId: root.nodeId, selector: '#files'}, sessionId);
await send('DOM.setFileInputFiles', {nodeId, files: photos}, sessionId);
await until(`document.querySelectorAll('.answer, .wrong').length === ${photos.length}`);
console.log(JSON.stringify(
  await ask("[...document.querySelectorAll('.answer, .wrong')].map((each) => each.textContent)"),
));
if (picture) {
  const {data} = await send('Page.captureScreenshot', {format: 'png', captureBeyondViewport: true}, sessionId);
  fs.writeFileSync(picture, Buffer.from(data, 'base64'));
}
process.exit(0);
