import { Column, Entity, PrimaryColumn } from 'typeorm';
import type { ApiScope } from './api-key.model.js';

/** A row of `api_keys`. */
@Entity('api_keys')
export class ApiKeyEntity {
  @PrimaryColumn('uuid')
  id!: string;

  @Column('text')
  name!: string;

  @Column('text')
  prefix!: string;

  /** SHA-256 of the secret. */
  @Column('bytea', { name: 'key_hash', unique: true })
  keyHash!: Buffer;

  @Column('text', { array: true })
  scopes!: ApiScope[];

  @Column('int', { name: 'source_id', nullable: true })
  sourceId!: number | null;

  @Column('text', { array: true })
  origins!: string[];

  @Column('int', { name: 'rate_per_second', nullable: true })
  ratePerSecond!: number | null;

  @Column('uuid', { name: 'rotated_from', nullable: true })
  rotatedFrom!: string | null;

  @Column('bigint', { name: 'created_at' })
  createdAt!: number;

  @Column('bigint', { name: 'expires_at', nullable: true })
  expiresAt!: number | null;

  @Column('bigint', { name: 'revoked_at', nullable: true })
  revokedAt!: number | null;

  @Column('bigint', { name: 'last_used_at', nullable: true })
  lastUsedAt!: number | null;
}
