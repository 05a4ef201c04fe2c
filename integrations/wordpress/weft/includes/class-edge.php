<?php
/**
 * What a site may know of its visitor.
 *
 * @package Weft
 */

namespace Weft;

defined( 'ABSPATH' ) || exit;

/**
 * Asks Weft's `edgeProfile`, once a page at most and never for longer than the deadline.
 */
final class Edge {

	/** The stored document `EdgeProfile`, which every Weft has; its id is the SHA-256 of this text. */
	public const DOCUMENT = 'query EdgeProfile($identifier: EdgeIdentifierInput!, $deadlineMs: Int, $onMiss: EdgeDefaultInput, $after: String) { edgeProfile(identifier: $identifier, deadlineMs: $deadlineMs, onMiss: $onMiss, after: $after) { known degraded asOf segments traits scores { model value label } } }';

	/** The share of the deadline that Weft may take; the rest is for the way there and back. */
	private const SERVER_SHARE  = 0.75;
	private const MAX_SERVER_MS = 2000;

	/** The answer for this page; false: not asked yet. */
	private array|null|false $profile = false;

	/** Of somebody who has agreed to being known, and is not yet. */
	private const NEWCOMER = array(
		'known'    => false,
		'degraded' => false,
		'asOf'     => null,
		'segments' => array(),
		'traits'   => array(),
		'scores'   => array(),
	);

	public function __construct( private Options $options, private Visitor $visitor, private Consent $consent, private Breaker $breaker ) {
	}

	/**
	 * Keys of the segments that the visitor is in, among those that are marked as safe to show; null where nothing is
	 * known: no consent, no answer in time.
	 *
	 * @return string[]|null
	 */
	public function segments(): ?array {
		$profile  = $this->profile();
		$segments = $profile['segments'] ?? null;
		// Degraded with a time: a little old, and better than the default. Without: the time was over.
		if ( ! empty( $profile['degraded'] ) && empty( $profile['asOf'] ) ) {
			return null;
		}
		return is_array( $segments ) ? array_values( array_filter( $segments, 'is_string' ) ) : null;
	}

	/** The whole answer: known, degraded, asOf, segments, traits, scores; null as {@see Edge::segments()}. */
	public function profile(): ?array {
		if ( false === $this->profile ) {
			$this->profile = $this->read();
		}
		return $this->profile;
	}

	private function read(): ?array {
		if ( ! $this->options->can_ask() || ! $this->consent->granted() ) {
			return null;
		}
		$identifier = $this->visitor->identifier();
		if ( null === $identifier ) {
			return self::NEWCOMER;
		}
		if ( ! $this->breaker->allows() ) {
			return null;
		}
		$answer  = self::ask(
			$this->options->text( 'url' ),
			$this->options->text( 'edge_key' ),
			$identifier,
			$this->options->deadline_ms(),
			Recent_Writes::token_for( $identifier )
		);
		$profile = self::profile_of( $answer );
		if ( null === $profile ) {
			$reason = $answer->reason();
			$this->breaker->failed( '' === $reason ? 'an answer without a profile' : $reason, max( Breaker::REST_S, $answer->retry_after_s ) );
			return null;
		}
		$this->breaker->succeeded();
		return $profile;
	}

	/**
	 * One request, whatever the breaker says.
	 *
	 * @param string      $url         Of Weft.
	 * @param string      $edge_key    As `weft_e_…`.
	 * @param array       $identifier  As of {@see Visitor::identifier()}.
	 * @param int         $deadline_ms For everything.
	 * @param string|null $after       Token of events that the answer shall count.
	 * @param array       $headers     More of them, by name.
	 */
	public static function ask( string $url, string $edge_key, array $identifier, int $deadline_ms, ?string $after = null, array $headers = array() ): Answer {
		$body = array(
			'documentId' => 'sha256:' . hash( 'sha256', self::DOCUMENT ),
			'variables'  => array(
				'identifier' => $identifier,
				'deadlineMs' => max( 1, min( self::MAX_SERVER_MS, (int) floor( $deadline_ms * self::SERVER_SHARE ) ) ),
				'after'      => $after,
			),
		);
		return Http::post( "{$url}/graphql", $body, $headers + array( 'Authorization' => "Bearer {$edge_key}" ), $deadline_ms );
	}

	/** The profile of an answer; null where it holds none. */
	public static function profile_of( Answer $answer ): ?array {
		$profile = 200 === $answer->status ? ( $answer->body['data']['edgeProfile'] ?? null ) : null;
		return is_array( $profile ) ? $profile : null;
	}
}
