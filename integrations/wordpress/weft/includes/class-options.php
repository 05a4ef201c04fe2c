<?php
/**
 * What the owner of the site has set.
 *
 * @package Weft
 */

namespace Weft;

defined( 'ABSPATH' ) || exit;

/**
 * The settings: of wp-config.php where it says something, else as saved on the settings page.
 */
final class Options {

	public const NAME = 'weft_options';

	public const CONSTANTS = array(
		'url'            => 'WEFT_URL',
		'write_key'      => 'WEFT_WRITE_KEY',
		'edge_key'       => 'WEFT_EDGE_KEY',
		'signing_secret' => 'WEFT_SIGNING_SECRET',
		'user_id_prefix' => 'WEFT_USER_ID_PREFIX',
	);

	/** What a key begins with, by what it is for. */
	public const KEY_LETTERS = array(
		'write_key'      => 'i',
		'edge_key'       => 'e',
		'signing_secret' => 's',
	);

	public const TRACKABLE = array( 'pages', 'products', 'cart', 'orders', 'comments', 'logins' );

	public const CONSENT_MODES = array( 'consent_api', 'hook', 'always' );

	public const CONSENT_CATEGORIES = array( 'marketing', 'statistics', 'preferences', 'functional' );

	public const CONTENT_MODES = array( 'client', 'server' );

	public const MIN_DEADLINE_MS = 10;
	public const MAX_DEADLINE_MS = 2000;

	public const MAX_PREFIX_LENGTH = 100;

	/**
	 * What is set where nothing was saved. Nothing is tracked before a consent plugin, or the owner, says that it may be.
	 */
	public static function defaults(): array {
		return array(
			'url'              => '',
			'write_key'        => '',
			'edge_key'         => '',
			'signing_secret'   => '',
			'deadline_ms'      => 150,
			'content_mode'     => 'client',
			'consent'          => 'consent_api',
			'consent_category' => 'marketing',
			'track'            => self::TRACKABLE,
			'send_email'       => false,
			'user_id_prefix'   => self::prefix_of( network_home_url() ),
		);
	}

	/**
	 * What a site's accounts are told apart by: account 1 of two sites on one Weft are two people. The sites of a network
	 * have their accounts in common, and so the prefix.
	 *
	 * @param string $address Of the site, or of the network.
	 */
	public static function prefix_of( string $address ): string {
		$parts = wp_parse_url( $address );
		$parts = is_array( $parts ) ? $parts : array();
		$port  = isset( $parts['port'] ) ? ":{$parts['port']}" : '';
		$place = strtolower( $parts['host'] ?? '' ) . $port . rtrim( $parts['path'] ?? '', '/' );
		$place = (string) preg_replace( '/[^A-Za-z0-9._:\/-]/', '', $place );
		return '' === $place ? '' : substr( $place, 0, self::MAX_PREFIX_LENGTH - 1 ) . ':';
	}

	/**
	 * Saves the prefix once: who an account is must not change when the site moves to another address, nor for a site that
	 * has sent events without one.
	 *
	 * @param bool $was_installed Before there were prefixes.
	 */
	public static function settle_prefix( bool $was_installed ): void {
		$saved = get_option( self::NAME, array() );
		$saved = is_array( $saved ) ? $saved : array();
		if ( isset( $saved['user_id_prefix'] ) ) {
			return;
		}
		$has_sent                = $was_installed && ( new self() )->can_send();
		$saved['user_id_prefix'] = $has_sent ? '' : self::prefix_of( network_home_url() );
		update_option( self::NAME, $saved );
	}

	/** All settings, by name. */
	public function all(): array {
		$saved = get_option( self::NAME, array() );
		$all   = array_merge( self::defaults(), is_array( $saved ) ? $saved : array() );
		foreach ( array_keys( self::CONSTANTS ) as $name ) {
			$constant = self::of_constant( $name );
			if ( null !== $constant ) {
				$all[ $name ] = 'url' === $name ? rtrim( $constant, '/' ) : $constant;
			}
		}
		return $all;
	}

	/** The value of wp-config.php; null where it says nothing. */
	public static function of_constant( string $name ): ?string {
		$constant = self::CONSTANTS[ $name ] ?? '';
		if ( '' === $constant || ! defined( $constant ) || ! is_scalar( constant( $constant ) ) ) {
			return null;
		}
		return trim( (string) constant( $constant ) );
	}

	public function text( string $name ): string {
		return (string) $this->all()[ $name ];
	}

	/** Whole milliseconds that a page may wait for Weft. */
	public function deadline_ms(): int {
		return (int) $this->all()['deadline_ms'];
	}

	public function sends_email(): bool {
		return (bool) $this->all()['send_email'];
	}

	/** Whether events can be sent, and those of this kind are wanted. */
	public function tracks( string $what ): bool {
		return $this->can_send() && in_array( $what, (array) $this->all()['track'], true );
	}

	public function can_send(): bool {
		return '' !== $this->text( 'url' ) && '' !== $this->text( 'write_key' );
	}

	public function can_ask(): bool {
		return '' !== $this->text( 'url' ) && '' !== $this->text( 'edge_key' );
	}

