import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { LoggedEvent } from '../../src/events/event.model.js';
import { siteVisitor, type SiteVisitor } from '../support/site-visitor.js';
import { CONSENT, createWordPressWorld, wordpressCore, type WordPressWorld } from '../support/wordpress-world.js';

const core = wordpressCore();

const SHORTCODE = '[weft_segment is="vip" mode="server"]Dear VIP[weft_else]Dear all[/weft_segment]';
const BLOCK = `<!-- wp:weft/segment-content {"mode":"server"} -->
<!-- wp:weft/segment-variant {"is":["vip"]} --><!-- wp:paragraph --><p>Dear VIP</p><!-- /wp:paragraph --><!-- /wp:weft/segment-variant -->
<!-- wp:weft/segment-variant {"is":["regular"],"not":["vip"]} --><!-- wp:paragraph --><p>Dear regular</p><!-- /wp:paragraph --><!-- /wp:weft/segment-variant -->
<!-- wp:weft/segment-default --><!-- wp:paragraph --><p>Dear all</p><!-- /wp:paragraph --><!-- /wp:weft/segment-default -->
<!-- /wp:weft/segment-content -->`;
const ADMIN = { log: 'admin', pwd: 'secret', testcookie: '1' };

describe.skipIf(core === null)('a WordPress site with the plugin', () => {
  let world: WordPressWorld;
  let post: string;

  beforeAll(async () => {
    world = await createWordPressWorld(core ?? '');
    post = await world.aPost(SHORTCODE);
  });

  afterAll(async () => {
    await world.close();
  });

  beforeEach(async () => {
    await world.door.set('open');
    await world.configure();
  });

  afterEach(async () => {
    expect(await world.wordpress.complaints()).toEqual([]);
  });

  const known = (id: string): SiteVisitor => siteVisitor({ ...CONSENT, weft_id: id });
  const identifiersOf = ({ identifiers }: LoggedEvent): Record<string, string> =>
    Object.fromEntries(identifiers.map(({ ns, value }) => [ns, value]));

  /** Of the account 1: behind the address of the site, as where nobody has set anything. */
  const adminId = (): string => `${new URL(world.wordpress.url).host}:1`;

  async function logIn(visitor: SiteVisitor): Promise<void> {
    const login = `${world.wordpress.url}/wp-login.php`;
    await visitor.get(login);
    const { status } = await visitor.post(login, ADMIN);
    expect(status).toBe(302);
  }

  describe('showing content that is chosen on the server', () => {
    it('shows the variant of the visitor’s segment, and the default to others', async () => {
      const vip = await world.aVisitor('Vip');
      const other = await world.aVisitor('Regular');
      expect((await known(vip).get(post)).html).toContain('<span class="weft-segment">Dear VIP</span>');
      expect((await known(other).get(post)).html).toContain('<span class="weft-segment">Dear all</span>');
      expect((await siteVisitor(CONSENT).get(post)).html).toContain('Dear all');
    });

    it('shows the first variant of a block that fits, and renders no other', async () => {
      const page = await world.aPost(BLOCK);
      const shown = async (...events: string[]): Promise<string | undefined> =>
        /wp-block-weft-segment-content[^>]*>\s*(.*?)\s*<\/div>/s.exec(
          (await known(await world.aVisitor(...events)).get(page)).html,
        )?.[1];
      expect(await shown('Vip', 'Regular')).toBe('<p>Dear VIP</p>');
      expect(await shown('Regular')).toBe('<p>Dear regular</p>');
      expect(await shown('Other')).toBe('<p>Dear all</p>');
    });

    it('keeps such pages out of caches, and no others', async () => {
      const vip = known(await world.aVisitor('Vip'));
      expect((await vip.get(`${post}&cached=1`)).html).toContain('Dear VIP');
      expect((await siteVisitor(CONSENT).get(`${post}&cached=1`)).html).toContain('Dear all');
      const plain = await world.aPost('Nothing special');
      const chosen = await siteVisitor(CONSENT).get(post);
      expect(chosen.headers.get('cache-control')).toBe('private, no-store, max-age=0');
      expect(chosen.headers.get('vary')).toContain('Cookie');
      expect(chosen.html).toContain('<!-- keep out -->');
      const other = await siteVisitor(CONSENT).get(plain);
      expect(other.headers.get('cache-control')).toBeNull();
      expect(other.html).toContain('<!-- may be kept -->');
    });

    it('knows people who are logged in by their account, signed', async () => {
      const visitor = siteVisitor(CONSENT);
      await logIn(visitor);
      const accepted = await world.weft.engine.accept.accept(
        { ...(await world.weft.sources.ensure({ key: 'crm', kind: 'http' })) },
        [{ type: 'track', name: 'Vip', messageId: 'crm 1', identifiers: [{ ns: 'user_id', value: adminId() }] }],
        { historical: false },
      );
      expect(accepted).toMatchObject([{ status: 'accepted' }]);
      await world.weft.applied();
      // Another browser, which Weft has never seen.
      visitor.cookies.delete('weft_id');
      expect((await visitor.get(post)).html).toContain('Dear VIP');
      await world.configure({ signing_secret: '' });
      expect((await visitor.get(post)).html).toContain('Dear all');
    });

    it('asks and stores nothing without consent', async () => {
      const vip = await world.aVisitor('Vip');
      const visitor = siteVisitor({ weft_id: vip });
      expect((await visitor.get(post)).html).toContain('Dear all');
      expect([...visitor.cookies.keys()]).toEqual(['weft_id']);
      expect(world.door.takeRequests()).toEqual([]);
    });

    it('takes a visitor’s signal for a no, where nobody is asked', async () => {
      await world.configure({ consent: 'always' });
      const vip = await world.aVisitor('Vip');
      const get = async (headers: Record<string, string>): Promise<string> =>
        (await fetch(post, { headers: { cookie: `weft_id=${vip}`, ...headers } })).text();
      expect(await get({})).toContain('Dear VIP');
      expect(await get({ 'sec-gpc': '1' })).toContain('Dear all');
    });

    it('never shows that somebody is in a segment that pages may not know', async () => {
      const page = await world.aPost(
        '[weft_segment is="hidden" mode="server"]Hidden[weft_else]Dear all[/weft_segment]',
      );
      expect((await known(await world.aVisitor('Vip')).get(page)).html).toContain('Dear all');
    });

    it('shows the default where Weft is silent, after one deadline a minute', async () => {
      const vip = known(await world.aVisitor('Vip'));
      await world.configure({ deadline_ms: 300 });
      await world.door.set('silent');
      for (let i = 0; i < 5; i++) expect((await vip.get(post)).html).toContain('Dear all');
      expect(world.door.takeRequests()).toEqual(['/graphql']);
      const elapsedMs = await world.wordpress.run<number>(
        `return Weft\\Edge::ask( '${world.door.url}', 'weft_e_x', array(), 300 )->elapsed_ms;`,
      );
      // WordPress alone would have made a second of it.
      expect(elapsedMs).toBeGreaterThanOrEqual(299);
      expect(elapsedMs).toBeLessThan(1_000);
      await world.door.set('open');
      expect((await vip.get(post)).html).toContain('Dear all');
      await minutePasses();
      expect((await vip.get(post)).html).toContain('Dear VIP');
    });

    it('lets one of many requests try a Weft that has failed', async () => {
      const vip = known(await world.aVisitor('Vip'));
      await world.configure({ deadline_ms: 500 });
      await world.door.set('silent');
      await vip.get(post);
      await minutePasses();
      world.door.takeRequests();
      await Promise.all(Array.from({ length: 8 }, () => vip.get(post)));
      expect(world.door.takeRequests()).toEqual(['/graphql']);
    });

    it('shows the default where Weft is stopped or the key is wrong, and says so to the owner', async () => {
      const vip = known(await world.aVisitor('Vip'));
      await world.door.set('shut');
      expect((await vip.get(post)).html).toContain('Dear all');
      await world.door.set('open');
      await world.configure({ edge_key: `weft_e_${'A'.repeat(43)}` });
      expect((await vip.get(post)).html).toContain('Dear all');
      const admin = siteVisitor();
      await logIn(admin);
      const page = await admin.get(`${world.wordpress.url}/wp-admin/options-general.php?page=weft`);
      expect(page.html).toMatch(/Weft has not answered for [^<]*: HTTP 401/);
    });
  });

  describe('telling Weft what happens', () => {
    it('tells of a comment, once, without its text', async () => {
      const visitor = siteVisitor(CONSENT);
      await world.told(0);
      const form = { author: 'Ann', email: 'ann@example.org', comment: 'What a page', comment_post_ID: idOf(post) };
      await visitor.post(`${world.wordpress.url}/wp-comments-post.php`, form);
      const [event] = await world.told(1);
      expect(event).toMatchObject({
        type: 'track',
        name: 'Comment Posted',
        properties: { title: 'A page', url: post },
      });
      expect(JSON.stringify(event)).not.toMatch(/What a page|ann@example/);
      expect(identifiersOf(event!)).toEqual({ anonymous_id: visitor.cookies.get('weft_id') });
    });

    it('counts on the next page what was told a moment ago', async () => {
      const page = await world.aPost(
        '[weft_segment is="writer" mode="server"]Thank you[weft_else]Write![/weft_segment]',
      );
      const visitor = siteVisitor(CONSENT);
      const form = { author: 'Ann', email: 'ann@example.org', comment: 'Me too', comment_post_ID: idOf(page) };
      await visitor.post(`${world.wordpress.url}/wp-comments-post.php`, form);
      expect((await visitor.get(page)).html).toContain('Thank you');
      expect(JSON.parse(world.door.lastBody)).toMatchObject({ variables: { after: expect.any(String) as string } });
    });

    it('ties the cookie to the account at a login, and forgets it at the logout', async () => {
      const visitor = siteVisitor(CONSENT);
      await world.told(0);
      await logIn(visitor);
      const [event] = await world.told(1);
      const cookie = visitor.cookies.get('weft_id');
      expect(cookie).toMatch(/^[\da-f-]{36}$/);
      expect(event).toMatchObject({ type: 'identify', traits: { created_at: expect.any(String) as string } });
      expect(identifiersOf(event!)).toEqual({ anonymous_id: cookie, user_id: adminId() });
      const { html } = await visitor.get(`${world.wordpress.url}/wp-admin/profile.php`);
      const logout = /href=['"]([^'"]*action=logout[^'"]*)['"]/.exec(html)?.[1]?.replaceAll('&#038;', '&') ?? '';
      await visitor.get(logout);
      expect(visitor.cookies.has('weft_id')).toBe(false);
    });

    it('tells of carts and orders, an order once whatever states it passes', async () => {
      const visitor = siteVisitor(CONSENT);
      const shop = (what: string): Promise<unknown> => visitor.get(`${world.wordpress.url}/?shop=${what}&order=7`);
      await world.told(0);
      for (const what of ['add', 'remove', 'checkout']) await shop(what);
      // The bank's own request, twice.
      for (const what of ['paid', 'paid', 'refund']) await fetch(`${world.wordpress.url}/?shop=${what}&order=7`);
      await visitor.post(`${world.wordpress.url}/wp-comments-post.php`, {
        author: 'Ann',
        email: 'ann@example.org',
        comment: 'The last of all',
        comment_post_ID: idOf(post),
      });
      const events = await world.told(5);
      expect(events.map(({ name }) => name)).toEqual([
        'Product Added',
        'Product Removed',
        'Order Completed',
        'Order Refunded',
        'Comment Posted',
      ]);
      expect(events[0]?.properties).toMatchObject({
        product_id: '41',
        sku: 'SKU-41',
        name: 'Product 41',
        price: 12.5,
        quantity: 2,
      });
      expect(events[2]?.properties).toMatchObject({
        order_id: '7',
        total: 27.4,
        shipping: 2.4,
        currency: 'EUR',
        products: [{ product_id: '41', sku: 'SKU-41', price: 12.5, quantity: 2 }],
      });
      expect(new Set(events.map((event) => identifiersOf(event)['anonymous_id']))).toEqual(
        new Set([visitor.cookies.get('weft_id')]),
      );
    });

    it('tells nothing of orders and comments of those who have not agreed, and keeps no cookie', async () => {
      const visitor = siteVisitor();
      const shop = (what: string): Promise<unknown> => visitor.get(`${world.wordpress.url}/?shop=${what}&order=8`);
      for (const what of ['add', 'checkout', 'paid']) await shop(what);
      expect([...visitor.cookies.keys()]).toEqual([]);
      expect(world.door.takeRequests()).toEqual([]);
      expect(await world.wordpress.run('return ( new Weft\\Outbox() )->count();')).toBe(0);
    });

    it('sends e-mail addresses only when told to', async () => {
      await world.configure({ send_email: true });
      const visitor = siteVisitor(CONSENT);
      await world.told(0);
      await visitor.get(`${world.wordpress.url}/?shop=checkout&order=9`);
      await fetch(`${world.wordpress.url}/?shop=paid&order=9`);
      const [event] = await world.told(1);
      expect(identifiersOf(event!)).toMatchObject({ email: 'buyer@example.org' });
    });

    it.each(['shut', 'silent'] as const)('keeps what happens while Weft is %s, and delivers it once', async (state) => {
      const visitor = siteVisitor(CONSENT);
      await world.told(0);
      await world.door.set(state);
      for (let i = 0; i < 3; i++) await visitor.get(`${world.wordpress.url}/?shop=add`);
      expect(await world.wordpress.run('return ( new Weft\\Outbox() )->count();')).toBe(3);
      await world.door.set('open');
      await minutePasses();
      await world.wordpress.run(`do_action( Weft\\Delivery::SOON_HOOK ); return null;`);
      const events = await world.told(3);
      expect(events.map(({ name }) => name)).toEqual(['Product Added', 'Product Added', 'Product Added']);
      expect(await world.wordpress.run('return ( new Weft\\Outbox() )->count();')).toBe(0);
    });

    it('does not let one event that Weft refuses hold up the others', async () => {
      await world.told(0);
      const dropped = await world.wordpress.run<number>('return Weft\\Outbox::dropped();');
      await world.wordpress.run(`
        $outbox = new Weft\\Outbox();
        foreach ( array( 1, 2, 3 ) as $n ) {
          $outbox->add( array( 'type' => 'track', 'event' => "Step {$n}", 'anonymousId' => str_repeat( 'x', 30 ), 'messageId' => "step {$n}" ) );
        }
        $outbox->add( array( 'type' => 'track', 'event' => str_repeat( 'x', 40000 ) ) );
        do_action( Weft\\Delivery::SOON_HOOK );
        return null;`);
      expect((await world.told(3)).map(({ name }) => name)).toEqual(['Step 1', 'Step 2', 'Step 3']);
      expect(await world.wordpress.run('return Weft\\Outbox::dropped();')).toBe(dropped + 1);
    });

    it('keeps a bounded number of events, the newest', async () => {
      const [kept, first] = await world.wordpress.run<[number, string]>(`
        global $wpdb;
        $table = Weft\\Outbox::table();
        $rows  = implode( ',', array_map( static fn ( $n ) => "('{\\"n\\":{$n}}',UNIX_TIMESTAMP(),UNIX_TIMESTAMP())", range( 1, 2010 ) ) );
        $wpdb->query( "INSERT INTO {$table} (event, created_at, due_at) VALUES {$rows}" );
        $outbox = new Weft\\Outbox();
        $outbox->sweep();
        $answer = array( $outbox->count(), $wpdb->get_var( "SELECT event FROM {$table} ORDER BY id LIMIT 1" ) );
        $wpdb->query( "DELETE FROM {$table}" );
        return $answer;`);
      expect([kept, first]).toEqual([2000, '{"n":11}']);
    });
  });

  describe('telling accounts apart', () => {
    const prefixAfter = (code: string): Promise<string> =>
      world.wordpress.run(`
        remove_all_filters( 'sanitize_option_weft_options' );
        ${code}
        Weft\\Plugin::prepare_database();
        return get_option( 'weft_options' )['user_id_prefix'];`);

    it('begins with the address of the site, and stays with it', async () => {
      const prefix = adminId().slice(0, -1);
      expect(await prefixAfter("delete_option( 'weft_options' ); delete_option( 'weft_schema' );")).toBe(prefix);
      const moved = "add_filter( 'network_home_url', static fn () => 'https://moved.example' );";
      expect(await prefixAfter(`${moved} delete_option( 'weft_schema' );`)).toBe(prefix);
    });

    it('stays without a prefix where a site has sent events without one', async () => {
      const before = `$saved = get_option( 'weft_options' ); unset( $saved['user_id_prefix'] );`;
      const saved = `${before} update_option( 'weft_options', $saved ); update_option( 'weft_schema', 1 );`;
      expect(await prefixAfter(saved)).toBe('');
      const visitor = siteVisitor(CONSENT);
      await world.told(0);
      await world.configure({ user_id_prefix: '' });
      await logIn(visitor);
      const [event] = await world.told(1);
      expect(identifiersOf(event!)).toMatchObject({ user_id: '1' });
    });

    it('exports and erases what the site holds of an account, and says what Weft keeps', async () => {
      const [exported, erased, left] = await world.wordpress.run<[object, object, number]>(`
        $outbox = new Weft\\Outbox();
        $id     = Weft\\Visitor::id_of_user( get_user_by( 'id', 1 ) );
        $outbox->add( array( 'type' => 'track', 'event' => 'Mine', 'userId' => $id, 'properties' => array( 'a' => 1 ) ) );
        $outbox->add( array( 'type' => 'track', 'event' => 'Another\u2019s', 'userId' => $id . '0', 'properties' => array( 'of' => '"userId":"' . $id . '"' ) ) );
        $email    = get_user_by( 'id', 1 )->user_email;
        $exporter = apply_filters( 'wp_privacy_personal_data_exporters', array() )['weft'];
        $eraser   = apply_filters( 'wp_privacy_personal_data_erasers', array() )['weft'];
        $answer   = array( call_user_func( $exporter['callback'], $email, 1 ), call_user_func( $eraser['callback'], $email, 1 ), $outbox->count() );
        global $wpdb;
        $wpdb->query( 'DELETE FROM ' . Weft\\Outbox::table() );
        return $answer;`);
      expect(exported).toMatchObject({
        done: true,
        data: [
          {
            data: [
              { name: 'Known to Weft as', value: adminId() },
              { name: 'Not delivered yet', value: expect.stringContaining('"event":"Mine"') as string },
            ],
          },
        ],
      });
      expect(erased).toMatchObject({ items_removed: 1, items_retained: true, done: true });
      expect(JSON.stringify(erased)).toContain('is not erased by WordPress');
      expect(left).toBe(1);
    });

    it('exports and erases the orders of guests that wait, whose address no account has', async () => {
      const [exported, erased, left] = await world.wordpress.run<[object, object, number]>(`
        $outbox = new Weft\\Outbox();
        $order  = static fn ( $email ) => array( 'type' => 'track', 'event' => 'Order Completed', 'anonymousId' => 'a', 'traits' => array( 'email' => $email ) );
        $outbox->add( $order( 'guest@example.com' ) );
        $outbox->add( $order( 'other.guest@example.com' ) );
        $exporter = apply_filters( 'wp_privacy_personal_data_exporters', array() )['weft'];
        $eraser   = apply_filters( 'wp_privacy_personal_data_erasers', array() )['weft'];
        $answer   = array( call_user_func( $exporter['callback'], 'guest@example.com', 1 ), call_user_func( $eraser['callback'], 'guest@example.com', 1 ), $outbox->count() );
        global $wpdb;
        $wpdb->query( 'DELETE FROM ' . Weft\\Outbox::table() );
        return $answer;`);
      expect(exported).toMatchObject({
        data: [{ data: [{ value: expect.stringContaining('guest@example.com') as string }] }],
      });
      expect(JSON.stringify(exported)).not.toContain('other.guest');
      expect(erased).toMatchObject({ items_removed: 1, items_retained: false, done: true });
      expect(left).toBe(1);
    });
  });

  it('leaves nothing behind when it is deleted', async () => {
    const left = await world.wordpress.run(`
      deactivate_plugins( 'weft/weft.php' );
      uninstall_plugin( 'weft/weft.php' );
      global $wpdb;
      return array(
        $wpdb->get_col( "SELECT option_name FROM {$wpdb->options} WHERE option_name LIKE '%weft%' AND option_name NOT LIKE '%uninstall%'" ),
        $wpdb->get_col( "SHOW TABLES LIKE '%weft%'" ),
        array_filter( array_merge( ...array_map( 'array_keys', array_values( array_filter( _get_cron_array(), 'is_array' ) ) ) ), static fn ( $hook ) => str_contains( $hook, 'weft' ) ),
      );`);
    expect(left).toEqual([[], [], []]);
  });

  /** For those who wait until a minute is over. */
  async function minutePasses(): Promise<void> {
    await world.wordpress.run(`
      global $wpdb;
      $wpdb->query( "UPDATE {$wpdb->options} SET option_value = '0' WHERE option_name LIKE 'weft\\\\_probe\\\\_%'" );
      $wpdb->query( 'UPDATE ' . Weft\\Outbox::table() . ' SET due_at = 0' );
      return null;`);
  }

  function idOf(url: string): string {
    return new URL(url).searchParams.get('p') ?? '';
  }
});
