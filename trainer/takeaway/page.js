// A classifier in the browser alone: the picture goes from the canvas into model.onnx, and nothing leaves this page.
import * as ort from './ort.mjs';

const WORDS = {
  en: {
    promise: 'It runs in this browser alone: no picture leaves your device.',
    hint: 'Drop or paste a picture here', choose: 'Choose a picture', camera: 'Use the camera', stop: 'Stop the camera',
    loading: 'Loading the classifier…', ready: 'Ready.', took: (ms) => `Answered in ${ms} ms.`,
    unreadable: 'This file cannot be read as a picture.', nocamera: (why) => `No camera can be used: ${why}`,
    failed: 'The classifier could not be loaded. Open this page from a web server, in a current browser.',
    sure: (share) => `${share} sure`, several: (list) => `Nine times in ten it is one of: ${list}.`,
    unknown: 'It looks like nothing this classifier has seen: do not trust the answer.',
    about: 'What it is and how far to trust it',
    tested: (t) => `Right on ${pct(t.accuracy)} (95 % interval ${pct(t.interval[0])} to ${pct(t.interval[1])}) of ${t.n} pictures it had never seen.`,
    check: 'Check this browser', checking: 'Checking…',
    checked: (same, all, gap) => `${same} of ${all} answers as where it was made; largest difference of a probability ${gap}.`,
    legal: (licence) => `Licence of the backbone it was made from: ${licence}. ONNX Runtime Web: MIT, see the folder licenses.`,
  },
  ko: {
    promise: '이 브라우저 안에서만 실행됩니다. 사진은 기기 밖으로 나가지 않습니다.',
    hint: '여기에 사진을 끌어다 놓거나 붙여 넣으세요', choose: '사진 고르기', camera: '카메라 사용', stop: '카메라 멈추기',
    loading: '분류기를 불러오는 중…', ready: '준비되었습니다.', took: (ms) => `${ms} ms 만에 답했습니다.`,
    unreadable: '이 파일은 사진으로 읽을 수 없습니다.', nocamera: (why) => `카메라를 쓸 수 없습니다: ${why}`,
    failed: '분류기를 불러오지 못했습니다. 최신 브라우저에서 웹 서버를 통해 여세요.',
    sure: (share) => `확신도 ${share}`, several: (list) => `열 번 중 아홉 번은 다음 가운데 하나입니다: ${list}.`,
    unknown: '이 분류기가 본 적 없는 사진입니다. 답을 믿지 마세요.',
    about: '이 분류기에 대하여, 그리고 얼마나 믿을 수 있는지',
    tested: (t) => `처음 보는 사진 ${t.n}장 가운데 ${pct(t.accuracy)}를 맞혔습니다 (95 % 구간 ${pct(t.interval[0])}~${pct(t.interval[1])}).`,
    check: '이 브라우저 점검', checking: '점검 중…',
    checked: (same, all, gap) => `${all}장 가운데 ${same}장의 답이 만들 때와 같습니다. 확률의 최대 차이 ${gap}.`,
    legal: (licence) => `바탕이 된 백본의 라이선스: ${licence}. ONNX Runtime Web: MIT (licenses 폴더 참고).`,
  },
};
const MOST = 24e6; // pixels that are looked at; what is larger is drawn smaller first
const SHOWN = 5;
const language = navigator.language.startsWith('ko') ? 'ko' : 'en';
const say = WORDS[language];
const $ = (id) => document.getElementById(id);
const pct = (share) => `${(100 * share).toFixed(1)} %`;
let notes, session, stream = null, turn = Promise.resolve();

document.documentElement.lang = language;
for (const id of ['promise', 'hint', 'choose', 'camera', 'about', 'check']) $(id).textContent = say[id];
$('status').textContent = say.loading;

/** uint8 RGB, clear parts on white, as the classifier was trained. */
function pixels(source, width, height) {
  const scale = Math.min(1, Math.sqrt(MOST / (width * height)));
  const w = Math.max(1, Math.round(width * scale)), h = Math.max(1, Math.round(height * scale));
  const canvas = new OffscreenCanvas(w, h);
  const ink = canvas.getContext('2d', { willReadFrequently: true, colorSpace: 'srgb' });
  ink.fillStyle = '#fff';
  ink.fillRect(0, 0, w, h);
  ink.drawImage(source, 0, 0, w, h);
  const rgba = ink.getImageData(0, 0, w, h).data, rgb = new Uint8Array(w * h * 3);
  for (let from = 0, to = 0; from < rgba.length; from += 4) {
    rgb[to++] = rgba[from]; rgb[to++] = rgba[from + 1]; rgb[to++] = rgba[from + 2];
  }
  return new ort.Tensor('uint8', rgb, [h, w, 3]);
}

/** One answer at a time: the engine has one thread. */
function classify(source, width, height) {
  const mine = turn.then(async () => {
    const begun = performance.now();
    const found = await session.run({ image: pixels(source, width, height) });
    const probabilities = Array.from(found.probabilities.data);
    const novelty = notes.gate ? Number(found.novelty.data[0]) : null;
    return { probabilities, novelty, ms: performance.now() - begun };
  });
  turn = mine.catch(() => {});
  return mine;
}

async function classifyFile(file) {
  const options = { imageOrientation: 'from-image', colorSpaceConversion: 'none', premultiplyAlpha: 'none' };
  const bitmap = await createImageBitmap(file, options);
  return { ...(await classify(bitmap, bitmap.width, bitmap.height)), bitmap };
}

