const state = { at: 0, chosen: new Set(), waiting: [], busy: false, here: false, stamp: '', since: 0 };
const root = () => element.querySelector('.tz-ex');
const tiles = () => [...element.querySelectorAll('[data-file], [data-gone]')];
const columns = () => { const all = tiles(); const top = all[0]?.offsetTop; return Math.max(1, all.filter(t => t.offsetTop === top).length); };
const go = (to, focus = true) => {
  const all = tiles(); if (!all.length) return;
  state.at = Math.min(Math.max(0, to), all.length - 1);
  all.forEach((tile, i) => tile.tabIndex = i === state.at ? 0 : -1);
  if (focus) { all[state.at].focus({ preventScroll: false }); state.here = true; }
};
const paint = () => {
  tiles().forEach(tile => tile.setAttribute('aria-selected', state.chosen.has(tile.dataset.file)));
  const count = element.querySelector('.tz-ex-count'), many = state.chosen.size;
  if (count) count.textContent = many ? `${many} chosen` : 'Click or use the arrow keys to choose';
};
const flush = () => {
  if (state.busy && Date.now() - state.since < 15000) return;
  if (!state.waiting.length) return;
  state.busy = true; state.since = Date.now();
  trigger('click', { choice: JSON.stringify(state.waiting.splice(0)) });
};
const send = what => { state.waiting.push(what); flush(); };
const files = () => state.chosen.size ? [...state.chosen] : [tiles()[state.at]?.dataset.file].filter(Boolean);
const edit = (what, to) => {
  const which = files(); if (!which.length) return;
  tiles().filter(tile => which.includes(tile.dataset.file)).forEach(tile => {
    tile.classList.add('pending');
    if (what === 'relabel') { tile.querySelector('b').textContent = to; tile.querySelector('small')?.remove(); }
  });
  send({ do: what, files: which, to });
  const single = !state.chosen.size; state.chosen.clear(); paint();
  if (single && state.here) go(state.at + 1);
};
element.addEventListener('click', event => {
  const tile = event.target.closest('[data-file]'), tool = event.target.closest('[data-do]'), page = event.target.closest('[data-page]');
  if (tile) {
    const all = tiles(), to = all.indexOf(tile), file = tile.dataset.file;
    if (event.shiftKey) for (let i = Math.min(state.at, to); i <= Math.max(state.at, to); i++) { if (all[i].dataset.file) state.chosen.add(all[i].dataset.file); }
    else state.chosen.has(file) ? state.chosen.delete(file) : state.chosen.add(file);
    go(to); paint();
  } else if (tool) {
    const what = tool.dataset.do;
    what === 'undo' ? send({ do: 'undo' }) : edit(what, element.querySelector(`select[data-to=${what}]`)?.value ?? '');
  } else if (page && !page.disabled) { state.chosen.clear(); state.at = 0; send({ do: 'page', to: Number(page.dataset.page) }); }
});
element.addEventListener('keydown', event => {
  if (event.ctrlKey || event.metaKey || event.altKey || !event.target.closest('.tz-ex-grid')) return;
  const key = event.key, step = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns(), ArrowDown: columns(), Home: -1e6, End: 1e6 }[key];
  const label = JSON.parse(root().dataset.keys)[key.toLowerCase()];
  if (step) go(state.at + step);
  else if (key === ' ') { const file = tiles()[state.at]?.dataset.file; if (file) { state.chosen.has(file) ? state.chosen.delete(file) : state.chosen.add(file); paint(); } }
  else if (key === 'Escape') { state.chosen.clear(); paint(); }
  else if (key === 'Delete' || key === 'Backspace') edit('remove', '');
  else if (key.toLowerCase() === 'u') send({ do: 'undo' });
  else if (label !== undefined) edit('relabel', label);
  else return;
  event.preventDefault();
});
element.addEventListener('focusout', event => { if (event.relatedTarget && !element.contains(event.relatedTarget)) state.here = false; });
new MutationObserver(() => {
  const stamp = root()?.dataset.stamp;
  if (stamp === undefined || stamp === state.stamp) return;
  state.stamp = stamp; state.busy = false;
  const there = new Set(tiles().map(tile => tile.dataset.file));
  state.chosen.forEach(file => { if (!there.has(file)) state.chosen.delete(file); });
  go(state.at, state.here); paint(); flush();
}).observe(element, { childList: true, subtree: true, attributes: true, attributeFilter: ['data-stamp'] });
