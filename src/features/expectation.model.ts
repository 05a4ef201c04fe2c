/** What is expected of the values of a feature over people, or over the items of an entity; what is left out is not looked at. */
export interface FeatureExpectation {
  /** No number is less; of lists and maps, how many items they have. */
  readonly min?: number;
  /** No number is greater. */
  readonly max?: number;
  /** The share of people, or items, without a value, at most; 0 to 1. */
  readonly null_share?: number;
  /** So many different values at least. */
  readonly distinct_min?: number;
  /** The newest event in any value is at most so old, as `1d`. */
  readonly fresh?: string;
  /** What `psi` and `ks` compare with: a training set, as it is registered; left out: a week before. */
  readonly against?: string;
  /** The population stability index against that, at most. */
  readonly psi?: number;
  /** The statistic of Kolmogorov and Smirnov against that, at most; 0 to 1. */
  readonly ks?: number;
  /** Of batch views: what a load does whose rows do not meet the bounds; left out: `warn`. */
  readonly on_load?: 'warn' | 'stop';
  /** True: values are followed as live traffic changes them, and a change of their mean rank is told. */
  readonly steady_live?: boolean;
  /** True: the mean is followed, and a change of it is told. */
  readonly steady?: boolean;
}

/** By name of the feature. */
export type FeatureExpectations = Readonly<Record<string, FeatureExpectation>>;
