import { lookup as dnsLookup, type LookupAddress, type LookupOptions } from 'node:dns';
import { BlockList, isIP, type LookupFunction } from 'node:net';
import { WeftError } from '../../platform/errors.js';

/** Networks that requests to somebody else's URL must not reach: what is behind a server's own door. */
const REFUSED: readonly string[] = [
  // IPv4 (IANA Special-Purpose Address Registry)
  ...['0.0.0.0/8', '10.0.0.0/8', '100.64.0.0/10', '127.0.0.0/8', '169.254.0.0/16', '172.16.0.0/12'],
  ...['192.0.0.0/24', '192.0.2.0/24', '192.88.99.0/24', '192.168.0.0/16', '198.18.0.0/15', '198.51.100.0/24'],
  ...['203.0.113.0/24', '224.0.0.0/4', '240.0.0.0/4'],
  // IPv6: all but global unicast, and of that what stands for IPv4 or documents
  ...['::/3', '4000::/2', '8000::/1', '2001::/23', '2001:db8::/32', '2002::/16', '3fff::/20'],
];

const MAPPED = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i;

/** Raised for an address that requests must not go to; tells no address, which may be of a host inside. */
export class AddressRefused extends Error {
  override readonly name = 'AddressRefused';
}

/**
 * Which addresses requests may go to: public ones, and those of networks that the operator allowed. Looked at when a URL
 * is set and again with each connection, after its name was resolved: the address that was looked at is connected to.
 */
export class AddressGuard {
  readonly #refused = new Networks(REFUSED);
  readonly #allowed: Networks;

  /** @param allowed addresses and networks, as `10.1.0.0/16` */
  constructor(allowed: readonly string[]) {
    this.#allowed = new Networks(allowed);
  }

  /** @param isPlain whether the connection is not encrypted, which is for networks that were allowed only */
  admits(address: string, isPlain: boolean): boolean {
    // Without the zone of a link-local address.
    const [own = ''] = address.split('%');
    const plain = MAPPED.exec(own)?.[1] ?? own;
    if (isIP(plain) === 0) return false;
    return this.#allowed.has(plain) || (!isPlain && !this.#refused.has(plain));
  }

  /**
   * The URL, if its form may be that of a receiver; names are resolved when requests are sent.
   * @throws WeftError BAD_REQUEST
   */
  checkUrl(text: string, maxLength: number): URL {
    const url = text.length <= maxLength && URL.canParse(text) ? new URL(text) : null;
    if (url === null || (url.protocol !== 'https:' && url.protocol !== 'http:')) {
      throw new WeftError('BAD_REQUEST', 'the URL of the endpoint cannot be used', {
        where: 'url',
        hint: `its form is https://host/path, ${String(maxLength)} characters at most`,
      });
    }
    if (url.username !== '' || url.password !== '') {
      throw new WeftError('BAD_REQUEST', 'the URL of the endpoint has a user or a password in it', {
        where: 'url',
        hint: 'send it as a header: authorization',
      });
    }
    const host = url.hostname.replace(/^\[(.*)\]$/, '$1');
    const isPlain = url.protocol === 'http:';
    if (isIP(host) !== 0 ? this.admits(host, isPlain) : host !== 'localhost' || this.admits('127.0.0.1', isPlain)) {
      return url;
    }
    throw new WeftError('BAD_REQUEST', 'the URL leads to an address that requests may not go to', {
      where: 'url',
      hint: 'use https and a public address, or let the operator allow the network in WEFT_ENDPOINT_NETWORKS',
    });
  }

  /** For connections: resolves a name, and fails where any of its addresses is refused. */
  lookup(isPlain: boolean): LookupFunction {
    return (hostname, options: LookupOptions, callback) => {
      dnsLookup(hostname, { ...options, all: true }, (error, addresses: LookupAddress[]) => {
        if (error !== null) {
          callback(error, '', 0);
          return;
        }
        const [first] = addresses;
        if (first === undefined || !addresses.every(({ address }) => this.admits(address, isPlain))) {
          callback(new AddressRefused('the name leads to an address that requests may not go to'), '', 0);
        } else if (options.all === true) {
          (callback as unknown as (error: null, found: LookupAddress[]) => void)(null, addresses);
        } else {
          callback(null, first.address, first.family);
        }
      });
    };
  }
}

/** A list for each family: one list would take IPv4 for the part of IPv6 that it is mapped to. */
class Networks {
  readonly #lists = { ipv4: new BlockList(), ipv6: new BlockList() };

  constructor(networks: readonly string[]) {
    for (const network of networks) {
      const [address = '', prefix] = network.split('/');
      const family = familyOf(address);
      const bits = prefix === undefined ? (family === 'ipv4' ? 32 : 128) : Number(prefix);
      this.#lists[family].addSubnet(address, bits, family);
    }
  }

  has(address: string): boolean {
    const family = familyOf(address);
    return this.#lists[family].check(address, family);
  }
}

function familyOf(address: string): 'ipv4' | 'ipv6' {
  return isIP(address) === 4 ? 'ipv4' : 'ipv6';
}
