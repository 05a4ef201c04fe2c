<?php
/**
 * Tools → Export Personal Data, Erase Personal Data.
 *
 * @package Weft
 */

namespace Weft;

defined( 'ABSPATH' ) || exit;

/**
 * What this site itself holds of an account, for WordPress' own tools: the id by which Weft knows it, and events that are
 * not delivered yet. What Weft has been told is kept there.
 */
final class Personal_Data {

	private const ID = 'weft';

	public function __construct( private Outbox $outbox ) {
	}

	public function register(): void {
		add_filter( 'wp_privacy_personal_data_exporters', array( $this, 'add_exporter' ) );
		add_filter( 'wp_privacy_personal_data_erasers', array( $this, 'add_eraser' ) );
	}

	/** @param array $exporters Of other plugins. */
	public function add_exporter( $exporters ): array {
		return array_merge(
			(array) $exporters,
			array(
				self::ID => array(
					'exporter_friendly_name' => __( 'Weft', 'weft' ),
					'callback'               => array( $this, 'export' ),
				),
			)
		);
	}

	/** @param array $erasers Of other plugins. */
	public function add_eraser( $erasers ): array {
		return array_merge(
			(array) $erasers,
			array(
				self::ID => array(
					'eraser_friendly_name' => __( 'Weft', 'weft' ),
					'callback'             => array( $this, 'erase' ),
				),
			)
		);
	}

	/** @param string $email Of an account, or of a guest who has ordered. */
	public function export( $email ): array {
		$user_id = self::user_id_of( (string) $email );
		$values  = array();
		if ( '' !== $user_id ) {
			$values[] = array(
				'name'  => __( 'Known to Weft as', 'weft' ),
				'value' => $user_id,
			);
		}
		foreach ( $this->outbox->of_person( $user_id, (string) $email ) as $event ) {
			$values[] = array(
				'name'  => __( 'Not delivered yet', 'weft' ),
				'value' => (string) wp_json_encode( $event ),
			);
		}
		return array(
			'data' => array() === $values ? array() : array(
				array(
					'group_id'    => self::ID,
					'group_label' => __( 'Weft', 'weft' ),
					'item_id'     => '' !== $user_id ? "weft-{$user_id}" : 'weft-guest',
					'data'        => $values,
				),
			),
			'done' => true,
		);
	}

	/** @param string $email Of an account, or of a guest who has ordered. */
	public function erase( $email ): array {
		$user_id = self::user_id_of( (string) $email );
		$waiting = array_keys( $this->outbox->of_person( $user_id, (string) $email ) );
		$this->outbox->delivered( $waiting );
		$messages = array();
		if ( '' !== $user_id ) {
			/* translators: %s: the id of an account. */
			$messages[] = sprintf( __( 'What Weft was told of the account is kept in Weft, as user_id %s, and is not erased by WordPress.', 'weft' ), $user_id );
		}
		return array(
			'items_removed'  => count( $waiting ),
			'items_retained' => '' !== $user_id,
			'messages'       => $messages,
			'done'           => true,
		);
	}

	/** '' for an address that no account has. */
	private static function user_id_of( string $email ): string {
		$user = get_user_by( 'email', $email );
		return $user instanceof \WP_User ? Visitor::id_of_user( $user ) : '';
	}
}
