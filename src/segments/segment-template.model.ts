/**
 * What may be given for a parameter, and how it comes to stand in a condition. `value`: the path of a value of an event;
 * `texts`: some, with commas between them.
 */
export const PARAMETER_TYPES = [
  'event',
  'value',
  'trait',
  'purpose',
  'model',
  'duration',
  'integer',
  'number',
  'text',
  'texts',
  'zone',
] as const;
export type ParameterType = (typeof PARAMETER_TYPES)[number];

export interface TemplateParameter {
  readonly name: string;
  readonly type: ParameterType;
  readonly description: string;
  /** As it is given: `5m`, `3`, `purchase`. */
  readonly default: string;
  /** Of durations and numbers, as they are given. */
  readonly least?: string;
  readonly most?: string;
}

/** A segment of which some things are left open. */
export interface SegmentTemplate {
  readonly key: string;
  readonly name: string;
  readonly description: string;
  readonly tags: readonly string[];
  readonly parameters: readonly TemplateParameter[];
  /** Pairs of parameters of which the first has to be less: of others nobody would be in, or in and out at once. */
  readonly ascending?: readonly (readonly [lesser: string, greater: string])[];
  /** In the language of segments, with `{name}` for each parameter. */
  readonly expression: string;
  /** Null: there is none. */
  readonly exit: string | null;
}

/* The usual segments of marketing, as data. To add one, add an item; a test compiles each with its defaults. */

const event = (name: string, description: string, standard: string): TemplateParameter => ({
  ...{ name, type: 'event', description, default: standard },
});
const duration = (name: string, description: string, standard: string): TemplateParameter => ({
  ...{ name, type: 'duration', description, default: standard, least: '1m', most: '1098d' },
});
const often = (name: string, description: string, standard: string): TemplateParameter => ({
  ...{ name, type: 'integer', description, default: standard, least: '1', most: '100000' },
});

const PURCHASE = event('purchase', 'The event of a purchase.', 'purchase');
const CART = event('cart', 'The event of putting something into the cart.', 'add_to_cart');
const VIEW = event('view', 'The event of looking at a product.', 'product_view');
const ZONE: TemplateParameter = {
  ...{ name: 'zone', type: 'zone', default: 'UTC' },
  description: 'Whose clock it goes by: a zone as Europe/Paris, or a trait as traits.timezone.',
};

