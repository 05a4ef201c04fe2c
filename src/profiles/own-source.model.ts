/** The source of the events that Weft itself writes. */
export const OWN_SOURCE = { key: 'weft', name: 'Weft', kind: 'http' } as const;
