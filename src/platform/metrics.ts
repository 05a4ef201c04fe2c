import { Counter, Gauge, Histogram, Registry, collectDefaultMetrics } from 'prom-client';

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
}

export interface HistogramHandle {
  observe(value: number, ...labels: string[]): void;
}

/** From 0.5 ms to 30 s, for durations in seconds as Prometheus wants them. */
export const DURATION_BUCKETS_S = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30];

/** The metrics of one process, in the text format of Prometheus. Names get the prefix `weft_`. */
export class Metrics {
  readonly #registry = new Registry();

  /** @param defaults with those of the process: CPU, memory, event-loop lag, garbage collection */
  constructor(options: { readonly defaults: boolean } = { defaults: true }) {
    if (options.defaults) collectDefaultMetrics({ register: this.#registry });
  }

  counter(name: string, help: string, labels: Labels = {}): CounterHandle {
    const labelNames = Object.keys(labels);
    const counter = new Counter({ name: `weft_${name}`, help, labelNames, registers: [this.#registry] });
    const series = new SeriesCache(labels, (values) => counter.labels(...values));
    return {
      add: (count, ...values) => {
        series.get(values).inc(count);
      },
    };
  }

  histogram(
    name: string,
    help: string,
    labels: Labels = {},
    buckets: readonly number[] = DURATION_BUCKETS_S,
  ): HistogramHandle {
    const histogram = new Histogram({
      name: `weft_${name}`,
      help,
      labelNames: Object.keys(labels),
      buckets: [...buckets],
      registers: [this.#registry],
    });
    const series = new SeriesCache(labels, (values) => histogram.labels(...values));
    return {
      observe: (value, ...values) => {
        series.get(values).observe(value);
      },
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

  get contentType(): string {
    return this.#registry.contentType;
  }

  async text(): Promise<string> {
    return this.#registry.metrics();
  }
}

/** Finds the series of a list of label values without building an object or a string for one label or none. */
class SeriesCache<T> {
  readonly #series = new Map<string, T>();
  readonly #bounds: readonly LabelBound[];
  readonly #make: (values: string[]) => T;

  constructor(labels: Labels, make: (values: string[]) => T) {
    this.#bounds = Object.values(labels).map((values) => new LabelBound(values));
    this.#make = make;
  }

  get(values: readonly string[]): T {
    const key = values.length === 1 ? (values[0] ?? '') : values.join('\0');
    const found = this.#series.get(key);
    if (found !== undefined) return found;
    const admitted = this.#bounds.map((bound, i) => bound.admit(values[i] ?? ''));
    const series = this.#make(admitted);
    // Only under names that were admitted: the cache is bounded as the series are.
    if (admitted.every((value, i) => value === values[i])) this.#series.set(key, series);
    return series;
  }
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
