<?php
/**
 * Says what is wrong between this site and Weft.
 *
 * @package Weft
 */

namespace Weft;

defined( 'ABSPATH' ) || exit;

/**
 * Tries each part of the settings by itself, so that each problem has a name and a remedy.
 */
final class Connection_Test {

	private const TIMEOUT_MS = 5000;

	/** Nobody's id. */
	private const NOBODY = 'weft-connection-test';

	/** @param array $settings As of {@see Options::all()}, perhaps not saved yet. */
	public function __construct( private array $settings ) {
	}

	/**
	 * @return array<array{part: string, ok: bool, says: string}> In the order in which to put things right.
	 */
	public function run(): array {
		$address = $this->address();
		if ( ! $address['ok'] ) {
			return array( $address );
		}
		return array_values( array_filter( array( $address, $this->write_key(), $this->edge_key(), $this->origin(), $this->signing_secret(), $this->consent() ) ) );
	}

	private function address(): array {
		$part = __( 'Address', 'weft' );
		if ( '' === $this->settings['url'] ) {
			return self::problem( $part, __( 'Enter the address of your Weft, as https://weft.example.org', 'weft' ) );
		}
		$answer = Http::get( $this->settings['url'] . '/healthz', self::TIMEOUT_MS );
		if ( 0 === $answer->status ) {
			/* translators: %s: what the network said. */
			return self::problem( $part, sprintf( __( 'Weft cannot be reached from this server: %s. Is it running, is the address right, does a firewall stand in between?', 'weft' ), $answer->problem ) );
		}
		if ( 200 !== $answer->status || null === $answer->body ) {
			/* translators: %d: HTTP status. */
			return self::problem( $part, sprintf( __( 'Something answers there (HTTP %d), but it is not Weft. Give the address without a path.', 'weft' ), $answer->status ) );
		}
		/* translators: %d: milliseconds. */
		return self::good( $part, sprintf( __( 'Weft answers in %d ms.', 'weft' ), (int) round( $answer->elapsed_ms ) ) );
	}

	private function write_key(): array {
		$part = __( 'Write key', 'weft' );
		if ( '' === $this->settings['write_key'] ) {
			return self::problem( $part, __( 'There is none, so nothing is tracked. Make one with: weft keys create --scope ingest --source web --name wordpress', 'weft' ) );
		}
		$answer = Delivery::post( $this->settings['url'], $this->settings['write_key'], array(), self::TIMEOUT_MS );
		return match ( $answer->status ) {
			200      => self::good( $part, __( 'Events are taken.', 'weft' ) ),
			401      => self::problem( $part, __( 'Weft does not know this key, or it has expired or been revoked. Copy it again, or make a new one.', 'weft' ) ),
			403      => self::problem( $part, __( 'This key may not send events. A write key has the scope ingest and begins with weft_i_', 'weft' ) ),
			default  => self::problem( $part, self::unexpected( $answer ) ),
		};
	}

	private function edge_key(): array {
		$part = __( 'Edge key', 'weft' );
		if ( '' === $this->settings['edge_key'] ) {
			return self::problem( $part, __( 'There is none, so everybody sees the default content. Make one with: weft keys create --scope edge --name wordpress', 'weft' ) );
		}
		$answer = $this->ask( 'anonymous_id', Visitor::new_id(), null );
		if ( null === Edge::profile_of( $answer ) ) {
			return self::problem( $part, self::edge_problem( $answer ) );
		}
		$elapsed_ms = (int) ceil( $answer->elapsed_ms );
		if ( $elapsed_ms > (int) $this->settings['deadline_ms'] ) {
			return self::problem(
				$part,
				sprintf(
					/* translators: 1: milliseconds taken, 2: deadline in milliseconds. */
					__( 'It works, but the answer took %1$d ms, longer than the deadline of %2$d ms: the default would have been shown. Test again; if it stays so, move Weft nearer or raise the deadline.', 'weft' ),
					$elapsed_ms,
					(int) $this->settings['deadline_ms']
				)
			);
		}
		/* translators: %d: milliseconds. */
		return self::good( $part, sprintf( __( 'Segments can be asked for; the answer took %d ms.', 'weft' ), $elapsed_ms ) );
	}

