import { describe, expect, it } from 'vitest';
import { formatSummary, table } from './demo-report.js';

describe('the demo report', () => {
  it('lines up numbers to the right and text to the left', () => {
    expect(
      table(
        ['name', 'n'],
        [
          ['a', '1,000'],
          ['longer', '7'],
        ],
      ),
    ).toBe(['  name        n', '  a       1,000', '  longer      7'].join('\n'));
  });

  it('gives the share of a segment in its audience, and none for an audience', () => {
    const quality = {
      precision: 0.998,
      recall: 0.877,
      people: 10,
      profiles: 9,
      identifiers: 20,
      linkedPairs: 1,
      wrongPairs: 0,
      missedPairs: 0,
    };
    const text = formatSummary({
      loads: [],
      events: 5,
      profiles: 3,
      merges: 1,
      identifiers: 7,
      features: 2,
      models: ['m'],
      quality,
      seconds: 1,
      segments: [
        { key: 'customers', name: 'Customers', size: 40, audience: null },
        { key: 'loyal', name: 'Loyal', size: 10, audience: { key: 'customers', size: 40 } },
      ],
    });
    expect(text).toContain('loyal           10  customers  25.0 %');
    expect(text).toContain('precision 0.998, recall 0.877');
    expect(text).not.toContain('events/s');
  });
});
