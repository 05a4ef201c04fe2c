/** Templates of what people write. `{p}` is a product, in lower case, as the order file describes it. */
export const SOCIAL_TEXTS = {
  positive: [
    'Love my new {p}, it looks lovely in the hall!',
    'The {p} arrived today, beautifully packed. Thank you!',
    'Bought the {p} as a gift and she was delighted.',
    'Honestly the best {p} I have had. Great value.',
    'Five stars for the {p}. Quick delivery too.',
    'So happy with the {p}, already planning to order another.',
    'Great quality, the {p} is even nicer than in the pictures.',
    'Our guests keep asking where the {p} is from. Wonderful shop!',
    'Perfect. The {p} fits just where I wanted it.',
  ],
  neutral: [
    'Does the {p} come in other colours?',
    'Is the {p} still in stock?',
    'How large is the {p}? I cannot find the size on the page.',
    'Thinking about the {p} for the kitchen. Has anyone got one?',
    'Saw the {p} in the newsletter this morning.',
    'When will the {p} be back?',
    'Do you deliver the {p} to the islands?',
    'Ordered the {p} last week, waiting for it.',
  ],
  negative: [
    'The {p} arrived broken, very disappointed.',
    'Two weeks and still no sign of my {p}. Poor service.',
    'The {p} looks cheap, nothing like the photo.',
    'Payment failed three times when I tried to buy the {p}. Annoying!',
    'I want to return the {p}, nobody answers my messages. Terrible.',
    'Paint came off the {p} after one day. Not good.',
    'Wrong item: I ordered the {p} and got something else. Awful.',
  ],
  replies: {
    positive: [
      'Same here, the {p} is great!',
      'Agreed, really pleased with mine.',
      'Thank you, that was very helpful!',
    ],
    neutral: ['I have the same question about the {p}.', 'Which one did you choose?', 'Thanks, I will have a look.'],
    negative: ['Mine broke as well, sadly.', 'Same problem with the {p} here, no answer yet.', 'Not happy either.'],
  },
} as const;

export type Tone = 'positive' | 'neutral' | 'negative';
