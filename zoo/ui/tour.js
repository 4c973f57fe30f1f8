// The tour: one stop at a time, below the steps, in the way of nothing; whoever ended it is not asked again.
const KEY = 'transfer-zoo-tour', tour = element.querySelector('.tz-tour');
const remembered = () => { try { return localStorage.getItem(KEY); } catch { return 'no memory'; } };
const remember = () => { try { localStorage.setItem(KEY, 'seen'); } catch { /* then it is offered again */ } };
let opener = null;
const show = (number, focus) => {
  for (const stop of tour.children) stop.hidden = stop.dataset.stop !== String(number);
  const stop = tour.querySelector(`[data-stop="${number}"]`);
  tour.hidden = !stop;
  if (!stop) return;
  const screen = stop.dataset.screen && document.querySelector(`.tz-steps [data-choice=${stop.dataset.screen}]`);
  if (screen) {
    const own = screen.querySelector('small')?.textContent.trim(), line = stop.querySelector('.own');
    line.hidden = !own; stop.querySelector('[data-own]').textContent = own ?? '';
    if (!screen.hasAttribute('aria-current')) screen.click();
  }
  if (focus) requestAnimationFrame(() => requestAnimationFrame(() => { stop.focus(); }));
};
const end = () => {
  remember(); show('none');
  (opener?.isConnected ? opener : document.querySelector('.tz-steps [aria-current]'))?.focus();
  opener = null;
};
document.addEventListener('click', event => {
  const button = event.target.closest('[data-tour]');
  if (!button) return;
  if (button.dataset.tour === 'end') { end(); return; }
  if (!tour.contains(button)) opener = button;
  show(button.dataset.tour, true);
});
tour.addEventListener('keydown', event => { if (event.key === 'Escape') end(); });
if (!remembered()) show(0);
