import { Column, Entity, PrimaryGeneratedColumn } from 'typeorm';
import type { EnrichmentSettings } from '../events/enrichment.model.js';
import type { SourceKind } from './source.model.js';

/** A row of `sources`. */
@Entity('sources')
export class SourceEntity {
  @PrimaryGeneratedColumn('identity', { type: 'int', generatedIdentity: 'ALWAYS' })
  id!: number;

  @Column('text', { unique: true })
  key!: string;

  @Column('text')
  name!: string;

  @Column('text')
  kind!: SourceKind;

  @Column('jsonb')
  config!: object;

  @Column('boolean')
  paused!: boolean;

  @Column('int', { name: 'max_events_per_second', nullable: true })
  maxEventsPerSecond!: number | null;

  @Column('boolean')
  authenticated!: boolean;

  @Column('text', { nullable: true })
  region!: string | null;

  @Column('bigint', { name: 'retention_ms', nullable: true })
  retentionMs!: number | null;

  @Column('boolean', { name: 'retention_strict' })
  retentionStrict!: boolean;

  @Column('jsonb', { nullable: true })
  enrichment!: EnrichmentSettings | null;

  @Column('bigint', { name: 'created_at' })
  createdAt!: number;
}
