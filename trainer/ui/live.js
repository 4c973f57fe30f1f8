const video = element.querySelector('video'), said = element.querySelector('[role=status]'), button = name => element.querySelector(`[data-${name}]`);
let facing = 'environment', timer = null;
const frame = (from, width, height, most, quality) => {  // as it is: a mirrored picture would be another one
  const scale = Math.min(1, most / Math.max(width, height)), canvas = document.createElement('canvas');
  canvas.width = Math.max(1, Math.round(width * scale)); canvas.height = Math.max(1, Math.round(height * scale));
  const drawn = canvas.getContext('2d');
  drawn.fillStyle = '#fff'; drawn.fillRect(0, 0, canvas.width, canvas.height);
  drawn.drawImage(from, 0, 0, canvas.width, canvas.height);
  return canvas.toDataURL('image/jpeg', quality);
};
const shut = () => {
  clearInterval(timer); timer = null;
  video.srcObject?.getTracks().forEach(track => track.stop()); video.srcObject = null;
  element.firstElementChild.classList.remove('on');
};
const open = async () => {
  shut();
  try {
    const wanted = { facingMode: facing, width: { ideal: 960 }, height: { ideal: 720 } };
    video.srcObject = await navigator.mediaDevices.getUserMedia({ video: wanted, audio: false });
    await video.play();
  } catch { said.textContent = 'The camera cannot be opened. Allow it in the browser, and use this page on localhost or over https.'; return; }
  const real = video.srcObject.getVideoTracks()[0].getSettings().facingMode;
  video.classList.toggle('mirrored', real === 'user');  // what is shown to oneself, never what is asked or kept
  element.firstElementChild.classList.add('on');
  said.textContent = 'It answers twice a second. Take a picture to ask more about it.';
  timer = setInterval(() => {
    if (!video.videoWidth || !element.offsetParent || document.hidden) return;
    trigger('click', { choice: frame(video, video.videoWidth, video.videoHeight, 480, 0.8) });
  }, 500);
};
const ask = choice => trigger('submit', { choice });
button('open').addEventListener('click', open);
button('close').addEventListener('click', () => { shut(); said.textContent = 'The camera is closed.'; });
button('turn').addEventListener('click', () => { facing = facing === 'user' ? 'environment' : 'user'; open(); });
button('take').addEventListener('click', () => { if (video.videoWidth) ask(frame(video, video.videoWidth, video.videoHeight, 1600, 0.92)); });
document.addEventListener('paste', async event => {
  if (!element.offsetParent) return;
  const file = [...event.clipboardData.items].find(item => item.type.startsWith('image/'))?.getAsFile();
  if (!file) return;
  event.preventDefault();
  try { const bitmap = await createImageBitmap(file); ask(frame(bitmap, bitmap.width, bitmap.height, 1600, 0.92)); }
  catch { said.textContent = 'What was pasted is no picture that this browser can read.'; }
});
