// The page in another language: what English text nodes and names say is looked up and shown in Korean, and back again.
(() => {
  const VERSION = '%VERSION%', KEY = 'transfer-zoo-language', NAMES = ['aria-label', 'title', 'placeholder', 'alt', 'data-told'];
  const SKIP = 'script,style,code,pre,noscript,[translate=no],[contenteditable=true],option:not([value]),.tz-own [role=listbox]';
  const page = document.documentElement;
  const asked = new URL(location.href).searchParams.get('lang') ?? new URL(location.href).searchParams.get('__lang');
  const kept = () => { try { return localStorage.getItem(KEY); } catch { return null; } };
  const first = asked || kept() || (navigator.languages?.[0] ?? navigator.language ?? 'en');
  let language = /^ko\b/i.test(first) ? 'ko' : 'en', book = null, coming = null;
  // Gradio speaks English too, so that its own words are in the one catalogue and turn with the switch.
  try { for (const [name, value] of [['language', 'en'], ['languages', ['en']]]) Object.defineProperty(navigator, name, { value, configurable: true }); } catch { /* then it speaks what it likes */ }

  // ---- Looking a sentence up ----
  const escaped = text => text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
  const words = text => text.match(/[A-Za-z’']+/g) ?? [];
  const bind = catalogue => {
    const whole = new Map(), often = new Map(), held = [];
    const all = Object.entries(catalogue);
    for (const [english, korean] of all) {
      if (!english.includes('{}')) { whole.set(english, korean); continue; }
      if (/^\{\} [A-Z]/.test(english) && korean.startsWith('{0} ')) {  // the sentence after another, alone
        const rest = english.slice(3), moved = korean.slice(4).replace(/\{(\d)/g, (_, at) => `{${at - 1}`);
        if (rest.includes('{}')) all.push([rest, moved]); else whole.set(rest, moved);
      }
      const parts = english.split('{}'), literal = [...new Set(parts.flatMap(words))];
      literal.forEach(word => often.set(word, (often.get(word) ?? 0) + 1));
      held.push({ parts, korean, literal, weight: parts.join('').length, pattern: null });
    }
    const by = new Map();
    for (const one of held) {  // under the rarest of its words
      const rare = one.literal.reduce((best, word) => often.get(word) < often.get(best) ? word : best, one.literal[0] ?? '');
      by.set(rare, [...(by.get(rare) ?? []), one]);
    }
    return { whole, by, seen: new Map(), shapes: new Map(), unknown: new Set() };
  };
  const last = text => text.replace(/[\s"'”’)\]…]+$/u, '').slice(-1);
  const final = letter => {  // 0 none, 8 is ㄹ
    const code = letter.charCodeAt(0);
    if (code >= 0xac00 && code <= 0xd7a3) return (code - 0xac00) % 28;
    if (/\d/.test(letter)) return { 0: 1, 1: 8, 3: 1, 6: 1, 7: 8, 8: 8 }[letter] ?? 0;
    return /[lr]/i.test(letter) ? 8 : /[bckmnpt]/i.test(letter) ? 1 : 0;
  };
  const PAIRS = { '은(는)': ['은', '는'], '이(가)': ['이', '가'], '을(를)': ['을', '를'], '과(와)': ['과', '와'], '(으)로': ['으로', '로'], '(이)': ['이', ''] };
  const particles = text => text.replace(/은\(는\)|이\(가\)|을\(를\)|과\(와\)|\(으\)로|\(이\)/g, (which, at) => {
    const sound = final(last(text.slice(0, at)) || 'a');
    return PAIRS[which][sound && !(which === '(으)로' && sound === 8) ? 0 : 1];
  });
  const HOLE = '((?:(?![.!?] ).)*?)', WEAK = '((?:(?![.!?:,] ).){0,60}?)', TIGHT = '([^\\s,;(]*)';  // what is put in ends no sentence, nor, into a few words, an item of a list
  const regular = ({ parts, weight }) => new RegExp(`^${parts.map((part, i) => (i && (part === '' && i < parts.length - 1 ? TIGHT : weight < 11 ? WEAK : HOLE)) || '').map((hole, i) => hole + escaped(parts[i])).join('')}$`, 's');
  const matched = text => {
    const shape = text.replace(/\d+/g, '0'), known = book.shapes.get(shape);  // other numbers, the same sentence
    let best = null, caught = known?.pattern.exec(text) ?? null;
    if (caught) best = known; else
    for (const word of new Set(['', ...words(text)])) {
      for (const one of book.by.get(word) ?? []) {
        if (best && one.weight <= best.weight) continue;
        if (!one.parts.every(part => text.includes(part.trim()))) continue;
        one.pattern ??= regular(one);
        const hit = one.pattern.exec(text);
        if (hit && (one.weight >= 11 || hit.slice(1).every(put => put.split(' ').length < 5))) { best = one; caught = hit; }
      }
    }
    if (!best) return null;
    book.shapes.set(shape, best);
    return particles(best.korean.replace(/\{(\d)(!?)\}/g, (_, at, raw) => raw ? caught[+at + 1] : said(caught[+at + 1])));
  };
  const direct = text => book.whole.get(text) ?? matched(text);
  const split = (text, at, joint, all) => {
    const parts = text.split(at);
    if (parts.length < 2 || parts.length > 24) return null;
    const out = parts.map(part => part && found(part));
    if (all ? out.some((one, i) => one === null && /[A-Za-z]{2}/.test(parts[i])) : false) return null;
    return out.some(one => one) ? out.map((one, i) => one ?? parts[i]).join(joint) : null;
  };
  const sentences = text => {  // the longest run of sentences that one template holds, then the next
    const parts = text.split(/(?<=[.!?:]) /);
    if (parts.length < 2) return null;
    const out = []; let any = false;
    for (let i = 0; i < parts.length;) {
      let end = Math.min(parts.length, i + 5), hit = null;
      for (; end > i; end--) if ((hit = direct(parts.slice(i, end).join(' '))) !== null) break;
      if (hit === null) { end = i + 1; hit = parts.length > 1 ? found(parts[i]) : null; }
      any ||= hit !== null; out.push(hit ?? parts[i]); i = end;
    }
    return any ? out.join(' ') : null;
  };
  const found = text => {
    const core = text.trim().replace(/\s+/g, ' ');
    if (!/[A-Za-z]/.test(core)) return null;
    if (book.seen.has(core)) return book.seen.get(core);
    const shape = core.replace(/\d+/g, '0');
    if (book.unknown.has(shape) && !book.whole.has(core)) return null;
    const bare = /[.,;:…]$/.test(core) ? /^()(.*?)(\s*[.,;:…]+)$/s.exec(core) : /^([→·✓(“"+,;]+\s*)?(.*?)(\s*[)”"→]+)?$/s.exec(core);
    const colon = core.indexOf(': ') + 1, opening = colon ? book.whole.get(core.slice(0, colon)) : null;  // "Most often: …", whatever follows
    let hit = (opening ? `${opening} ${said(core.slice(colon + 1))}` : null) ?? direct(core) ?? sentences(core) ?? split(core, ' · ', ' · ', false) ?? split(core, '; ', '; ', true) ?? split(core, ', ', ', ', true) ?? split(core, ' → ', ' → ', false);
    if (hit === null && bare && bare[2] && bare[2] !== core) { const inner = found(bare[2]); hit = inner === null ? null : (bare[1] ?? '') + inner + (bare[3] ?? ''); }
    if (book.seen.size > 20000) { book.seen.clear(); book.shapes.clear(); book.unknown.clear(); }
    if (hit === null) book.unknown.add(shape);
    book.seen.set(core, hit);
    return hit;
  };
  const said = text => { const hit = found(text); return hit === null ? text : text.replace(/^(\s*)[^]*?(\s*)$/, (_, before, after) => before + hit + after); };

  // ---- Putting it on the page, and taking it back ----
  const texts = new WeakMap(), named = new WeakMap();
  const put = node => {
    const now = node.nodeValue, before = texts.get(node);
    if (before && before.shown === now) return;
    if (!/[A-Za-z]/.test(now) || !node.parentElement || node.parentElement.nodeName === 'TEXTAREA') { texts.delete(node); return; }
    const shown = said(now);
    if (shown === now) { texts.delete(node); return; }
    texts.set(node, { source: now, shown }); node.nodeValue = shown;
  };
  const name = (element, attribute) => {
    const now = element.getAttribute(attribute), all = named.get(element) ?? {};
    if (now === null || all[attribute]?.shown === now ) return;
    const shown = said(now);
    if (shown === now) return;
    all[attribute] = { source: now, shown }; named.set(element, all); element.setAttribute(attribute, shown);
  };
  const each = (root, text, attribute) => {
    const top = root.nodeType === 1 ? root : root.nodeType === 3 ? root.parentElement : null;
    if (!top || top.closest(SKIP)) return;
    if (root.nodeType === 3) { text(root); return; }
    const walk = document.createTreeWalker(root, 5, node => node.nodeType === 1 && node.matches(SKIP) ? 2 : 1);
    for (let node = root; node; node = walk.nextNode()) {
      if (node.nodeType === 3) text(node);
      else for (const one of NAMES) if (node.hasAttribute(one)) attribute(node, one);
    }
  };
  const back = root => each(root,
    node => { const one = texts.get(node); if (one) { if (node.nodeValue === one.shown) node.nodeValue = one.source; texts.delete(node); } },
    (element, one) => { const all = named.get(element); if (all?.[one]) { if (element.getAttribute(one) === all[one].shown) element.setAttribute(one, all[one].source); delete all[one]; } });
  // What is chosen in a list is the value of an input: Korean is shown, the page goes on reading and writing English.
  const LISTS = 'input[role=combobox]', plain = Object.getOwnPropertyDescriptor(HTMLInputElement.prototype, 'value'), chosen = new WeakMap();
  const list = input => {
    if (input.closest('.tz-own,[translate=no]')) return;
    if (!chosen.has(input)) {
      chosen.set(input, {});
      Object.defineProperty(input, 'value', {
        configurable: true,
        get() { const now = plain.get.call(this), one = chosen.get(this); return now === one.shown ? one.source : now; },
        set(value) {
          const source = String(value ?? ''), shown = book && language === 'ko' ? said(source) : source;
          chosen.set(this, { source, shown }); plain.set.call(this, shown);
        },
      });
    }
    if (input !== document.activeElement) input.value = input.value;
  };
  const lists = root => { if (root.nodeType !== 1) return; if (root.matches(LISTS)) list(root); root.querySelectorAll(LISTS).forEach(list); };
  const switches = () => {
    document.querySelectorAll('[data-language]').forEach(one => one.setAttribute('aria-pressed', String(one.dataset.language === language)));
    document.querySelectorAll('.tz-guide').forEach(one => one.setAttribute('href', one.getAttribute('href').replace(/\?.*|$/, `?lang=${language}`)));
  };
  const watch = new MutationObserver(records => {
    for (const one of records) {
      if (one.type === 'characterData') { if (book && language === 'ko') each(one.target, put, name); }
      else if (one.type === 'attributes') { if (book && language === 'ko' && !one.target.closest(SKIP)) name(one.target, one.attributeName); }
      else one.addedNodes.forEach(node => {
        if (node.nodeType === 1 && (node.matches('[data-language]') || node.querySelector('[data-language]'))) switches();
        if (book && language === 'ko') { each(node, put, name); lists(node); }
      });
    }
  });
  const turn = async () => {
    page.lang = language; switches();
    if (language !== 'ko') { if (document.body) { back(document.body); lists(document.body); } return; }
    coming ??= window.studioBook ? Promise.resolve(window.studioBook) : fetch(`${window.gradio_config?.root ?? location.origin}/language/ko.json?v=${VERSION}`).then(answer => answer.ok ? answer.json() : Promise.reject(new Error(answer.status)));
    try { book ??= bind(await coming); } catch { coming = null; return; }
    if (language === 'ko' && document.body) { each(document.body, put, name); lists(document.body); }
  };
  const choose = to => { language = to; try { localStorage.setItem(KEY, to); } catch { /* a private window forgets */ } turn(); };
  document.addEventListener('click', event => {
    const one = event.target.closest?.('[data-language]');
    if (!one) return;
    const here = new URL(location.href);
    if (here.searchParams.has('lang')) { here.searchParams.set('lang', one.dataset.language); history.replaceState(history.state, '', here); }
    choose(one.dataset.language);
  });
  watch.observe(page, { childList: true, subtree: true, characterData: true, attributes: true, attributeFilter: NAMES });
  if (asked) try { localStorage.setItem(KEY, language); } catch { /* as above */ }
  document.addEventListener('DOMContentLoaded', turn);
  turn();
  window.studioLanguage = { choose, translate: text => book ? said(text) : text, over: root => { back(root); book?.seen.clear(); const begun = performance.now(); each(root, put, name); return performance.now() - begun; } };
})();
