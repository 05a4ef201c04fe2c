<?php
/**
 * What pages bring to browsers.
 *
 * @package Weft
 */

namespace Weft;

defined( 'ABSPATH' ) || exit;

/**
 * The JavaScript client, its settings, and the script that fills content. What is printed is the same for all visitors, so
 * that any page cache may keep it.
 */
final class Browser {

	private const EARLY = 'weft-early';
	private const SITE  = 'weft-site';

	public function __construct( private Options $options ) {
	}

	public function register(): void {
		add_action( 'wp_enqueue_scripts', array( $this, 'register_scripts' ) );
		add_filter( 'script_loader_tag', array( $this, 'load_beside_page' ), 10, 2 );
	}

	public function register_scripts(): void {
		$asks  = $this->options->can_ask();
		$sends = $this->options->tracks( 'pages' ) || $this->options->tracks( 'products' );
		if ( ! $asks && ! $sends ) {
			return;
		}
		$settings = wp_json_encode( $this->settings( $asks, $sends ), JSON_HEX_TAG | JSON_HEX_AMP );
		// Within the page: content must not be seen before this has run, and another request would hold the page up.
		wp_register_script( self::EARLY, false, array(), VERSION, false );
		wp_add_inline_script( self::EARLY, "window.weftSite = {$settings};\n" . self::early_script() );
		wp_enqueue_script( self::EARLY );
		wp_enqueue_script( self::SITE, plugins_url( 'assets/site.js', PLUGIN_FILE ), array( self::EARLY ), VERSION, false );
	}

	/**
	 * The page does not wait for the client.
	 *
	 * @param string $tag    Of the script.
	 * @param string $handle Its name.
	 */
	public function load_beside_page( $tag, $handle ) {
		return self::SITE === $handle && ! str_contains( $tag, ' async' ) ? str_replace( ' src=', ' async src=', $tag ) : $tag;
	}

	private static function early_script(): string {
		// phpcs:ignore WordPress.WP.AlternativeFunctions.file_get_contents_file_get_contents -- a file of the plugin.
		return (string) file_get_contents( plugin_dir_path( PLUGIN_FILE ) . 'assets/early.js' );
	}

	/** What the scripts know; no secrets, and nothing of this visitor. */
	private function settings( bool $asks, bool $sends ): array {
		/**
		 * Filters the address by which browsers reach Weft, where it is not the one that this server uses.
		 *
		 * @param string $url As `https://weft.example.org`.
		 */
		$url = (string) apply_filters( 'weft_browser_url', $this->options->text( 'url' ) );
		return array(
			'url'        => $url,
			'edgeKey'    => $asks ? $this->options->text( 'edge_key' ) : null,
			'writeKey'   => $sends ? $this->options->text( 'write_key' ) : null,
			'deadlineMs' => $this->options->deadline_ms(),
			'consent'    => $this->options->text( 'consent' ),
			'category'   => $this->options->text( 'consent_category' ),
			'cookie'     => array_filter(
				array(
					'path'   => COOKIEPATH ? COOKIEPATH : '/',
					'domain' => COOKIE_DOMAIN ? COOKIE_DOMAIN : null,
				)
			),
			'events'     => $sends ? $this->events_of_page() : array(),
		);
	}

	/** What showing this page means: a page view, in a shop also the view of a product. */
	private function events_of_page(): array {
		$events = array();
		if ( $this->options->tracks( 'pages' ) && ! is_404() && ! is_preview() ) {
			$events[] = array(
				'page'       => self::page_name(),
				'properties' => (object) self::page_properties(),
			);
		}
		$product = $this->options->tracks( 'products' ) && function_exists( 'is_product' ) && is_product() ? wc_get_product( get_queried_object_id() ) : null;
		if ( $product ) {
			$events[] = array(
				'track'      => 'Product Viewed',
				'properties' => (object) Shop_Tracking::product( $product ),
			);
		}
		return $events;
	}

	private static function page_name(): string {
		return match ( true ) {
			is_front_page() => 'Home',
			is_search()     => 'Search',
			is_singular()   => wp_strip_all_tags( get_the_title() ),
			default         => wp_strip_all_tags( (string) get_the_archive_title() ),
		};
	}

	private static function page_properties(): array {
		if ( ! is_singular() ) {
			return array();
		}
		$terms = get_the_terms( get_queried_object_id(), 'category' );
		return array_filter(
			array(
				'post_id'    => get_queried_object_id(),
				'post_type'  => (string) get_post_type(),
				'categories' => is_array( $terms ) ? array_slice( wp_list_pluck( $terms, 'slug' ), 0, 10 ) : array(),
			)
		);
	}
}
