'use client';

import { useWeft } from '../lib/weft-provider';

export function AddToCart({ sku }: { readonly sku: string }) {
  const weft = useWeft();
  return <button onClick={() => weft.track('add_to_cart', { sku, value: 12.75 })}>Add to cart</button>;
}
