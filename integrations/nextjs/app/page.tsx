import { WeftProvider } from '../lib/weft-provider';
import { visitorState } from '../lib/weft-server';
import { weftSettings } from '../lib/weft-settings';
import { AddToCart } from './add-to-cart';
import { Hero } from './hero';

export default async function Page() {
  return (
    <WeftProvider options={weftSettings().browser} state={await visitorState()}>
      <main>
        <Hero />
        <AddToCart sku="A-7" />
      </main>
    </WeftProvider>
  );
}
