<?php
/**
 * Events on their way to Weft.
 *
 * @package Weft
 */

namespace Weft;

defined( 'ABSPATH' ) || exit;

/**
 * A table of events that are not delivered yet, so that none is lost while Weft is away. Each has its message id: sent
 * twice, it counts once. Bounded in number and age; what does not fit is counted.
 */
final class Outbox {

	public const MAX_EVENTS     = 2000;
	public const MAX_AGE_S      = 604800;
	public const MAX_EVENT_SIZE = 32768;

	/** For how long a process that delivers has its events to itself. */
	private const CLAIM_S = 60;

	private const DROPPED_OPTION = 'weft_events_dropped';

	public static function table(): string {
		global $wpdb;
		return $wpdb->prefix . 'weft_outbox';
	}

	public static function create_table(): void {
		global $wpdb;
		require_once ABSPATH . 'wp-admin/includes/upgrade.php';
		$table = self::table();
		dbDelta(
			"CREATE TABLE {$table} (
				id bigint(20) unsigned NOT NULL AUTO_INCREMENT,
				event mediumtext NOT NULL,
				created_at int(10) unsigned NOT NULL,
				due_at int(10) unsigned NOT NULL,
				tries smallint(5) unsigned NOT NULL DEFAULT 0,
				claim varchar(36) NOT NULL DEFAULT '',
				PRIMARY KEY  (id),
				KEY due_at (due_at)
			) {$wpdb->get_charset_collate()};"
		);
	}

	public static function drop_table(): void {
		global $wpdb;
		$wpdb->query( 'DROP TABLE IF EXISTS ' . self::table() ); // phpcs:ignore WordPress.DB -- the name is ours.
		delete_option( self::DROPPED_OPTION );
	}

	/** Keeps an event until it is delivered. */
	public function add( array $event ): void {
		global $wpdb;
		$json = wp_json_encode( $event );
		if ( false === $json || strlen( $json ) > self::MAX_EVENT_SIZE ) {
			self::count_dropped( 1 );
			return;
		}
		$now = time();
		// phpcs:ignore WordPress.DB.DirectDatabaseQuery -- a table of our own.
		$wpdb->insert(
			self::table(),
			array(
				'event'      => $json,
				'created_at' => $now,
				'due_at'     => $now,
			)
		);
	}

	/**
	 * The oldest events that are due, which nobody else gets for a minute.
	 *
	 * @return array<int, array{event: object, tries: int}> By id.
	 */
	public function claim( int $limit, int $max_bytes ): array {
		global $wpdb;
		$now   = time();
		$claim = wp_generate_uuid4();
		$table = self::table();
		// phpcs:disable WordPress.DB -- the name of the table is ours.
		$wpdb->query( $wpdb->prepare( "UPDATE {$table} SET claim = %s, due_at = %d WHERE due_at <= %d ORDER BY id LIMIT %d", $claim, $now + self::CLAIM_S, $now, $limit ) );
		$rows = $wpdb->get_results( $wpdb->prepare( "SELECT id, event, tries FROM {$table} WHERE claim = %s ORDER BY id", $claim ), ARRAY_A );
		// phpcs:enable
		$events = array();
		$rest   = array();
		foreach ( (array) $rows as $row ) {
			$max_bytes -= strlen( $row['event'] ) + 1;
			if ( $max_bytes < 0 && array() !== $events ) {
				$rest[] = (int) $row['id'];
				continue;
			}
			$events[ (int) $row['id'] ] = array(
				// Not as an array: an empty object has to stay one.
				'event' => json_decode( $row['event'] ),
				'tries' => (int) $row['tries'],
			);
		}
		$this->update_due( $rest, $now, 0 );
		return $events;
	}

	/**
	 * The events of an account that wait, and those that name an address, as orders of guests do.
	 *
	 * @param string $user_id '': none.
	 * @return array<int, array> Events by id, the oldest first.
	 */
	public function of_person( string $user_id, string $email ): array {
		global $wpdb;
		$like   = static fn ( string $key, string $value ): string => '%' . $wpdb->esc_like( "\"{$key}\":" . wp_json_encode( $value ) ) . '%';
		$events = array();
		// phpcs:ignore WordPress.DB -- the name of the table is ours.
		$rows = $wpdb->get_results( $wpdb->prepare( 'SELECT id, event FROM ' . self::table() . ' WHERE event LIKE %s OR event LIKE %s ORDER BY id', $like( 'userId', $user_id ), $like( 'email', $email ) ), ARRAY_A );
		foreach ( (array) $rows as $row ) {
			$event = json_decode( $row['event'], true );
			// The text may have stood in a property.
			$is_of_account = '' !== $user_id && ( $event['userId'] ?? null ) === $user_id;
			$named         = $event['traits']['email'] ?? null;
			if ( $is_of_account || ( is_string( $named ) && 0 === strcasecmp( $named, $email ) ) ) {
				$events[ (int) $row['id'] ] = $event;
			}
		}
		return $events;
	}

	/** @param int[] $ids Of events that Weft has. */
	public function delivered( array $ids ): void {
		global $wpdb;
		if ( array() === $ids ) {
			return;
		}
		$wpdb->query( 'DELETE FROM ' . self::table() . ' WHERE id IN (' . implode( ',', array_map( 'intval', $ids ) ) . ')' ); // phpcs:ignore WordPress.DB -- whole numbers.
	}

	/** @param int[] $ids Of events that Weft will never take. */
	public function refused( array $ids ): void {
		$this->delivered( $ids );
		self::count_dropped( count( $ids ) );
	}

	/** @param int[] $ids Of events to send again after this many seconds. */
	public function postponed( array $ids, int $wait_s ): void {
		$this->update_due( $ids, time() + $wait_s, 1 );
	}

	/** Drops what is too old, and the oldest of what is too much. */
	public function sweep(): void {
		global $wpdb;
		$table = self::table();
		// phpcs:disable WordPress.DB -- the name of the table is ours.
		$dropped = (int) $wpdb->query( $wpdb->prepare( "DELETE FROM {$table} WHERE created_at < %d", time() - self::MAX_AGE_S ) );
		$excess  = $this->count() - self::MAX_EVENTS;
		if ( $excess > 0 ) {
			$dropped += (int) $wpdb->query( $wpdb->prepare( "DELETE FROM {$table} ORDER BY id LIMIT %d", $excess ) );
		}
		// phpcs:enable
		self::count_dropped( $dropped );
	}

	public function count(): int {
		global $wpdb;
		return (int) $wpdb->get_var( 'SELECT COUNT(*) FROM ' . self::table() ); // phpcs:ignore WordPress.DB -- the name is ours.
	}

	/** Events that were given up since the plugin was installed. */
	public static function dropped(): int {
		return (int) get_option( self::DROPPED_OPTION, 0 );
	}

	private static function count_dropped( int $count ): void {
		if ( $count > 0 ) {
			update_option( self::DROPPED_OPTION, self::dropped() + $count, false );
		}
	}

	/** @param int[] $ids As above. */
	private function update_due( array $ids, int $due_at, int $more_tries ): void {
		global $wpdb;
		if ( array() === $ids ) {
			return;
		}
		// phpcs:disable WordPress.DB -- whole numbers, and a table of our own.
		$list = implode( ',', array_map( 'intval', $ids ) );
		$wpdb->query( $wpdb->prepare( 'UPDATE ' . self::table() . " SET claim = '', due_at = %d, tries = tries + %d WHERE id IN ({$list})", $due_at, $more_tries ) );
		// phpcs:enable
	}
}
