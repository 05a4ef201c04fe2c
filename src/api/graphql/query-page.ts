/** What a browser sees at `/graphql`: how to ask, with nothing from elsewhere. */
export const QUERY_PAGE = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Weft GraphQL API</title>
<style>
  body { font: 16px/1.5 system-ui, sans-serif; max-width: 46rem; margin: 3rem auto; padding: 0 1rem; }
  pre { background: #f4f4f4; padding: 1rem; overflow-x: auto; }
  code { font-family: ui-monospace, monospace; font-size: 0.9em; }
</style>
</head>
<body>
<h1>Weft GraphQL API</h1>
<p>Queries and mutations are sent here as <code>POST</code> with an API key:</p>
<pre><code>curl <span class="origin">http://localhost:4000</span>/graphql \\
  -H 'Authorization: Bearer &lt;key&gt;' -H 'Content-Type: application/json' \\
  -d '{"query":"{ segments { edges { node { key size } } } }"}'</code></pre>
<p>Subscriptions go over WebSocket to this address (protocol <code>graphql-transport-ws</code>,
<code>connectionParams: { apiKey }</code>) or as server-sent events:</p>
<pre><code>curl -N <span class="origin">http://localhost:4000</span>/graphql/stream \\
  -H 'Authorization: Bearer &lt;key&gt;' -H 'Content-Type: application/json' -H 'Accept: text/event-stream' \\
  -d '{"query":"subscription { segmentChanges { cursor kind at profileId segment { key } } }"}'</code></pre>
<p>Any GraphQL client shows the schema: it may be introspected with a key that may read.</p>
<script>for (const place of document.querySelectorAll('.origin')) place.textContent = location.origin;</script>
</body>
</html>
`;