export const SEGMENT_TEMPLATES: readonly SegmentTemplate[] = [
  {
    key: 'new_visitors',
    name: 'New visitors',
    description: 'Seen for the first time not long ago.',
    tags: ['audience', 'acquisition'],
    parameters: [VIEW, { ...duration('window', 'How long they count as new.', '7d'), least: '5m' }],
    expression: 'performed({view}) && count({view}) == count({view}, {window})',
    exit: null,
  },
  {
    key: 'active',
    name: 'Active',
    description: 'Did something lately.',
    tags: ['audience', 'life cycle'],
    parameters: [
      event('event', 'What counts as being active.', 'product_view'),
      duration('window', 'How lately.', '14d'),
    ],
    expression: 'performed({event}, {window})',
    exit: null,
  },
  {
    key: 'lapsing',
    name: 'Lapsing',
    description: 'Used to come, and has not for a while: about to be lost.',
    tags: ['retention', 'life cycle'],
    parameters: [
      event('event', 'What counts as being active.', 'product_view'),
      often('at_least', 'How often they did it before.', '3'),
      duration('after', 'How long they have not.', '14d'),
      duration('until', 'From then on they are lapsed.', '60d'),
    ],
    ascending: [['after', 'until']],
    expression: 'count({event}) >= {at_least} && since({event}) >= {after} && since({event}) < {until}',
    exit: null,
  },
  {
    key: 'win_back',
    name: 'Win back',
    description: 'Customers who have not bought for long.',
    tags: ['retention', 'life cycle'],
    parameters: [
      PURCHASE,
      often('at_least', 'How often they bought before.', '1'),
      duration('after', 'How long ago the last purchase was.', '90d'),
    ],
    expression: 'count({purchase}) >= {at_least} && since({purchase}) >= {after}',
    exit: null,
  },
  {
    key: 'cart_abandoned',
    name: 'Cart abandoned',
    description: 'Put something into the cart, and has not bought since. Comes true by the clock alone.',
    tags: ['cart', 'real-time'],
    parameters: [
      CART,
      PURCHASE,
      duration('after', 'How long ago it was at least.', '5m'),
      duration('until', 'How long ago it was at most.', '24h'),
    ],
    ascending: [['after', 'until']],
    expression:
      'since({cart}) >= {after} && since({cart}) < {until}\n  && (!performed({purchase}) || last({purchase}) < last({cart}))',
    exit: null,
  },
  {
    key: 'stuck_before_purchase',
    name: 'Stuck before the purchase',
    description: 'Looked, put something into the cart, and did not go on: how far they got, in this order.',
    tags: ['cart', 'funnel'],
    parameters: [VIEW, CART, PURCHASE, duration('window', 'Within what time.', '7d')],
    expression: 'funnel([{view}, {cart}, {purchase}], {window}) == 2',
    exit: null,
  },
  {
    key: 'high_intent',
    name: 'Looks much, buys nothing',
    description: 'Came back to products again and again, without a purchase.',
    tags: ['remarketing'],
    parameters: [
      VIEW,
      PURCHASE,
      often('at_least', 'How many products they looked at.', '5'),
      { ...duration('window', 'Within what time.', '7d'), least: '5m' },
    ],
    expression: 'count({view}, {window}) >= {at_least} && !performed({purchase}, {window})',
    exit: null,
  },
  {
    key: 'first_purchase',
    name: 'First purchase',
    description: 'Bought for the first time, and only once so far.',
    tags: ['customers', 'onboarding'],
    parameters: [PURCHASE, duration('window', 'How lately.', '14d')],
    expression: 'count({purchase}) == 1 && since({purchase}) < {window}',
    exit: null,
  },
  {
    key: 'repeat_buyers',
    name: 'Repeat buyers',
    description: 'Bought several times.',
    tags: ['customers', 'loyalty'],
    parameters: [
      PURCHASE,
      often('at_least', 'How often.', '2'),
      { ...duration('window', 'Within what time.', '365d'), least: '5m' },
    ],
    expression: 'count({purchase}, {window}) >= {at_least}',
    exit: null,
  },
  {
    key: 'big_spenders',
    name: 'Big spenders',
    description: 'Spent much; they stay until they are well below it, and so do not come and go.',
    tags: ['customers', 'value'],
    parameters: [
      event('purchase', 'The event of a purchase.', 'order_completed'),
      { name: 'amount', type: 'value', description: 'Where it says how much.', default: 'properties.total' },
      { ...duration('window', 'Within what time.', '365d'), least: '5m' },
      { name: 'spent', type: 'number', description: 'How much, to enter.', default: '1000', least: '0' },
      {
        name: 'exit_below',
        type: 'number',
        description: 'How much is too little to stay.',
        default: '800',
        least: '0',
      },
    ],
    ascending: [['exit_below', 'spent']],
    expression: 'sum({purchase}, {amount}, {window}) >= {spent}',
    exit: 'sum({purchase}, {amount}, {window}) < {exit_below}',
  },
  {
    key: 'top_by_score',
    name: 'Top by score',
    description: 'Those of whom a model thinks most; they stay until it thinks clearly less.',
    tags: ['models'],
    parameters: [
      { name: 'model', type: 'model', description: 'Key of the model.', default: 'purchase_intent' },
      { name: 'at_least', type: 'number', description: 'The score to enter.', default: '0.8' },
      { name: 'exit_below', type: 'number', description: 'The score below which they leave.', default: '0.7' },
    ],
    ascending: [['exit_below', 'at_least']],
    expression: 'score({model}) >= {at_least}',
    exit: 'score({model}) < {exit_below}',
  },
  {
    key: 'newsletter_engaged',
    name: 'Reads the newsletter',
    description: 'Allows the newsletter, and clicks in it.',
    tags: ['email'],
    parameters: [
      { name: 'purpose', type: 'purpose', description: 'The purpose that they allow.', default: 'newsletter' },
      event('click', 'The event of a click in a newsletter, or of opening one.', 'email_click'),
      often('at_least', 'How often.', '1'),
      { ...duration('window', 'Within what time.', '30d'), least: '5m' },
    ],
    expression: 'consent({purpose}) && count({click}, {window}) >= {at_least}',
    exit: null,
  },
  {
    key: 'consented_inactive',
    name: 'Allows it, and does not come',
    description: 'May be written to, and has not been seen for long.',
    tags: ['email', 'retention'],
    parameters: [
      { name: 'purpose', type: 'purpose', description: 'The purpose that they allow.', default: 'newsletter' },
      event('event', 'What counts as being active.', 'product_view'),
      duration('after', 'How long they have not been.', '30d'),
    ],
    expression: 'consent({purpose}) && !performed({event}, {after})',
    exit: null,
  },
  {
    key: 'birthday',
    name: 'Birthday soon',
    description: 'The birthday is today, or in a few days.',
    tags: ['occasions'],
    parameters: [
      { name: 'born', type: 'trait', description: 'The trait with the date, as 1990-05-31.', default: 'birth_date' },
      { name: 'days', type: 'integer', description: 'How many days before.', default: '7', least: '0', most: '364' },
      ZONE,
    ],
    expression: 'days_until_anniversary({born}, {zone}) <= {days}',
    exit: null,
  },
  {
    key: 'local',
    name: 'Local',
    description: 'Lives in one of these places.',
    tags: ['places'],
    parameters: [
      { name: 'place', type: 'trait', description: 'The trait with the place.', default: 'country' },
      { name: 'places', type: 'texts', description: 'The places.', default: 'Austria, Germany' },
    ],
    expression: '{place} in {places}',
    exit: null,
  },
  {
    key: 'nearby',
    name: 'Nearby',
    description: 'Is, or lives, within reach of a place, as of a shop.',
    tags: ['places'],
    parameters: [
      { name: 'latitude', type: 'trait', description: 'The trait with the latitude.', default: 'latitude' },
      { name: 'longitude', type: 'trait', description: 'The trait with the longitude.', default: 'longitude' },
      {
        ...{ name: 'place_latitude', type: 'number', default: '48.86', least: '-90', most: '90' },
        description: 'The latitude of the place, in degrees.',
      },
      {
        ...{ name: 'place_longitude', type: 'number', default: '2.35', least: '-180', most: '180' },
        description: 'The longitude of the place, in degrees.',
      },
      { name: 'km', type: 'number', description: 'How far.', default: '10', least: '0.1', most: '20000' },
    ],
    expression: 'near({latitude}, {longitude}, {place_latitude}, {place_longitude}, {km})',
    exit: null,
  },
  {
    key: 'reachable_now',
    name: 'Reachable now',
    description: 'It is day where they are: for messages that wake nobody.',
    tags: ['occasions'],
    parameters: [
      { name: 'from', type: 'text', description: 'The first time of day.', default: '09:00' },
      { name: 'to', type: 'text', description: 'The time of day at which it ends.', default: '20:00' },
      { ...ZONE, default: 'traits.timezone' },
    ],
    expression: 'time_between({from}, {to}, {zone})',
    exit: null,
  },
  {
    key: 'holdout',
    name: 'Holdout',
    description: 'A share of all, drawn at random once for ever: whoever is to be left out of everything.',
    tags: ['tests'],
    parameters: [
      { name: 'sample', type: 'text', description: 'The name of the sample.', default: 'holdout' },
      { name: 'share', type: 'number', description: 'The share.', default: '0.05', least: '0', most: '1' },
    ],
    expression: 'sample({sample}) < {share}',
    exit: null,
  },
];
