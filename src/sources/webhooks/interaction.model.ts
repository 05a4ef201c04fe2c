import type { JsonObject, RawIdentifier } from '../../events/event.model.js';

/** Namespaces of identifiers that networks give, beside those that identity rules name. */
export const NETWORK_NAMESPACES = ['twitter_id', 'instagram_id', 'facebook_id', 'zendesk', 'slack'] as const;

/** Names of events made of interactions: the same for every network, so that features and segments need not know it. */
export const INTERACTION_NAMES = [
  'Comment Posted',
  'Comment Edited',
  'Comment Removed',
  'Post Published',
  'Post Shared',
  'Post Liked',
  'Post Unliked',
  'Mentioned',
  'Followed',
  'Reply Sent',
  'Message Received',
  'Message Sent',
  'Message Reacted To',
  'Button Pressed',
  'Ticket Created',
  'Ticket Comment Added',
  'Ticket Reply Sent',
  'Ticket Status Changed',
] as const;
export type InteractionName = (typeof INTERACTION_NAMES)[number];

/** Something that happened between a person and us, in the words of no network. */
export interface Interaction {
  readonly name: InteractionName;
  readonly network: string;
  /** From the network's own ids; the same in every delivery of the same interaction. */
  readonly id: string;
  /** The customer, never ourselves. Never empty. */
  readonly person: readonly RawIdentifier[];
  /** `outbound`: we did it, and the customer is whom we did it to. */
  readonly direction: 'inbound' | 'outbound';
  /** By the network's clock, ms; null where it does not say. */
  readonly occurredAtMs: number | null;
  /** What was written; null where nothing was. */
  readonly text: string | null;
  /** True where only the two sides can read it: a direct message, a ticket. */
  readonly isPrivate: boolean;
  /** As the network says, ISO 639-1; null where it does not. */
  readonly language: string | null;
  /** What else may be kept: ids, links, counts; nothing that only the two sides can read. */
  readonly properties: JsonObject;
  /** What else only the two sides can read, as the subject of a ticket. */
  readonly privateProperties?: JsonObject;
}

/**
 * Why a part of a delivery became no event: `own`, we did it and to nobody in particular; `nobody`, the network does not
 * say who did it; `ignored`, a receipt, a typing sign, an internal note; `unknown`, a kind that the adapter does not know.
 */
export const SKIP_REASONS = ['own', 'nobody', 'ignored', 'unknown'] as const;
export type SkipReason = (typeof SKIP_REASONS)[number];

/** What an adapter makes of one delivery. */
export class MappedDelivery {
  readonly interactions: Interaction[] = [];
  readonly skipped: Record<SkipReason, number> = { own: 0, nobody: 0, ignored: 0, unknown: 0 };

  add(interaction: Interaction): void {
    this.interactions.push(interaction);
  }

  skip(reason: SkipReason): void {
    this.skipped[reason]++;
  }
}
