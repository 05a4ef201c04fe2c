<?php
/**
 * What somebody did a moment ago.
 *
 * @package Weft
 */

namespace Weft;

defined( 'ABSPATH' ) || exit;

/**
 * The token of the last events that were delivered for a person, so that the next page asks Weft for an answer that counts
 * them. A minute later they have long been counted.
 */
final class Recent_Writes {

	private const LIFE_S     = 60;
	private const MAX_PEOPLE = 10;

	private const NAMESPACES = array(
		'anonymousId' => 'anonymous_id',
		'userId'      => 'user_id',
	);

	/**
	 * @param object[] $events That Weft has taken.
	 * @param string   $token  Of its answer.
	 */
	public static function keep( array $events, string $token ): void {
		$names = array();
		foreach ( $events as $event ) {
			foreach ( self::NAMESPACES as $field => $name_space ) {
				if ( isset( $event->$field ) && is_string( $event->$field ) ) {
					$names[ self::name( $name_space, $event->$field ) ] = true;
				}
			}
		}
		foreach ( array_slice( array_keys( $names ), 0, self::MAX_PEOPLE ) as $name ) {
			set_transient( $name, $token, self::LIFE_S );
		}
	}

	/** @param array{namespace: string, value: string} $identifier Who is asked about. */
	public static function token_for( array $identifier ): ?string {
		$token = get_transient( self::name( $identifier['namespace'], $identifier['value'] ) );
		return is_string( $token ) ? $token : null;
	}

	/** With an object cache they end by themselves. */
	public static function forget_all(): void {
		global $wpdb;
		foreach ( array( '_transient_weft_after_', '_transient_timeout_weft_after_' ) as $prefix ) {
			// phpcs:ignore WordPress.DB.DirectDatabaseQuery -- there is no other way to find them.
			$wpdb->query( $wpdb->prepare( "DELETE FROM {$wpdb->options} WHERE option_name LIKE %s", $wpdb->esc_like( $prefix ) . '%' ) );
		}
	}

	private static function name( string $name_space, string $value ): string {
		return 'weft_after_' . substr( hash( 'sha256', "{$name_space}\n{$value}" ), 0, 32 );
	}
}