	/**
	 * What may be saved of what a form sent. A field that is wrong keeps its former value.
	 *
	 * @param array $input    As sent; a missing or empty signing secret keeps the former one.
	 * @param array $previous As saved.
	 * @return array{values: array, problems: array<string, string>} Problems by field, in the site's language.
	 */
	public static function check( array $input, array $previous ): array {
		$values   = array_merge( self::defaults(), array_intersect_key( $previous, self::defaults() ) );
		$problems = array();

		$url = rtrim( trim( self::scalar( $input['url'] ?? '' ) ), '/' );
		if ( '' === $url || self::is_web_address( $url ) ) {
			$values['url'] = $url;
		} else {
			$problems['url'] = __( 'The address of Weft has to begin with https:// (or http:// within your own network) and hold no user name, query or fragment.', 'weft' );
		}

		foreach ( self::KEY_LETTERS as $name => $letter ) {
			$key = trim( self::scalar( $input[ $name ] ?? '' ) );
			if ( 'signing_secret' === $name && '' === $key ) {
				$values[ $name ] = empty( $input['forget_signing_secret'] ) ? $values[ $name ] : '';
				continue;
			}
			$problem = '' === $key ? null : self::key_problem( $key, $letter );
			if ( null === $problem ) {
				$values[ $name ] = $key;
			} else {
				$problems[ $name ] = $problem;
			}
		}

		$deadline_ms = self::scalar( $input['deadline_ms'] ?? '' );
		if ( ctype_digit( $deadline_ms ) && $deadline_ms >= self::MIN_DEADLINE_MS && $deadline_ms <= self::MAX_DEADLINE_MS ) {
			$values['deadline_ms'] = (int) $deadline_ms;
		} else {
			$problems['deadline_ms'] = sprintf(
				/* translators: 1: least, 2: greatest number of milliseconds. */
				__( 'The deadline has to be a whole number of milliseconds from %1$d to %2$d.', 'weft' ),
				self::MIN_DEADLINE_MS,
				self::MAX_DEADLINE_MS
			);
		}

		if ( isset( $input['user_id_prefix'] ) ) {
			$prefix = trim( self::scalar( $input['user_id_prefix'] ) );
			if ( preg_match( '/^[A-Za-z0-9._:\/@#+-]*$/D', $prefix ) && strlen( $prefix ) <= self::MAX_PREFIX_LENGTH ) {
				$values['user_id_prefix'] = $prefix;
			} else {
				$problems['user_id_prefix'] = sprintf(
					/* translators: %d: greatest number of characters. */
					__( 'The prefix may have up to %d letters, digits and . _ : / @ # + -', 'weft' ),
					self::MAX_PREFIX_LENGTH
				);
			}
		}

		$values['content_mode']     = self::one_of( self::CONTENT_MODES, $input['content_mode'] ?? '' );
		$values['consent']          = self::one_of( self::CONSENT_MODES, $input['consent'] ?? '' );
		$values['consent_category'] = self::one_of( self::CONSENT_CATEGORIES, $input['consent_category'] ?? '' );
		$values['track']            = array_values( array_intersect( self::TRACKABLE, (array) ( $input['track'] ?? array() ) ) );
		$values['send_email']       = ! empty( $input['send_email'] );
		return array(
			'values'   => $values,
			'problems' => $problems,
		);
	}

	/**
	 * What is wrong with a key; null where it may be right.
	 *
	 * @param string $key    As pasted.
	 * @param string $letter Of the kind that belongs here.
	 */
	private static function key_problem( string $key, string $letter ): ?string {
		if ( preg_match( '/^weft_' . $letter . '_[0-9A-Za-z]{43}$/D', $key ) ) {
			return null;
		}
		$kinds = array(
			'a' => __( 'an admin key, which must never be on a website', 'weft' ),
			'r' => __( 'a read key, which must never be on a website', 'weft' ),
			'i' => __( 'a write key', 'weft' ),
			'e' => __( 'an edge key', 'weft' ),
			's' => __( 'a signing secret', 'weft' ),
		);
		if ( preg_match( '/^weft_([aries])_/', $key, $found ) && $found[1] !== $letter ) {
			/* translators: 1: the kind of key that was pasted, 2: what the right one begins with. */
			return sprintf( __( 'This is %1$s. What belongs here begins with %2$s', 'weft' ), $kinds[ $found[1] ] ?? '?', "weft_{$letter}_" );
		}
		/* translators: %s: what the right key begins with. */
		return sprintf( __( 'This is no whole key of Weft: it has to be %s and 43 letters and digits. Copy it again.', 'weft' ), "weft_{$letter}_" );
	}

	private static function is_web_address( string $url ): bool {
		$parts = wp_parse_url( $url );
		return is_array( $parts )
			&& in_array( $parts['scheme'] ?? '', array( 'http', 'https' ), true )
			&& '' !== ( $parts['host'] ?? '' )
			&& array() === array_intersect_key( $parts, array_flip( array( 'user', 'pass', 'query', 'fragment' ) ) );
	}

	/**
	 * @param string[] $allowed The first stands for whatever is none of them.
	 * @param mixed    $value   As sent.
	 */
	private static function one_of( array $allowed, $value ): string {
		return in_array( $value, $allowed, true ) ? $value : $allowed[0];
	}

	/** @param mixed $value As sent. */
	private static function scalar( $value ): string {
		return is_scalar( $value ) ? sanitize_text_field( (string) $value ) : '';
	}
}
