// The page at /graphql: asks for a key, and shows GraphiQL with it. Nothing here talks to another origin.
'use strict';

const STORED_KEY = 'weft.apiKey';
const ENDPOINT = location.pathname;
const FIRST_QUERY = `# Ctrl-Enter runs this; the book shows the schema.
{
  segments(first: 10) {
    edges {
      node {
        key
        name
        size
      }
    }
  }
}
`;

const element = (id) => document.getElementById(id);
let root = null;

/** Answers of queries and mutations, one; of subscriptions, as they come. */
function fetcher(params) {
  return isSubscription(params) ? follow(params) : ask(params);
}

/** By the text: the tree that GraphiQL passes along is that of a moment before. */
function isSubscription({ query, operationName }) {
  const text = query.replace(/#[^\n]*|"(?:[^"\\\n]|\\.)*"/g, ' ');
  if (operationName) return new RegExp(`\\bsubscription\\s+${operationName}\\b`).test(text);
  return /(?:^|\})\s*subscription\s*[({@]/.test(text);
}

function send(url, params, accept, signal) {
  const headers = {
    'content-type': 'application/json',
    accept,
    authorization: `Bearer ${sessionStorage.getItem(STORED_KEY) ?? ''}`,
  };
  return fetch(url, { method: 'POST', headers, body: JSON.stringify(params), signal });
}

async function ask(params) {
  const response = await send(ENDPOINT, params, 'application/graphql-response+json, application/json;q=0.9');
  if (response.status === 401) refuse();
  return response.json();
}

/**
 * The events of graphql-sse, distinct connections mode. Not the generator itself: its `return` would wait for the event that
 * it is waiting for, which may never come.
 */
function follow(params) {
  const control = new AbortController();
  const events = eventsOf(params, control.signal);
  return {
    next: () => events.next(),
    return: async () => {
      control.abort();
      return { done: true, value: undefined };
    },
    [Symbol.asyncIterator]() {
      return this;
    },
  };
}

async function* eventsOf(params, signal) {
  try {
    const response = await send(`${ENDPOINT}/stream`, params, 'text/event-stream', signal);
    if (!response.ok) {
      if (response.status === 401) refuse();
      yield await response.json();
      return;
    }
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    let text = '';
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      const events = (text + value).split('\n\n');
      text = events.pop();
      for (const event of events) {
        if (event.startsWith('event: complete')) return;
        const data = /^data: (.*)$/m.exec(event)?.[1];
        if (data) yield JSON.parse(data);
      }
    }
  } catch (error) {
    if (!signal.aborted) throw error;
  }
}

function say(text, isWrong = false) {
  element('state').textContent = text;
  element('state').classList.toggle('is-wrong', isWrong);
}

function refuse() {
  say('This key is not valid: it is wrong, has expired or was revoked.', true);
}

let isForgotten = false;

/** What GraphiQL notes down, some of it a moment later: once all is to be forgotten, nothing more. */
const notes = {
  get length() {
    return sessionStorage.length;
  },
  getItem: (name) => sessionStorage.getItem(name),
  setItem: (name, value) => {
    if (!isForgotten) sessionStorage.setItem(name, value);
  },
  removeItem: (name) => {
    sessionStorage.removeItem(name);
  },
  clear: () => {
    sessionStorage.clear();
  },
};

function show(key) {
  element('key').value = '';
  element('key').placeholder = `${key.slice(0, 11)}…`;
  element('forget').hidden = false;
  say('The key stays in this tab; it is gone when the tab is closed.');
  root?.unmount();
  root = ReactDOM.createRoot(element('graphiql'));
  // What is written stays in the tab as well: variables name people.
  root.render(
    React.createElement(
      GraphiQL,
      { fetcher, defaultQuery: FIRST_QUERY, storage: notes, isHeadersEditorEnabled: false },
      React.createElement(GraphiQL.Logo, null, 'Weft'),
    ),
  );
}

/** Once it is there: whoever has entered a key goes on to write. */
function focusEditor() {
  const place = element('graphiql');
  const observer = new MutationObserver(() => {
    const editor = place.querySelector('.graphiql-query-editor .CodeMirror');
    if (editor === null) return;
    observer.disconnect();
    editor.CodeMirror.focus();
  });
  observer.observe(place, { childList: true, subtree: true });
}

element('key-form').addEventListener('submit', (event) => {
  event.preventDefault();
  const key = element('key').value.trim();
  if (key === '') return;
  sessionStorage.setItem(STORED_KEY, key);
  show(key);
  focusEditor();
});

element('forget').addEventListener('click', () => {
  isForgotten = true;
  sessionStorage.clear();
  location.reload();
});

for (const place of document.querySelectorAll('.origin')) place.textContent = location.origin;
const known = sessionStorage.getItem(STORED_KEY);
if (known !== null) show(known);
