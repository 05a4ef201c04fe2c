import type { PayloadTemplate } from './payload-template.model.js';

/** The templates that come with Weft, by name; docs/webhooks-out.md shows what each makes. */
export const PAYLOAD_TEMPLATES = {
  /** As Standard Webhooks proposes: what happened, when, and the data. */
  standard: {
    body: {
      type: '{{change.type}}',
      timestamp: '{{change.at}}',
      data: {
        id: '{{change.id}}',
        cursor: '{{change.cursor}}',
        cause: '{{change.cause}}',
        version: '{{change.version}}',
        models: '{{change.models}}',
        event: '{{change.event}}',
        segment: '{{segment}}',
        profile: '{{profile}}',
        identifiers: '{{identifiers}}',
        traits: '{{traits}}',
        features: '{{features}}',
      },
    },
    requires: [],
  },
  /** One flat object, whose members become the fields of a step. */
  zapier: {
    body: {
      id: '{{change.id}}',
      event: '{{change.type}}',
      occurred_at: '{{change.at}}',
      segment: '{{segment.key}}',
      segment_name: '{{segment.name}}',
      profile_id: '{{profile.id}}',
      '...': ['identifiers', 'traits', 'features'],
    },
    requires: [],
  },
  /** The batch upsert of contacts of HubSpot's CRM API v3, by e-mail address. */
  hubspot: {
    body: {
      inputs: [
        {
          idProperty: 'email',
          id: '{{identifiers.email}}',
          properties: {
            email: '{{identifiers.email}}',
            weft_segment: '{{segment.key}}',
            weft_segment_event: '{{change.kind}}',
            weft_segment_changed_at: '{{change.at}}',
            '...': ['traits', 'features'],
          },
        },
      ],
    },
    requires: ['identifiers.email'],
  },
  /** Sync Leads of Marketo's REST API, by e-mail address. */
  marketo: {
    body: {
      action: 'createOrUpdate',
      lookupField: 'email',
      input: [
        {
          email: '{{identifiers.email}}',
          weftSegment: '{{segment.key}}',
          weftSegmentEvent: '{{change.kind}}',
          weftSegmentChangedAt: '{{change.at}}',
          '...': ['traits', 'features'],
        },
      ],
    },
    requires: ['identifiers.email'],
  },
} as const satisfies Readonly<Record<string, PayloadTemplate>>;

export type PayloadTemplateName = keyof typeof PAYLOAD_TEMPLATES;
export const PAYLOAD_TEMPLATE_NAMES = Object.keys(PAYLOAD_TEMPLATES) as PayloadTemplateName[];

/** @param template a name, one of an endpoint's own, or null for `standard` */
export function payloadTemplate(template: string | PayloadTemplate | null): PayloadTemplate {
  if (typeof template === 'object' && template !== null) return template;
  const name = PAYLOAD_TEMPLATE_NAMES.find((each) => each === template) ?? 'standard';
  return PAYLOAD_TEMPLATES[name];
}
