<?php
/**
 * Puts the parts together.
 *
 * @package Weft
 */

namespace Weft;

defined( 'ABSPATH' ) || exit;

/**
 * Composition, activation and deactivation.
 */
final class Plugin {

	private const SCHEMA_OPTION  = 'weft_schema';
	private const SCHEMA_VERSION = 2;

	private static ?Edge $edge = null;

	public static function start(): void {
		$options  = new Options();
		$consent  = new Consent( $options );
		$visitor  = new Visitor( $options, $consent );
		$outbox   = new Outbox();
		$delivery = new Delivery( $options, $outbox, new Breaker( 'delivery' ) );
		$tracker  = new Tracker( $options, $visitor, $outbox, $delivery );
		$caches   = new Page_Caches( $options );

		self::$edge = new Edge( $options, $visitor, $consent, new Breaker( 'edge' ) );
		$content    = new Content( $options, self::$edge, $caches );

		self::prepare_database();
		$delivery->register();
		$caches->register();
		( new Site_Tracking( $options, $visitor, $tracker ) )->register();
		( new Shop_Tracking( $options, $tracker ) )->register();
		( new Blocks( $content ) )->register();
		( new Shortcode( $content ) )->register();
		( new Browser( $options ) )->register();
		( new Privacy( $options ) )->register();
		( new Personal_Data( $outbox ) )->register();
		if ( is_admin() ) {
			( new Settings_Page( $options, $outbox, $consent ) )->register();
		}
	}

	/** What Weft knows of the visitor of this request, for themes and other plugins; null where it knows nothing. */
	public static function profile(): ?array {
		return self::$edge?->profile();
	}

	/** Also after an update, and on each site of a network. */
	public static function prepare_database(): void {
		$schema = (int) get_option( self::SCHEMA_OPTION, 0 );
		if ( self::SCHEMA_VERSION !== $schema ) {
			Outbox::create_table();
			Options::settle_prefix( $schema > 0 );
			update_option( self::SCHEMA_OPTION, self::SCHEMA_VERSION );
		}
	}

	public static function activate(): void {
		self::prepare_database();
		if ( ! wp_next_scheduled( Delivery::HOURLY_HOOK ) ) {
			wp_schedule_event( time() + HOUR_IN_SECONDS, 'hourly', Delivery::HOURLY_HOOK );
		}
	}

	public static function deactivate(): void {
		wp_clear_scheduled_hook( Delivery::HOURLY_HOOK );
		wp_clear_scheduled_hook( Delivery::SOON_HOOK );
	}

	/** Leaves nothing behind on this site. */
	public static function forget_site(): void {
		self::deactivate();
		Outbox::drop_table();
		Recent_Writes::forget_all();
		self::forget_buyers();
		foreach ( array( 'edge', 'delivery' ) as $name ) {
			( new Breaker( $name ) )->reset();
		}
		delete_option( Options::NAME );
		delete_option( self::SCHEMA_OPTION );
	}

	/** The notes on orders, wherever WooCommerce keeps them. */
	private static function forget_buyers(): void {
		global $wpdb;
		delete_post_meta_by_key( Shop_Tracking::IDS_META );
		$table = $wpdb->prefix . 'wc_orders_meta';
		// phpcs:disable WordPress.DB -- WooCommerce may be gone by now, and its methods with it.
		if ( $table === $wpdb->get_var( $wpdb->prepare( 'SHOW TABLES LIKE %s', $wpdb->esc_like( $table ) ) ) ) {
			$wpdb->delete( $table, array( 'meta_key' => Shop_Tracking::IDS_META ) );
		}
		// phpcs:enable
	}
}
