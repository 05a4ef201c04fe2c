'use client';

import { choose } from '@weft/js';
import { useSegments } from '../lib/weft-provider';

/** What is said to whom: the first segment that the visitor is in decides. */
const VARIANTS = {
  site_cart: { key: 'cart', title: 'Your cart is waiting', text: 'Order today and delivery is free.' },
  site_returning: {
    key: 'visitor',
    title: 'Good to see you again',
    text: 'Here is what is new since your last visit.',
  },
};
const DEFAULT = { key: 'default', title: 'Welcome to the shop', text: 'Everything for your home.' };

export function Hero() {
  const { key, title, text } = choose(useSegments(), VARIANTS, DEFAULT);
  return (
    <section data-variant={key}>
      <h1>{title}</h1>
      <p>{text}</p>
    </section>
  );
}
