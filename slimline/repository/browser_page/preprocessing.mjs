// From a photo to what the model takes, as slimline/data/preprocessing.py does it.
// `frame` is `preprocessing` in model.json, `input` is `input` there.

const PRECISION_BITS = 22; // of the weights of pixels: Pillow sums in integers
const WHITE = 255;

// Returns {width, height, data}: one byte per channel of each pixel, upright, on white, uncut.
export async function decode(file, channels) {
  // The browser turns a photo by its EXIF, as we do; colours stay as they are in the file.
  const bitmap = await createImageBitmap(file, {
    imageOrientation: 'from-image', colorSpaceConversion: 'none', premultiplyAlpha: 'none',
  });
  const {width, height} = bitmap;
  const canvas = new OffscreenCanvas(width, height);
  const context = canvas.getContext('2d', {willReadFrequently: true});
  context.drawImage(bitmap, 0, 0);
  const rgba = context.getImageData(0, 0, width, height).data;
  // What a canvas over the browser's limit gives; it raises nothing.
  if (rgba.every((each) => each === 0)) throw new Error('is too large for this browser, or wholly transparent');
  const data = new Uint8Array(width * height * channels);
  for (let pixel = 0; pixel < width * height; pixel++) {
    const [red, green, blue] = [0, 1, 2].map((each) => onWhite(rgba[4 * pixel + each], rgba[4 * pixel + 3]));
    if (channels === 1) {
      data[pixel] = (19595 * red + 38470 * green + 7471 * blue + 0x8000) >> 16; // ITU-R 601-2
    } else {
      data.set([red, green, blue], 3 * pixel);
    }
  }
  return {width, height, data};
}

// As Pillow's alpha_composite does it, in integers.
function onWhite(value, alpha) {
  const sum = (value * alpha + WHITE * (255 - alpha)) * 128 + (0x80 << 7);
  return (((sum >> 8) + sum) >> 8) >> 7;
}

// Cuts the centre and resizes as Pillow's ImageOps.fit with BILINEAR does.
export function fit(image, frame) {
  const {width, height, channels, crop} = frame;
  if (image.width === width && image.height === height && crop === 1) return image.data;
  const bleed = (1 - crop) / 2;
  const [left, top] = [bleed * image.width, bleed * image.height];
  const live = [image.width - 2 * left, image.height - 2 * top];
  const [ratio, wanted] = [live[0] / live[1], width / height];
  let [cutWidth, cutHeight] = live;
  if (ratio > wanted) cutWidth = wanted * live[1];
  if (ratio < wanted) cutHeight = live[0] / wanted;
  const x = left + (live[0] - cutWidth) * 0.5;
  const y = top + (live[1] - cutHeight) * 0.5;
  const columns = weights(image.width, x, x + cutWidth, width);
  const rows = weights(image.height, y, y + cutHeight, height);
  const narrow = new Uint8Array(width * image.height * channels);
  for (let row = 0; row < image.height; row++) {
    sumUp(image.data, narrow, columns, channels, row * image.width * channels, channels, row * width * channels, channels);
  }
  const small = new Uint8Array(width * height * channels);
  for (let column = 0; column < width; column++) {
    const stride = width * channels;
    sumUp(narrow, small, rows, channels, column * channels, stride, column * channels, stride);
  }
  return small;
}

// Weights of the pixels from `from` to `to` of a line, for each of `count` new ones. Pillow has both
// ends in float32, all else in float64.
function weights(size, from, to, count) {
  const [start, end] = [Math.fround(from), Math.fround(to)];
  const scale = Math.fround(end - start) / count;
  const support = Math.max(scale, 1);
  return Array.from({length: count}, (_, index) => {
    const centre = start + (index + 0.5) * scale;
    const first = Math.max(Math.trunc(centre - support + 0.5), 0);
    const last = Math.min(Math.trunc(centre + support + 0.5), size);
    const shares = [];
    for (let place = first; place < last; place++) {
      const distance = Math.abs((place - centre + 0.5) / support);
      shares.push(distance < 1 ? 1 - distance : 0);
    }
    const total = shares.reduce((sum, each) => sum + each, 0);
    return {first, shares: shares.map((each) => Math.trunc(0.5 + (each / total) * 2 ** PRECISION_BITS))};
  });
}

// Writes one line of new pixels from one line of old ones.
function sumUp(from, to, line, channels, fromStart, fromStep, toStart, toStep) {
  line.forEach(({first, shares}, index) => {
    for (let channel = 0; channel < channels; channel++) {
      let sum = 2 ** (PRECISION_BITS - 1);
      shares.forEach((share, offset) => {
        sum += share * from[fromStart + (first + offset) * fromStep + channel];
      });
      to[toStart + index * toStep + channel] = Math.min(Math.max(sum >> PRECISION_BITS, 0), 255);
    }
  });
}

// Returns what the model takes, without the first dimension: raw pixels, or normalised float32.
export function toInput(pixels, frame, input) {
  const {width, height, channels, mean, std} = frame;
  const isRaw = input.dtype === 'uint8';
  if (isRaw && input.layout === 'nhwc') return pixels;
  const [given, spread] = [mean, std].map((each) => Float32Array.from(each));
  const values = new (isRaw ? Uint8Array : Float32Array)(pixels.length);
  for (let channel = 0; channel < channels; channel++) {
    for (let place = 0; place < width * height; place++) {
      const pixel = pixels[place * channels + channel];
      values[channel * width * height + place] = isRaw
        ? pixel
        : Math.fround(Math.fround(Math.fround(pixel / 255) - given[channel]) / spread[channel]);
    }
  }
  return values;
}
