const send = (button, to) => {
  const card = button.closest('[data-class]');
  trigger('click', { choice: JSON.stringify({ do: button.dataset.edit, class: card.dataset.class, to, about: card.parentElement.dataset.dataset }) });
};
element.addEventListener('click', event => {
  const button = event.target.closest('[data-edit]');
  if (!button || button.disabled) return;
  const form = button.closest('[data-class]').querySelector('.tz-class-edit'), name = form.querySelector('input');
  if (button.dataset.edit === 'open') {
    form.hidden = !form.hidden; button.setAttribute('aria-expanded', String(!form.hidden));
    if (!form.hidden) { name.focus(); name.select(); }
  } else send(button, name.value);
});
element.addEventListener('input', event => {
  const card = event.target.closest('[data-class]');
  if (!card) return;
  const to = event.target.value.trim(), button = card.querySelector('[data-edit=name]');
  const taken = [...element.querySelectorAll('[data-class]')].some(one => one !== card && one.dataset.class === to);
  button.disabled = !to || to === card.dataset.class;
  button.textContent = taken ? 'Merge' : 'Rename';
});
element.addEventListener('keydown', event => {
  const card = event.target.closest('input') && event.target.closest('[data-class]');
  if (!card) return;
  const button = card.querySelector('[data-edit=name]');
  if (event.key === 'Enter' && !button.disabled) send(button, event.target.value);
  if (event.key === 'Escape') { card.querySelector('.tz-class-edit').hidden = true; card.querySelector('[data-edit=open]').focus(); }
});