	/** Browsers name the site that a page is of, and the key has to list it. */
	private function origin(): ?array {
		if ( '' === $this->settings['edge_key'] ) {
			return null;
		}
		$part   = __( 'Pages of this site', 'weft' );
		$origin = self::origin_of( home_url() );
		$answer = $this->ask( 'anonymous_id', Visitor::new_id(), null, array( 'Origin' => $origin ) );
		if ( null !== Edge::profile_of( $answer ) ) {
			/* translators: %s: origin as https://example.org. */
			return self::good( $part, sprintf( __( 'Browsers may ask from %s.', 'weft' ), $origin ) );
		}
		if ( 403 === $answer->status ) {
			/* translators: %s: origin as https://example.org. */
			return self::problem( $part, sprintf( __( 'The edge key does not list %s, so content filled in the browser stays at its default. Make the key with: weft keys create --scope edge --origin %s --name wordpress', 'weft' ), $origin, $origin ) );
		}
		return null;
	}

	private function signing_secret(): ?array {
		if ( '' === $this->settings['edge_key'] ) {
			return null;
		}
		$part = __( 'Signing secret', 'weft' );
		if ( '' === $this->settings['signing_secret'] ) {
			return self::good( $part, __( 'There is none. Visitors are known by their cookie alone, also when they are logged in.', 'weft' ) );
		}
		$signature = sign_identifier( $this->settings['signing_secret'], 'user_id', self::NOBODY, time() + MINUTE_IN_SECONDS );
		$answer    = $this->ask( 'user_id', self::NOBODY, $signature );
		if ( null !== Edge::profile_of( $answer ) ) {
			return self::good( $part, __( 'It belongs to the edge key.', 'weft' ) );
		}
		if ( 'FORBIDDEN' === $answer->code() ) {
			return self::problem( $part, __( 'It does not belong to this edge key, or the clocks of the two servers differ by minutes. Show the right one with: weft keys signing-secret', 'weft' ) );
		}
		return self::problem( $part, self::edge_problem( $answer ) );
	}

	private function consent(): ?array {
		if ( 'consent_api' !== $this->settings['consent'] || function_exists( 'wp_has_consent' ) ) {
			return null;
		}
		return self::problem( __( 'Consent', 'weft' ), __( 'No plugin offers the WP Consent API, so nobody has agreed: nothing is tracked and everybody sees the default. Install one, or choose another way below.', 'weft' ) );
	}

	private function ask( string $name_space, string $value, ?string $signature, array $headers = array() ): Answer {
		$identifier = array_filter(
			array(
				'namespace' => $name_space,
				'value'     => $value,
				'signature' => $signature,
			)
		);
		return Edge::ask( $this->settings['url'], $this->settings['edge_key'], $identifier, self::TIMEOUT_MS, null, $headers );
	}

	private static function edge_problem( Answer $answer ): string {
		return match ( $answer->status ) {
			401     => __( 'Weft does not know this key, or it has expired or been revoked. Copy it again, or make a new one.', 'weft' ),
			403     => __( 'This key may not ask for segments. An edge key has the scope edge and begins with weft_e_', 'weft' ),
			404     => __( 'This Weft is too old to answer pages: it has no edgeProfile.', 'weft' ),
			429     => __( 'The key has used up its rate. Test again in a minute, or give it a higher one.', 'weft' ),
			default => self::unexpected( $answer ),
		};
	}

	/** Scheme, host and port, as browsers send it. */
	private static function origin_of( string $url ): string {
		$parts = wp_parse_url( $url );
		$port  = isset( $parts['port'] ) ? ":{$parts['port']}" : '';
		return strtolower( "{$parts['scheme']}://{$parts['host']}{$port}" );
	}

	private static function unexpected( Answer $answer ): string {
		/* translators: %s: what Weft answered. */
		return sprintf( __( 'Weft answered in a way that was not expected: %s', 'weft' ), $answer->reason() );
	}

	private static function good( string $part, string $says ): array {
		return array(
			'part' => $part,
			'ok'   => true,
			'says' => $says,
		);
	}

	private static function problem( string $part, string $says ): array {
		return array(
			'part' => $part,
			'ok'   => false,
			'says' => $says,
		);
	}
}
