/** Where labels came from that a database answered. */
export interface LabelQueryOrigin {
  /** Variable, host and database, or account; without secrets. */
  readonly place: string;
  /** What was asked, in the language of the store. */
  readonly text: string;
  /** Of times that name none; left out: all named theirs. */
  readonly zone?: string;
  readonly answeredAt: string;
}

/** What is kept beside labels that a database answered. */
export interface LabelQueryManifest {
  readonly format: 1;
  /** Name of the file, without its folder. */
  readonly file: string;
  readonly sha256: string;
  readonly bytes: number;
  readonly rows: number;
  readonly createdAt: string;
  /** Hex SHA-256 of store, query and zone. */
  readonly queryHash: string;
  readonly query: LabelQueryOrigin;
}

export interface LabelQueryRequest {
  /** Path of the file that names store and query. */
  readonly definition: string;
  /** The CSV file to be. */
  readonly out: string;
  /** Labels that the same query answered since are used as they are, ms; null: it is asked anew. */
  readonly keptSinceMs: number | null;
  /** Whether a set was made of the labels that are there; left out: none was. */
  readonly isFinished?: boolean;
  /** Whether other files than labels of the same query, as it answered them, may be written over. */
  readonly force: true | undefined;
  readonly signal: AbortSignal;
}

export interface QueriedLabels {
  readonly manifest: LabelQueryManifest;
  /** Whether they are those of a former run. */
  readonly isKept: boolean;
}

/**
 * Asks a database for labels and keeps the answer as a labels file, so that it can be read as often as a training set
 * needs, and is the same whenever it is made again.
 * @throws WeftError BAD_REQUEST with file and row for an answer that holds no labels; what the store says
 */
export type QueryLabels = (request: LabelQueryRequest) => Promise<QueriedLabels>;
