/** Of the program, as in package.json, which is not beside it once it is built. */
export const VERSION = '0.1.0';
