import { describe, expect, it } from 'vitest';
import { Metrics } from './metrics.js';

describe('Metrics', () => {
  it('counts by label and prints the text format of Prometheus', async () => {
    const metrics = new Metrics({ defaults: false });
    const events = metrics.counter('events_total', 'Events by outcome.', { outcome: ['accepted', 'refused'] });
    events.add(2, 'accepted');
    events.add(3, 'accepted');
    const text = await metrics.text();
    expect(text).toContain('# HELP weft_events_total Events by outcome.');
    expect(text).toContain('weft_events_total{outcome="accepted"} 5');
    expect(metrics.contentType).toMatch(/^text\/plain; version=0\.0\.4/);
  });

  it('puts values that were not declared under "other"', async () => {
    const metrics = new Metrics({ defaults: false });
    const events = metrics.counter('events_total', 'Events.', { outcome: ['accepted'], source: 2 });
    for (let i = 0; i < 1_000; i += 1) events.add(1, 'made up', `source ${String(i)}`);
    const series = (await metrics.text()).split('\n').filter((line) => line.startsWith('weft_events_total{'));
    expect(series).toEqual([
      'weft_events_total{outcome="other",source="source 0"} 1',
      'weft_events_total{outcome="other",source="source 1"} 1',
      'weft_events_total{outcome="other",source="other"} 998',
    ]);
  });

  it('sorts durations into buckets', async () => {
    const metrics = new Metrics({ defaults: false });
    metrics.histogram('apply_seconds', 'Time of one batch.').observe(0.004);
    const text = await metrics.text();
    expect(text).toContain('weft_apply_seconds_bucket{le="0.0025"} 0');
    expect(text).toContain('weft_apply_seconds_bucket{le="0.005"} 1');
  });

  it('prints a histogram with its sum, its count and what is beyond all bounds', async () => {
    const metrics = new Metrics({ defaults: false });
    const runs = metrics.histogram('run_seconds', 'Runs.', { model: 2 }, [0.1, 1]);
    for (const value of [0.1, 0.5, 2, Number.NaN]) runs.observe(value, 'a');
    expect((await metrics.text()).trim().split('\n')).toEqual([
      '# HELP weft_run_seconds Runs.',
      '# TYPE weft_run_seconds histogram',
      'weft_run_seconds_bucket{model="a",le="0.1"} 1',
      'weft_run_seconds_bucket{model="a",le="1"} 2',
      'weft_run_seconds_bucket{model="a",le="+Inf"} 3',
      'weft_run_seconds_sum{model="a"} 2.6',
      'weft_run_seconds_count{model="a"} 3',
    ]);
  });

  it('counts one series by its handle and by its labels alike', async () => {
    const metrics = new Metrics({ defaults: false });
    const events = metrics.counter('events_total', 'Events.', { source: 2 });
    events.series('web').add(2);
    events.add(1, 'web');
    expect(await metrics.text()).toContain('weft_events_total{source="web"} 3');
  });

  it('shows a counter without labels before anything is counted, and escapes the values of labels', async () => {
    const metrics = new Metrics({ defaults: false });
    metrics.counter('merges_total', 'Merges.');
    metrics.counter('events_total', 'Events.', { source: 2 }).add(1, 'a"b\\c\nd');
    const text = await metrics.text();
    expect(text).toContain('\nweft_merges_total 0\n');
    expect(text).toContain('{source="a\\"b\\\\c\\nd"} 1');
  });

  it('reads a gauge when it is asked for', async () => {
    const metrics = new Metrics({ defaults: false });
    let lag = 1;
    metrics.gauge('lag_events', 'Events behind.', () => lag);
    lag = 7;
    expect(await metrics.text()).toContain('weft_lag_events 7');
  });

  it('brings the metrics of the process along', async () => {
    expect(await new Metrics().text()).toContain('nodejs_eventloop_lag_seconds');
  });
});
