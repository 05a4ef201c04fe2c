<?php
/**
 * Events of the server.
 *
 * @package Weft
 */

namespace Weft;

defined( 'ABSPATH' ) || exit;

/**
 * Makes events in the form of Segment's calls and puts them into the outbox.
 */
final class Tracker {

	private bool $will_deliver = false;

	public function __construct( private Options $options, private Visitor $visitor, private Outbox $outbox, private Delivery $delivery ) {
	}

	/**
	 * What the visitor of this request did. Without consent, or with nobody to ascribe it to, nothing happens.
	 *
	 * @param string      $event      As `Product Added`.
	 * @param array       $properties What a reader of the event may want to know; no personal data.
	 * @param string|null $subject    What makes it the same event when it is reported again, as `order-17`; null: each
	 *                                report is an event.
	 */
	public function track( string $event, array $properties, ?string $subject = null ): void {
		$this->track_for( $this->ids_of_visitor(), $event, $properties, $subject );
	}

	/**
	 * The same for somebody who need not be the visitor of this request.
	 *
	 * @param array       $ids        `userId`, `anonymousId`; none: nothing happens.
	 * @param string      $event      As above.
	 * @param array       $properties As above.
	 * @param string|null $subject    As above.
	 * @param array       $traits     What else is known of the person, as an e-mail address.
	 */
	public function track_for( array $ids, string $event, array $properties, ?string $subject = null, array $traits = array() ): void {
		$this->add(
			$ids,
			array(
				'type'       => 'track',
				'event'      => $event,
				'properties' => (object) $properties,
			),
			$subject,
			$traits
		);
	}

	/** Says who the visitor is; with the anonymous id of the cookie, which becomes another name of the same person. */
	public function identify( \WP_User $user ): void {
		$anonymous_id = $this->visitor->ensure_anonymous_id();
		$user_id      = Visitor::id_of_user( $user );
		if ( '' === $user_id ) {
			return;
		}
		$ids    = array_filter(
			array(
				'userId'      => $user_id,
				'anonymousId' => $anonymous_id,
			)
		);
		$traits = array( 'created_at' => gmdate( 'Y-m-d\TH:i:s\Z', (int) strtotime( $user->user_registered . ' UTC' ) ) );
		if ( $this->options->sends_email() ) {
			$traits['email'] = $user->user_email;
		}
		$this->add(
			$ids,
			array(
				'type'   => 'identify',
				'traits' => $traits,
			)
		);
	}

	/** `userId` and `anonymousId` of the visitor; empty without consent. */
	public function ids_of_visitor(): array {
		return array_filter(
			array(
				'userId'      => $this->visitor->user_id(),
				'anonymousId' => $this->visitor->ensure_anonymous_id(),
			)
		);
	}

	private function add( array $ids, array $call, ?string $subject = null, array $traits = array() ): void {
		if ( array() === $ids || ! $this->options->can_send() ) {
			return;
		}
		$context = array(
			'library' => array(
				'name'    => 'weft-wordpress',
				'version' => VERSION,
			),
			'locale'  => get_locale(),
		);
		if ( array() !== $traits ) {
			$context['traits'] = $traits;
		}
		$event = array_merge(
			$call,
			$ids,
			array(
				'messageId' => null === $subject ? Visitor::new_id() : self::message_id( home_url(), $subject ),
				'timestamp' => self::now(),
				'context'   => $context,
			)
		);
		/**
		 * Filters an event of the server before it is kept for delivery; null drops it.
		 *
		 * @param array|null $event In the form of Segment's calls.
		 */
		$event = apply_filters( 'weft_event', $event );
		if ( ! is_array( $event ) ) {
			return;
		}
		$this->outbox->add( $event );
		if ( ! $this->will_deliver ) {
			$this->will_deliver = true;
			add_action( 'shutdown', array( $this->delivery, 'deliver_after_page' ), 100 );
		}
	}

	/** The same for the same subject of the same site, whoever reports it. */
	public static function message_id( string $site, string $subject ): string {
		return 'wp-' . substr( hash( 'sha256', $site ), 0, 12 ) . "-{$subject}";
	}

	/** ISO 8601, UTC, with milliseconds. */
	public static function now(): string {
		return ( new \DateTimeImmutable( 'now', new \DateTimeZone( 'UTC' ) ) )->format( 'Y-m-d\TH:i:s.v\Z' );
	}
}
