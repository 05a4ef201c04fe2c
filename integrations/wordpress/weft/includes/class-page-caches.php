<?php
/**
 * Pages that are for one visitor alone.
 *
 * @package Weft
 */

namespace Weft;

defined( 'ABSPATH' ) || exit;

/**
 * Tells page caches, CDNs and browsers to keep no page whose content was chosen on the server.
 */
final class Page_Caches {

	private bool $is_prevented = false;

	public function __construct( private Options $options ) {
	}

	public function register(): void {
		// Before the theme writes anything: afterwards headers are on their way.
		add_action( 'template_redirect', array( $this, 'prevent_for_posts' ), 0 );
	}

	public function prevent_for_posts(): void {
		global $wp_query;
		if ( ! $this->options->can_ask() || is_feed() ) {
			return;
		}
		foreach ( (array) $wp_query->posts as $post ) {
			if ( $post instanceof \WP_Post && self::chooses_on_server( $post->post_content, $this->options->text( 'content_mode' ) ) ) {
				$this->prevent();
				return;
			}
		}
	}

	/**
	 * Whether a text has content that is chosen on the server. Where it cannot be told apart, yes.
	 *
	 * @param string $text    Of a post.
	 * @param string $default The site's mode.
	 */
	public static function chooses_on_server( string $text, string $default ): bool {
		preg_match_all( '/<!--\s+wp:weft\/segment-content\b.*?-->|\[weft_segment\b[^\]]*\]/s', $text, $found );
		foreach ( $found[0] as $start ) {
			$says = preg_match( '/\bmode\W{1,4}(client|server)\b/', $start, $mode ) ? $mode[1] : $default;
			if ( 'server' === $says ) {
				return true;
			}
		}
		return false;
	}

	/** As soon as it is known; widgets and templates of a theme say so only while they are rendered. */
	public function prevent(): void {
		if ( $this->is_prevented ) {
			return;
		}
		$this->is_prevented = true;
		if ( ! defined( 'DONOTCACHEPAGE' ) ) {
			// phpcs:ignore WordPress.NamingConventions.PrefixAllGlobals -- the name that page caches look for.
			define( 'DONOTCACHEPAGE', true );
		}
		if ( ! headers_sent() ) {
			nocache_headers();
			header( 'Cache-Control: private, no-store, max-age=0' );
			header( 'Vary: Cookie', false );
		}
		// phpcs:ignore WordPress.NamingConventions.PrefixAllGlobals -- of LiteSpeed Cache.
		do_action( 'litespeed_control_set_nocache', 'weft' );
	}
}
