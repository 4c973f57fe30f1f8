// A turn of screens: at once, in the browser; what a screen shows is brought up to date behind it.
const style = document.head.appendChild(document.createElement('style'));
window.studioTurn = step => {
  const steps = [...element.querySelectorAll('[data-choice]')], before = window.studioStep;
  const here = steps.some(one => one.dataset.choice === step) ? step : 'data';
  style.textContent = `.tz-screen:not(#screen-${here}) { display: none !important }`;
  for (const one of steps) one.dataset.choice === here ? one.setAttribute('aria-current', 'step') : one.removeAttribute('aria-current');
  document.querySelector('.tz-guide')?.setAttribute('href', `guide/${here}?lang=${document.documentElement.lang || 'en'}`);
  window.studioStep = here;
  if (!before || before === here) return;
  scrollTo(0, 0);
  requestAnimationFrame(() => {  // whoever pressed a button that is gone now goes on at the new screen's top
    const at = document.activeElement, title = document.querySelector(`#screen-${here} h2`);
    if (!title || (at && at !== document.body && at.getClientRects().length)) return;
    title.tabIndex = -1; title.focus({ preventScroll: true });
  });
};
element.addEventListener('click', event => {
  const chosen = event.target.closest('[data-choice]');
  if (chosen) { window.studioTurn(chosen.dataset.choice); trigger('click'); }
});
document.addEventListener('click', event => {
  if (!event.target.closest('[data-skip]')) return;
  event.preventDefault();
  const title = [...document.querySelectorAll('.tz-screen h2, .tz-screen h3, .tz-screen button')].find(one => one.getClientRects().length);
  if (title) { title.tabIndex = title.matches('button') ? 0 : -1; title.focus(); }
});
// For those who hear the page: how far long work is, and what is next when it is done; every few seconds at most.
let told = null;
setInterval(() => {
  const seen = what => [...document.querySelectorAll(what)].filter(one => one.getClientRects().length).map(one => one.textContent);
  const now = (seen('.tz-progress span').join('. ') || seen('.tz-next-text p').join(' ')).trim(), region = document.getElementById('tz-told');
  if (told !== null && told !== now && region) region.textContent = now;
  told = now;
}, 4000);
document.addEventListener('click', event => {
  if (event.target.closest('[data-language]')) document.getElementById('tz-told').textContent = told = '';
});
