import { Gauge, Registry, collectDefaultMetrics } from 'prom-client';

/**
 * The values that a label may take: those listed, or as many different ones as the number says. Anything further is
 * counted under `other`, so that no input from outside can make series without end.
 */
export type LabelValues = readonly string[] | number;

/** Names of labels in the order in which their values are passed. */
export type Labels = Readonly<Record<string, LabelValues>>;

export interface CounterHandle {
  /** @param labels the values, in the order in which the labels were declared */
  add(count: number, ...labels: string[]): void;
  /** One series to add to, for what is counted so often that looking it up each time would show. */
  series(...labels: string[]): { add(count: number): void };
}

export interface HistogramHandle {
  observe(value: number, ...labels: string[]): void;
  /** One series to observe, as with counters. */
  series(...labels: string[]): { observe(value: number): void };
}

/** From 0.5 ms to 30 s, for durations in seconds as Prometheus wants them. */
export const DURATION_BUCKETS_S = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30];

/**
 * The metrics of one process, in the text format of Prometheus. Names get the prefix `weft_`. Counters and histograms are
 * kept here, because those of prom-client hash their labels on each call, which takes up to a microsecond.
 */
export class Metrics {
  readonly #registry = new Registry();
  readonly #families: Family[] = [];

  /** @param defaults with those of the process: CPU, memory, event-loop lag, garbage collection */
  constructor(options: { readonly defaults: boolean } = { defaults: true }) {
    if (options.defaults) collectDefaultMetrics({ register: this.#registry });
  }

  counter(name: string, help: string, labels: Labels = {}): CounterHandle {
    const series = new SeriesCache(labels, () => new CounterSeries());
    this.#families.push({ name: `weft_${name}`, help, type: 'counter', labelNames: Object.keys(labels), series });
    return {
      add: (count, ...values) => {
        series.get(values).add(count);
      },
      series: (...values) => series.get(values),
    };
  }

  /** @param buckets upper bounds, ascending */
  histogram(
    name: string,
    help: string,
    labels: Labels = {},
    buckets: readonly number[] = DURATION_BUCKETS_S,
  ): HistogramHandle {
    const series = new SeriesCache(labels, () => new HistogramSeries(buckets));
    this.#families.push({ name: `weft_${name}`, help, type: 'histogram', labelNames: Object.keys(labels), series });
    return {
      observe: (value, ...values) => {
        series.get(values).observe(value);
      },
      series: (...values) => series.get(values),
    };
  }

  /** Read when somebody asks for the metrics. */
  gauge(name: string, help: string, read: () => number): void {
    new Gauge({
      name: `weft_${name}`,
      help,
      registers: [this.#registry],
      collect() {
        this.set(read());
      },
    });
  }

  /**
   * One gauge for each of some things, read when somebody asks for the metrics; what is not among them is not shown.
   * @param read values of the labels, in the order in which they were declared, and the value; a bounded number of them
   */
  gauges(
    name: string,
    help: string,
    labelNames: readonly string[],
    read: () => Iterable<readonly [labels: readonly string[], value: number]>,
  ): void {
    new Gauge({
      name: `weft_${name}`,
      help,
      labelNames,
      registers: [this.#registry],
      collect() {
        this.reset();
        for (const [labels, value] of read()) this.labels(...labels).set(value);
      },
    });
  }

  get contentType(): string {
    return this.#registry.contentType;
  }

  async text(): Promise<string> {
    return `${await this.#registry.metrics()}${this.#families.map(familyText).join('')}`;
  }
}

interface Series {
  /** The samples of a series: what follows the name, a label of its own, the value. */
  samples(): (readonly [suffix: string, label: string, value: number])[];
}

interface Family {
  readonly name: string;
  readonly help: string;
  readonly type: 'counter' | 'histogram';
  readonly labelNames: readonly string[];
  readonly series: SeriesCache<Series>;
}

class CounterSeries implements Series {
  #total = 0;

  add(count: number): void {
    this.#total += count;
  }

  samples(): [string, string, number][] {
    return [['', '', this.#total]];
  }
}

class HistogramSeries implements Series {
  readonly #bounds: readonly number[];
  /** By bucket, the last for what is beyond all bounds; each value in one. */
  readonly #counts: Float64Array;
  #sum = 0;

  constructor(bounds: readonly number[]) {
    this.#bounds = bounds;
    this.#counts = new Float64Array(bounds.length + 1);
  }

  observe(value: number): void {
    if (!Number.isFinite(value)) return;
    const bounds = this.#bounds;
    let bucket = 0;
    while (bucket < bounds.length && value > (bounds[bucket] as number)) bucket++;
    this.#counts[bucket] = (this.#counts[bucket] as number) + 1;
    this.#sum += value;
  }

  samples(): [string, string, number][] {
    let count = 0;
    const buckets = Array.from(this.#counts, (inBucket, i): [string, string, number] => {
      count += inBucket;
      return ['_bucket', `le="${String(this.#bounds[i] ?? '+Inf')}"`, count];
    });
    return [...buckets, ['_sum', '', this.#sum], ['_count', '', count]];
  }
}

function familyText({ name, help, type, labelNames, series }: Family): string {
  const lines = [`# HELP ${name} ${help}`, `# TYPE ${name} ${type}`];
  for (const { values, series: one } of series.all()) {
    const own = labelNames.map((label, i) => `${label}="${escapeLabel(values[i] ?? '')}"`);
    for (const [suffix, label, value] of one.samples()) {
      const all = label === '' ? own : [...own, label];
      lines.push(`${name}${suffix}${all.length === 0 ? '' : `{${all.join(',')}}`} ${String(value)}`);
    }
  }
  return `${lines.join('\n')}\n`;
}

/** The text format of Prometheus, "Comments, help text, and type information". */
function escapeLabel(value: string): string {
  return value.replace(/[\\"\n]/g, (char) => (char === '\n' ? '\\n' : `\\${char}`));
}

/** Finds the series of a list of label values without building an object or a string for one label or none. */
class SeriesCache<T extends Series> {
  /** By the values that were admitted only: bounded as those are. */
  readonly #series = new Map<string, { readonly values: readonly string[]; readonly series: T }>();
  readonly #bounds: readonly LabelBound[];
  readonly #make: () => T;

  constructor(labels: Labels, make: () => T) {
    this.#bounds = Object.values(labels).map((values) => new LabelBound(values));
    this.#make = make;
    // Without labels there is but one series, which is shown before anything happens.
    if (this.#bounds.length === 0) this.get([]);
  }

  get(values: readonly string[]): T {
    const found = this.#series.get(keyOf(values));
    if (found !== undefined) return found.series;
    const admitted = this.#bounds.map((bound, i) => bound.admit(values[i] ?? ''));
    const known = this.#series.get(keyOf(admitted));
    if (known !== undefined) return known.series;
    const series = this.#make();
    this.#series.set(keyOf(admitted), { values: admitted, series });
    return series;
  }

  all(): Iterable<{ readonly values: readonly string[]; readonly series: T }> {
    return this.#series.values();
  }
}

function keyOf(values: readonly string[]): string {
  return values.length === 1 ? (values[0] ?? '') : values.join('\0');
}

class LabelBound {
  readonly #known: Set<string>;
  readonly #max: number;

  constructor(values: LabelValues) {
    this.#known = new Set(typeof values === 'number' ? [] : values);
    this.#max = typeof values === 'number' ? values : values.length;
  }

  admit(value: string): string {
    if (this.#known.has(value)) return value;
    if (this.#known.size >= this.#max) return 'other';
    this.#known.add(value);
    return value;
  }
}
