// The language of the guide, by the rule of the page: what the address asks for, else what was chosen before, else that of
// the browser, which the server goes by. What is asked for is remembered.
(() => {
  const KEY = 'transfer-zoo-language', here = new URL(location.href), shown = document.documentElement.lang;
  try {
    if (here.searchParams.get('lang') ?? here.searchParams.get('__lang')) { localStorage.setItem(KEY, shown); return; }
    const chosen = localStorage.getItem(KEY), language = /^ko\b/i.test(chosen ?? '') ? 'ko' : 'en';
    if (!chosen || language === shown) return;
    here.searchParams.set('lang', language);
    location.replace(here);
  } catch { /* a private window remembers nothing */ }
})();
