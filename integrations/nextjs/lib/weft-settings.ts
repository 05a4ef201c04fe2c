/**
 * Where Weft is and with what keys, read when a page is rendered, so that one build serves every environment.
 *
 * `WEFT_URL` is where this server reaches Weft, `WEFT_PUBLIC_URL` where browsers do, if that is elsewhere.
 */
export function weftSettings() {
  const url = process.env.WEFT_URL ?? 'http://127.0.0.1:4000';
  return {
    /** For the server: an edge key works here too, the signing secret stays here. */
    server: {
      url,
      edgeKey: process.env.WEFT_EDGE_KEY,
      signingSecret: process.env.WEFT_SIGNING_SECRET,
      /** How long a page waits for Weft, ms. After that it shows the default. */
      deadlineMs: Number(process.env.WEFT_DEADLINE_MS ?? 150),
    },
    /** For the browser: keys that may be seen by everybody. */
    browser: {
      url: process.env.WEFT_PUBLIC_URL ?? url,
      edgeKey: process.env.WEFT_EDGE_KEY,
      writeKey: process.env.WEFT_WRITE_KEY,
    },
  };
}
