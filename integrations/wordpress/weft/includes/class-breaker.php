<?php
/**
 * Who may try a Weft that does not answer.
 *
 * @package Weft
 */

namespace Weft;

defined( 'ABSPATH' ) || exit;

/**
 * A circuit breaker: after a failure one request a minute may try, all others go on without. Closed: no note. Open: the
 * note of the failure, until a try succeeds. Whoever takes the lease of the minute is the one that tries.
 */
final class Breaker {

	public const REST_S = 60;

	private const GROUP = 'weft';

	/**
	 * @param string $name `edge` or `delivery`.
	 */
	public function __construct( private string $name ) {
	}

	/** Whether this request may ask. It has to say how that went. */
	public function allows(): bool {
		return null === $this->failure() || $this->take_lease();
	}

	/**
	 * @param string $reason In a few words, without secrets.
	 * @param int    $rest_s Seconds until somebody may try again.
	 */
	public function failed( string $reason, int $rest_s = self::REST_S ): void {
		$failure = $this->failure();
		set_transient(
			$this->note(),
			array(
				'since'  => $failure['since'] ?? time(),
				'reason' => mb_substr( $reason, 0, 300 ),
			),
			DAY_IN_SECONDS
		);
		$this->hold_lease( $rest_s );
	}

	public function succeeded(): void {
		if ( null !== $this->failure() ) {
			delete_transient( $this->note() );
		}
	}

	/**
	 * The failure that is not over.
	 *
	 * @return array{since: int, reason: string}|null
	 */
	public function failure(): ?array {
		$failure = get_transient( $this->note() );
		return is_array( $failure ) ? $failure : null;
	}

	/** Forgets everything, as when the settings have changed. */
	public function reset(): void {
		delete_transient( $this->note() );
		wp_cache_delete( $this->lease(), self::GROUP );
		delete_option( $this->lease() );
	}

	/** True for one request a minute: the store decides, so that no two believe it at once. */
	private function take_lease(): bool {
		if ( wp_using_ext_object_cache() ) {
			return wp_cache_add( $this->lease(), 1, self::GROUP, self::REST_S );
		}
		return 0 < $this->write_lease( time() + self::REST_S, 'IF(CAST(option_value AS UNSIGNED) <= %d, VALUES(option_value), option_value)', array( time() ) );
	}

	private function hold_lease( int $rest_s ): void {
		if ( wp_using_ext_object_cache() ) {
			wp_cache_set( $this->lease(), 1, self::GROUP, $rest_s );
			return;
		}
		$this->write_lease( time() + $rest_s, 'VALUES(option_value)', array() );
	}

	/** @return int Rows that changed. */
	private function write_lease( int $until, string $on_duplicate, array $values ): int {
		global $wpdb;
		// phpcs:disable WordPress.DB -- an option cannot be written only if it has not changed; the names are constants.
		return (int) $wpdb->query(
			$wpdb->prepare(
				"INSERT INTO {$wpdb->options} (option_name, option_value, autoload) VALUES (%s, %d, 'no')
				ON DUPLICATE KEY UPDATE option_value = {$on_duplicate}",
				$this->lease(),
				$until,
				...$values
			)
		);
		// phpcs:enable
	}

	private function note(): string {
		return "weft_down_{$this->name}";
	}

	private function lease(): string {
		return "weft_probe_{$this->name}";
	}
}
