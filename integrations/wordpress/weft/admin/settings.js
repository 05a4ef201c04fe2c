/* The button "Test connection" of the settings page. */
(function () {
  'use strict';

  const { __ } = window.wp.i18n;
  const form = document.getElementById('weft-settings');
  const button = document.getElementById('weft-test');
  const results = document.getElementById('weft-test-results');

  function show(lines) {
    const list = document.createElement('ul');
    for (const { part, ok, says } of lines) {
      const item = document.createElement('li');
      const name = document.createElement('strong');
      name.textContent = (ok ? '✓ ' : '✗ ') + part + ': ';
      item.className = ok ? 'weft-good' : 'weft-problem';
      item.append(name, says);
      list.append(item);
    }
    results.replaceChildren(list);
    results.scrollIntoView({ block: 'nearest' });
  }

  button.addEventListener('click', async () => {
    const fields = new FormData(form);
    fields.set('action', form.dataset.action);
    fields.set('_ajax_nonce', form.dataset.nonce);
    button.disabled = true;
    results.textContent = __('Testing…', 'weft');
    try {
      const response = await fetch(window.ajaxurl, { method: 'POST', credentials: 'same-origin', body: fields });
      const { success, data } = await response.json();
      if (!success) {
        throw new Error(String(response.status));
      }
      show(data);
    } catch {
      show([
        {
          part: __('WordPress', 'weft'),
          ok: false,
          says: __('The test did not run. Reload this page and try again.', 'weft'),
        },
      ]);
    } finally {
      button.disabled = false;
    }
  });
})();