/** Indices, likeliest first, of the classes one of which is right 9 times in 10. */
function possible(probabilities) {
  const order = probabilities.map((_, index) => index).sort((a, b) => probabilities[b] - probabilities[a] || a - b);
  let likelier = 0;
  return order.filter((index, place) => {
    const before = place ? likelier : 0;
    likelier += probabilities[index];
    return before <= (notes.set_threshold ?? 1) + 1e-9;
  });
}

function show({ probabilities, novelty, ms }) {
  const order = probabilities.map((_, index) => index).sort((a, b) => probabilities[b] - probabilities[a] || a - b);
  const set = possible(probabilities), unknown = novelty !== null && novelty > 1;
  $('answer').hidden = false;
  $('label').textContent = notes.labels[order[0]];
  $('verdict').className = unknown ? 'bad' : '';
  if (unknown) $('verdict').textContent = say.unknown;
  else if (set.length > 1 && set.length < notes.labels.length) $('verdict').textContent = say.several(set.map((i) => notes.labels[i]).join(', '));
  else $('verdict').textContent = say.sure(pct(probabilities[order[0]]));
  $('bars').replaceChildren(...order.slice(0, SHOWN).map((index) => {
    const row = document.createElement('li'), name = document.createElement('span');
    const bar = document.createElement('progress'), share = document.createElement('span');
    name.textContent = name.title = notes.labels[index];
    bar.value = probabilities[index];
    bar.setAttribute('aria-label', notes.labels[index]);
    share.textContent = pct(probabilities[index]);
    row.append(name, bar, share);
    return row;
  }));
  $('status').textContent = say.took(Math.max(1, Math.round(ms)));
}

async function take(file) {
  if (!file || !session) return;
  stopCamera();
  try {
    const answer = await classifyFile(file), view = $('view');
    const scale = Math.min(1, 1600 / Math.max(answer.bitmap.width, answer.bitmap.height));
    view.width = Math.round(answer.bitmap.width * scale);
    view.height = Math.round(answer.bitmap.height * scale);
    view.getContext('2d').drawImage(answer.bitmap, 0, 0, view.width, view.height);
    view.hidden = false;
    $('hint').hidden = true;
    show(answer);
  } catch {
    $('answer').hidden = true;
    $('status').textContent = say.unreadable;
  }
}

function stopCamera() {
  stream?.getTracks().forEach((track) => track.stop());
  stream = null;
  $('video').hidden = true;
  $('camera').textContent = say.camera;
}

async function watch() {
  if (stream) return stopCamera();
  try {
    stream = await navigator.mediaDevices.getUserMedia({ video: { width: 640, height: 480, facingMode: 'environment' } });
  } catch (error) {
    $('status').textContent = say.nocamera(error.name);
    return;
  }
  const video = $('video');
  video.srcObject = stream;
  video.hidden = false;
  $('view').hidden = $('hint').hidden = true;
  $('camera').textContent = say.stop;
  await video.play();
  while (stream) {
    const answer = await classify(video, video.videoWidth, video.videoHeight);
    if (stream) show(answer);
    await new Promise((done) => setTimeout(done, 60));
  }
}

/** The golden pictures, answered here and compared with the answers kept beside them. */
async function check() {
  $('checked').textContent = say.checking;
  const golden = await (await fetch('golden/answers.json')).json();
  let same = 0, worst = 0;
  for (const row of golden.pictures) {
    const { probabilities } = await classifyFile(await (await fetch(`golden/${row.file}`)).blob());
    const best = probabilities.indexOf(Math.max(...probabilities));
    same += notes.labels[best] === row.label;
    probabilities.forEach((share, index) => { worst = Math.max(worst, Math.abs(share - row.probabilities[index])); });
  }
  $('checked').textContent = say.checked(same, golden.pictures.length, worst.toExponential(1));
}

try {
  ort.env.wasm.numThreads = 1; // more would need isolation headers that a plain server does not send
  ort.env.wasm.wasmPaths = { wasm: new URL('./ort.wasm', location.href).href };
  const [told, model] = await Promise.all([
    fetch('classifier.json').then((answer) => answer.json()),
    fetch('model.onnx').then((answer) => answer.arrayBuffer()),
  ]);
  notes = told;
  document.title = $('title').textContent = notes.title;
  $('facts').textContent = notes.test?.n ? say.tested(notes.test) : '';
  $('legal').textContent = say.legal(notes.passport?.licence ?? '?');
  session = await ort.InferenceSession.create(new Uint8Array(model), { executionProviders: ['wasm'] });
  $('file').disabled = $('camera').disabled = $('check').disabled = false;
  $('status').textContent = say.ready;
  document.documentElement.dataset.ready = 'yes';
} catch (error) {
  console.warn(error);
  $('status').textContent = say.failed;
}

$('file').onchange = (event) => { const [file] = event.target.files; event.target.value = ''; take(file); };
$('camera').onclick = watch;
$('check').onclick = check;
const zone = $('drop');
zone.ondragover = (event) => { event.preventDefault(); zone.classList.add('over'); };
zone.ondragleave = () => zone.classList.remove('over');
zone.ondrop = (event) => { event.preventDefault(); zone.classList.remove('over'); take(event.dataTransfer.files[0]); };
document.onpaste = (event) => take([...event.clipboardData.files][0]);
window.classifier = { classifyFile, possible }; // for those who script this page
