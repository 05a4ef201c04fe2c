<?php
/**
 * What a site has to tell its visitors.
 *
 * @package Weft
 */

namespace Weft;

defined( 'ABSPATH' ) || exit;

/**
 * Text for the privacy policy, and word to consent plugins.
 */
final class Privacy {

	public function __construct( private Options $options ) {
	}

	public function register(): void {
		add_filter( 'wp_consent_api_registered_' . plugin_basename( PLUGIN_FILE ), '__return_true' );
		add_action( 'init', array( $this, 'describe_cookie' ) );
		add_action( 'admin_init', array( $this, 'suggest_policy' ) );
	}

	/** To the WP Consent API, whose plugins list the cookies of a site. */
	public function describe_cookie(): void {
		if ( function_exists( 'wp_add_cookie_info' ) ) {
			wp_add_cookie_info(
				Visitor::COOKIE,
				'Weft',
				$this->options->text( 'consent_category' ),
				__( '13 months', 'weft' ),
				__( 'Recognises a visitor, to show content that fits.', 'weft' )
			);
		}
	}

	public function suggest_policy(): void {
		$text = '<p class="privacy-policy-tutorial">' . esc_html__( 'Say who runs your Weft and where, and for how long it keeps what it is told.', 'weft' ) . '</p><p>'
			. esc_html__( 'If you agree, we note which pages and products you look at, what you put into your cart, what you order, and that you comment or log in, to show you content that fits. A cookie named weft_id recognises your browser for up to 13 months. You can take your consent back at any time; the cookie is then deleted.', 'weft' )
			. '</p>';
		wp_add_privacy_policy_content( 'Weft', wp_kses_post( $text ) );
	}
}
