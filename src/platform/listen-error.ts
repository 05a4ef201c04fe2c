import { WeftError } from './errors.js';
import { errnoOf } from './file-lock.js';

const USUAL_HOSTS = 'Set WEFT_HOST to 127.0.0.1 (this machine only), 0.0.0.0 (all of its addresses) or one of its own.';
const OTHER_PORT = 'Stop what listens there, or set WEFT_PORT to another port.';

/** Why an address cannot be listened on, with the variable that is to be changed. */
export function listenError(error: unknown, host: string, port: number): WeftError {
  const { what, where, hint } = reasonOf(errnoOf(error), host, port);
  return new WeftError('CONFIG_INVALID', what, { where, hint, cause: error });
}

function reasonOf(errno: string, host: string, port: number): { what: string; where: string; hint: string } {
  const where = 'WEFT_HOST';
  switch (errno) {
    case 'EADDRINUSE':
      return { what: `port ${String(port)} of ${host} is taken`, where: 'WEFT_PORT', hint: OTHER_PORT };
    case 'EACCES':
      return {
        what: `port ${String(port)} of ${host} may not be used by this user`,
        where: 'WEFT_PORT',
        hint: 'Set WEFT_PORT to one above 1023.',
      };
    case 'EADDRNOTAVAIL':
      return { what: `${host} is no address of this machine`, where, hint: USUAL_HOSTS };
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
      return { what: `the name ${host} does not resolve to an address`, where, hint: USUAL_HOSTS };
    case 'EAFNOSUPPORT':
    case 'EINVAL':
      return { what: `this machine cannot listen on addresses like ${host}`, where, hint: USUAL_HOSTS };
    default:
      return {
        what: `port ${String(port)} of ${host} cannot be listened on${errno === '' ? '' : ` (${errno})`}`,
        where: 'WEFT_HOST, WEFT_PORT',
        hint: 'Set them to an address of this machine and a free port.',
      };
  }
}
