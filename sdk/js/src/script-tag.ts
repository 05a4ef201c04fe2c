/** The client as the global `Weft`, for pages that load it by a script tag. */
import { choose, createWeft } from './weft.js';

(globalThis as { Weft?: object }).Weft = { choose, createWeft };
