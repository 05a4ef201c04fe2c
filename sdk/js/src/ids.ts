/** A random UUID, version 4 (RFC 9562). `crypto.randomUUID` is missing on pages without TLS. */
export function newUuid(): string {
  const hex = Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte, i) => {
    const marked = i === 6 ? (byte & 0x0f) | 0x40 : i === 8 ? (byte & 0x3f) | 0x80 : byte;
    return marked.toString(16).padStart(2, '0');
  }).join('');
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-');
}

/** Whether nobody can guess it, as Weft demands of an anonymous id that needs no signature. */
export function isUnguessable(id: string): boolean {
  return /^[\w-]{21,200}$/.test(id);
}
