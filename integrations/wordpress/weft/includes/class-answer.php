<?php
/**
 * What Weft answered.
 *
 * @package Weft
 */

namespace Weft;

defined( 'ABSPATH' ) || exit;

/**
 * The answer to one request, or that there was none.
 */
final class Answer {

	/**
	 * @param int        $status        HTTP status; 0: no answer in time, or no connection.
	 * @param array|null $body          The JSON object of the body; null where it held none.
	 * @param string     $problem       Why there is no answer, in the words of the transport; empty where there is one.
	 * @param float      $elapsed_ms    How long it took.
	 * @param int        $retry_after_s What the server asks to wait; 0 where it says nothing.
	 */
	public function __construct(
		public int $status,
		public ?array $body,
		public string $problem = '',
		public float $elapsed_ms = 0.0,
		public int $retry_after_s = 0,
	) {
	}

	/** What went wrong, in a few words that hold no secret; empty where nothing did. */
	public function reason(): string {
		if ( 0 === $this->status ) {
			return '' === $this->problem ? 'no answer' : $this->problem;
		}
		$said = $this->body['reason'] ?? $this->body['errors'][0]['message'] ?? null;
		if ( 200 === $this->status && null === $said ) {
			return '';
		}
		return 'HTTP ' . $this->status . ( is_string( $said ) ? ': ' . $said : '' );
	}

	/** The code of Weft's error; empty where there is none. */
	public function code(): string {
		$code = $this->body['code'] ?? $this->body['errors'][0]['extensions']['code'] ?? '';
		return is_string( $code ) ? $code : '';
	}
}
