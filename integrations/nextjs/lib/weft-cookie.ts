/** The cookie in which `@weft/js` keeps the visitor's anonymous id, on the server and in the browser. */
export const COOKIE = 'weft_id';
