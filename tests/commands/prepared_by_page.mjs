// For test_package.py: what the page makes of the decoded image that stdin has as JSON.
const [page] = process.argv.slice(2);
const {fit, toInput} = await import(page);
const chunks = [];
for await (const chunk of process.stdin) chunks.push(chunk);
const {image, frame, input} = JSON.parse(Buffer.concat(chunks));
const pixels = fit({...image, data: Uint8Array.from(image.data)}, frame);
console.log(JSON.stringify({pixels: [...pixels], input: [...toInput(pixels, frame, input)]}));
