import type { Uuid } from '../platform/ids.js';
import type { SplitSpec } from './split.model.js';
import type { TrainingSetFormat } from './training-set-file.js';
import type { ConsentAsOf, KnownAsOf } from './training-set.model.js';

export const TRAINING_SET_JOB_LIMITS = {
  /** Jobs that wait or run. */
  maxOpenJobs: 100,
  /** Of one job, the first included; those that end because their process is stopped do not count. */
  maxAttempts: 5,
  /** Jobs that are over and remembered. */
  keptJobs: 1_000,
  /** Label files that are kept. */
  maxLabelFiles: 10_000,
  /** Of a label file as it is sent, and as it is kept. */
  maxLabelBytes: 2 * 1024 ** 3,
  maxLabelRows: 20_000_000,
  /** Label files that one process takes in at a time. */
  maxUploadsAtOnce: 2,
  maxNameLength: 200,
} as const;

export const LABEL_FILE_STATUSES = ['receiving', 'ready', 'doomed'] as const;
/** `doomed`: it is being removed, as it names somebody who was erased, or because somebody asked for that. */
export type LabelFileStatus = (typeof LABEL_FILE_STATUSES)[number];

/** How labels are kept: those that were sent as CSV, gzip or not, as they came; all others as CSV. */
export type LabelStorage = 'csv' | 'csv.gz';

/** Labels that were sent, to make training sets of. */
export interface LabelFile {
  readonly id: Uuid;
  /** As the sender called it. */
  readonly name: string;
  readonly status: LabelFileStatus;
  /** Null while it is received. */
  readonly storedAs: LabelStorage | null;
  /** Hex SHA-256 of what is kept, by which a manifest names the labels; null while it is received. */
  readonly sha256: string | null;
  /** Of what is kept. */
  readonly bytes: number;
  readonly rows: number;
  /** Rows of people who must not come back; they are not kept. */
  readonly leftOutRows: number;
  readonly columns: readonly string[];
  readonly createdAt: number;
  /** When it is removed, ms; each set that is asked of it puts that off. */
  readonly expiresAt: number;
}

/** What a training set is to be. */
export interface TrainingSetSpec {
  readonly service: string | null;
  readonly features: readonly string[];
  readonly knownAsOf: KnownAsOf;
  readonly consentAsOf: ConsentAsOf;
  /** How old values may be, ms; null: of any age. */
  readonly maxAgeMs: number | null;
  readonly maxAgesMs: Readonly<Record<string, number>>;
  readonly fullNames: boolean;
  readonly isImputed: boolean;
  readonly split: SplitSpec | null;
  readonly format: TrainingSetFormat;
}

export const JOB_STATUSES = ['waiting', 'running', 'done', 'failed', 'cancelled'] as const;
export type JobStatus = (typeof JOB_STATUSES)[number];

/** Why a job that runs is to end: somebody cancelled it; it has to begin anew, as somebody was erased. */
export type JobStop = 'cancelled' | 'anew';

export interface TrainingSetJob {
  readonly id: Uuid;
  /** Null: it is gone. */
  readonly labelFileId: Uuid | null;
  readonly spec: TrainingSetSpec;
  readonly status: JobStatus;
  readonly stop: JobStop | null;
  /** The name of a key or the id of a person. */
  readonly askedBy: string;
  readonly createdAt: number;
  /** When the next attempt may begin, ms. */
  readonly notBefore: number;
  readonly startedAt: number | null;
  readonly finishedAt: number | null;
  /** When the files go, ms; null while there are none, or no more. */
  readonly expiresAt: number | null;
  readonly attempts: number;
  /** Label rows; null before they are counted. */
  readonly totalRows: number | null;
  readonly doneRows: number;
  /** Events that were read in the latest attempt. */
  readonly events: number;
  /** Of the set and its manifest; null while there are none, or no more. */
  readonly bytes: number | null;
  readonly sha256: string | null;
  readonly errorCode: string | null;
  readonly errorMessage: string | null;
}

/** Where a page of a list begins: after this one, the newest first. */
export interface CreatedPlace {
  readonly createdAt: number;
  readonly id: Uuid;
}

/** Whether the files of a job can be fetched. */
export function hasFiles({ status, bytes, expiresAt }: TrainingSetJob, nowMs: number): boolean {
  return status === 'done' && bytes !== null && expiresAt !== null && expiresAt > nowMs;
}

/** What the set of a job is called. */
export function setFileName(id: Uuid, format: TrainingSetFormat): string {
  return `${id}.${format}`;
}
