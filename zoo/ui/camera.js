const video = element.querySelector('video'), hold = element.querySelector('[data-hold]'), name = element.querySelector('input');
const said = element.querySelector('[role=status]');
let frames = [], timer = null;
const open = async () => {
  if (video.srcObject) return true;
  try { video.srcObject = await navigator.mediaDevices.getUserMedia({ video: { width: 640, height: 480 } }); await video.play(); return true; }
  catch { said.textContent = 'The camera cannot be opened. Allow it in the browser, and use this page on localhost or over https.'; return false; }
};
const take = () => {
  if (frames.length >= 48 || !video.videoWidth) return;
  const canvas = document.createElement('canvas');
  canvas.width = video.videoWidth; canvas.height = video.videoHeight;
  canvas.getContext('2d').drawImage(video, 0, 0);
  frames.push(canvas.toDataURL('image/jpeg', 0.85));
  said.textContent = `${frames.length} frames`;
};
const start = async event => {
  event.preventDefault();
  if (timer) return;
  if (!name.value.trim()) { said.textContent = 'Write first what the pictures show.'; name.focus(); return; }
  if (!await open()) return;
  frames = []; hold.classList.add('on'); take(); timer = setInterval(take, 125);
};
const end = () => {
  if (!timer) return;
  clearInterval(timer); timer = null; hold.classList.remove('on');
  if (frames.length) trigger('click', { choice: JSON.stringify({ label: name.value, frames }) });
};
hold.addEventListener('pointerdown', start);
hold.addEventListener('keydown', event => { if ((event.key === ' ' || event.key === 'Enter') && !event.repeat) start(event); });
hold.addEventListener('keyup', end);
window.addEventListener('pointerup', end); window.addEventListener('blur', end);
element.querySelector('[data-open]').addEventListener('click', open);
element.querySelector('[data-close]').addEventListener('click', () => { video.srcObject?.getTracks().forEach(track => track.stop()); video.srcObject = null; });
