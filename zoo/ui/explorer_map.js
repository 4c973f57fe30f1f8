const show = event => {
  const dot = event.target.closest('.tz-dots > i'), box = element.querySelector('.tz-dots > figure');
  if (!box) return;
  box.hidden = !dot;
  if (!dot) return;
  box.replaceChildren();
  if (dot.dataset.src) { const picture = new Image(); picture.src = dot.dataset.src; box.append(picture); }
  box.append(dot.dataset.told);
  const x = parseFloat(dot.style.left), y = parseFloat(dot.style.bottom);
  box.style.left = x > 60 ? 'auto' : `${x}%`; box.style.right = x > 60 ? `${100 - x}%` : 'auto';
  box.style.bottom = y > 55 ? 'auto' : `${y}%`; box.style.top = y > 55 ? `${100 - y}%` : 'auto';
};
element.addEventListener('pointerover', show);
element.addEventListener('click', show);
