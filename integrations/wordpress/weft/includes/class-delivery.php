<?php
/**
 * Sends what is in the outbox.
 *
 * @package Weft
 */

namespace Weft;

defined( 'ABSPATH' ) || exit;

/**
 * Delivers after the page is out, and by WP-Cron what could not be delivered then.
 */
final class Delivery {

	/** Every hour, for what a request left behind that was killed. */
	public const HOURLY_HOOK = 'weft_deliver_hourly';

	/** Once, soon after something failed. */
	public const SOON_HOOK = 'weft_deliver_soon';

	private const MAX_EVENTS   = 100;
	private const MAX_BYTES    = 400000;
	private const MAX_BATCHES  = 50;
	private const MAX_WAIT_S   = 3600;
	private const AFTER_PAGE   = 2000;
	private const WITHIN_PAGE  = 300;
	private const IN_THE_BACK  = 10000;
	private const WONT_EVER_DO = array( 400, 413 );

	public function __construct( private Options $options, private Outbox $outbox, private Breaker $breaker ) {
	}

	public function register(): void {
		add_action( self::HOURLY_HOOK, array( $this, 'deliver_all' ) );
		add_action( self::SOON_HOOK, array( $this, 'deliver_all' ) );
	}

	/**
	 * One batch, when WordPress has nothing more to say. Where the web server lets PHP end the answer first, nobody waits;
	 * elsewhere the time is short, and what does not make it goes by WP-Cron.
	 */
	public function deliver_after_page(): void {
		$is_out = false;
		foreach ( array( 'fastcgi_finish_request', 'litespeed_finish_request' ) as $finish ) {
			if ( ! $is_out && function_exists( $finish ) ) {
				$is_out = (bool) $finish();
			}
		}
		$this->deliver( $is_out ? self::AFTER_PAGE : self::WITHIN_PAGE );
		$this->come_back();
	}

	/** Everything that is due, by WP-Cron. */
	public function deliver_all(): void {
		$this->outbox->sweep();
		for ( $i = 0; $i < self::MAX_BATCHES && $this->deliver( self::IN_THE_BACK ); $i++ );
		$this->come_back();
	}

	/** @return bool Whether a batch went out, so that there may be another. */
	private function deliver( int $timeout_ms ): bool {
		if ( ! $this->options->can_send() || ! $this->breaker->allows() ) {
			return false;
		}
		$claimed = $this->outbox->claim( self::MAX_EVENTS, self::MAX_BYTES );
		return array() !== $claimed && $this->send( $claimed, $timeout_ms );
	}

	/**
	 * @param array<int, array{event: object, tries: int}> $claimed By id.
	 * @param int                                         $timeout_ms For each request.
	 */
	private function send( array $claimed, int $timeout_ms ): bool {
		$ids    = array_keys( $claimed );
		$answer = self::post( $this->options->text( 'url' ), $this->options->text( 'write_key' ), array_column( $claimed, 'event' ), $timeout_ms );
		if ( 200 === $answer->status ) {
			// What Weft refused of it is among its dead letters, each with its reason.
			$this->outbox->delivered( $ids );
			$this->breaker->succeeded();
			$token = $answer->body['token'] ?? null;
			if ( is_string( $token ) ) {
				Recent_Writes::keep( array_column( $claimed, 'event' ), $token );
			}
			return true;
		}
		if ( in_array( $answer->status, self::WONT_EVER_DO, true ) ) {
			return $this->send_halves( $claimed, $timeout_ms );
		}
		$tries = max( array_column( $claimed, 'tries' ) );
		$this->outbox->postponed( $ids, max( $answer->retry_after_s, self::wait_s( $tries ) ) );
		$this->breaker->failed( $answer->reason(), max( Breaker::REST_S, $answer->retry_after_s ) );
		return false;
	}

	/** Finds the event that spoils a batch. */
	private function send_halves( array $claimed, int $timeout_ms ): bool {
		if ( 1 === count( $claimed ) ) {
			$this->outbox->refused( array_keys( $claimed ) );
			return true;
		}
		foreach ( array_chunk( $claimed, (int) ceil( count( $claimed ) / 2 ), true ) as $half ) {
			if ( ! $this->send( $half, $timeout_ms ) ) {
				return false;
			}
		}
		return true;
	}

	/**
	 * @param string  $url        Of Weft.
	 * @param string  $write_key  As `weft_i_…`.
	 * @param array   $events     In Segment's form.
	 * @param int     $timeout_ms For everything.
	 */
	public static function post( string $url, string $write_key, array $events, int $timeout_ms ): Answer {
		$body = array(
			'batch'  => $events,
			'sentAt' => Tracker::now(),
		);
		// phpcs:ignore WordPress.PHP.DiscouragedPHPFunctions.obfuscation_base64_encode -- Basic authentication, RFC 7617.
		return Http::post( "{$url}/v1/batch", $body, array( 'Authorization' => 'Basic ' . base64_encode( "{$write_key}:" ) ), $timeout_ms );
	}

	/** 1, 2, 4 … minutes, at most an hour. */
	public static function wait_s( int $tries ): int {
		return min( self::MAX_WAIT_S, MINUTE_IN_SECONDS * 2 ** min( $tries, 6 ) );
	}

	private function come_back(): void {
		if ( $this->outbox->count() > 0 && ! wp_next_scheduled( self::SOON_HOOK ) ) {
			wp_schedule_single_event( time() + MINUTE_IN_SECONDS, self::SOON_HOOK );
		}
	}
}
