<?php
/**
 * Who asks for a page.
 *
 * @package Weft
 */

namespace Weft;

defined( 'ABSPATH' ) || exit;

/**
 * The visitor's ids: the cookie that the JavaScript client keeps too, and the account.
 */
final class Visitor {

	/** The JavaScript client's. */
	public const COOKIE = 'weft_id';

	private const COOKIE_DAYS = 390;

	/** For how long a signature holds, which is made for one request. */
	private const SIGNATURE_S = 300;

	public function __construct( private Options $options, private Consent $consent ) {
	}

	/** The id of the cookie if nobody can guess it, else null. */
	public static function anonymous_id_of_cookie(): ?string {
		// phpcs:ignore WordPress.Security.ValidatedSanitizedInput -- the pattern lets nothing else pass.
		$value = $_COOKIE[ self::COOKIE ] ?? null;
		return is_string( $value ) && preg_match( '/^[A-Za-z0-9_-]{21,200}$/D', $value ) ? $value : null;
	}

	/** Null without consent, or where there is none yet. */
	public function anonymous_id(): ?string {
		return $this->consent->granted() ? self::anonymous_id_of_cookie() : null;
	}

	/** Makes an id and its cookie where there is none and a cookie can still be set. */
	public function ensure_anonymous_id(): ?string {
		$known = $this->anonymous_id();
		if ( null !== $known || ! $this->consent->granted() || headers_sent() ) {
			return $known;
		}
		$id = self::new_id();
		setcookie(
			self::COOKIE,
			$id,
			array(
				'expires'  => time() + self::COOKIE_DAYS * DAY_IN_SECONDS,
				'path'     => COOKIEPATH ? COOKIEPATH : '/',
				'domain'   => (string) COOKIE_DOMAIN,
				'secure'   => is_ssl(),
				'samesite' => 'Lax',
			)
		);
		$_COOKIE[ self::COOKIE ] = $id;
		return $id;
	}

	/** Whoever comes next at this browser is somebody else. */
	public function forget(): void {
		if ( isset( $_COOKIE[ self::COOKIE ] ) && ! headers_sent() ) {
			setcookie( self::COOKIE, '', time() - YEAR_IN_SECONDS, COOKIEPATH ? COOKIEPATH : '/', (string) COOKIE_DOMAIN );
		}
		unset( $_COOKIE[ self::COOKIE ] );
	}

	/** The account's id, null for guests and without consent. */
	public function user_id(): ?string {
		return is_user_logged_in() && $this->consent->granted() ? self::id_of_user( wp_get_current_user() ) : null;
	}

	public static function id_of_user( \WP_User $user ): string {
		/**
		 * Filters the `user_id` by which Weft knows an account, as where your CRM has numbers of its own.
		 *
		 * @param string   $id   The number of the account, behind the prefix of the settings.
		 * @param \WP_User $user The account.
		 */
		return (string) apply_filters( 'weft_user_id', ( new Options() )->text( 'user_id_prefix' ) . $user->ID, $user );
	}

	/**
	 * What to ask Weft about from this server.
	 *
	 * @return array{namespace: string, value: string, signature?: string}|null Null: nobody that can be asked about.
	 */
	public function identifier(): ?array {
		$user_id = $this->user_id();
		$secret  = $this->options->text( 'signing_secret' );
		// A line break would let one signature stand for two identifiers.
		if ( null !== $user_id && '' !== $user_id && ! preg_match( '/[\r\n]/', $user_id ) && '' !== $secret ) {
			return array(
				'namespace' => 'user_id',
				'value'     => $user_id,
				'signature' => sign_identifier( $secret, 'user_id', $user_id, time() + self::SIGNATURE_S ),
			);
		}
		$anonymous_id = $this->anonymous_id();
		return null === $anonymous_id ? null : array(
			'namespace' => 'anonymous_id',
			'value'     => $anonymous_id,
		);
	}

	/** A random UUID, version 4. WordPress's own can be guessed, and whoever has the id can ask for the profile. */
	public static function new_id(): string {
		$bytes    = random_bytes( 16 );
		$bytes[6] = chr( ( ord( $bytes[6] ) & 0x0f ) | 0x40 );
		$bytes[8] = chr( ( ord( $bytes[8] ) & 0x3f ) | 0x80 );
		return preg_replace( '/^(.{8})(.{4})(.{4})(.{4})/', '$1-$2-$3-$4-', bin2hex( $bytes ) );
	}
}
