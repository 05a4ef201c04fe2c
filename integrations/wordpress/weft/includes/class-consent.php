<?php
/**
 * Whether a visitor has agreed.
 *
 * @package Weft
 */

namespace Weft;

defined( 'ABSPATH' ) || exit;

/**
 * Without consent nothing is sent, asked or stored, and everybody sees the default content.
 */
final class Consent {

	public function __construct( private Options $options ) {
	}

	/** Whether the visitor of this request has agreed. */
	public function granted(): bool {
		$granted = match ( $this->options->text( 'consent' ) ) {
			'always' => ! self::asks_not_to_be_tracked(),
			'hook'   => null !== Visitor::anonymous_id_of_cookie(),
			default  => function_exists( 'wp_has_consent' ) && wp_has_consent( $this->options->text( 'consent_category' ) ),
		};
		/**
		 * Filters whether the visitor has agreed to being known, for consent tools without the WP Consent API.
		 *
		 * @param bool $granted What the settings come to.
		 */
		return (bool) apply_filters( 'weft_has_consent', $granted );
	}

	/** Global Privacy Control or Do Not Track: the visitor's no, where nobody has asked. */
	private static function asks_not_to_be_tracked(): bool {
		return '1' === ( $_SERVER['HTTP_SEC_GPC'] ?? '' ) || '1' === ( $_SERVER['HTTP_DNT'] ?? '' );
	}

	/** Whether the settings wait for a consent plugin that is not there. */
	public function waits_for_plugin(): bool {
		return 'consent_api' === $this->options->text( 'consent' ) && ! function_exists( 'wp_has_consent' );
	}
}
