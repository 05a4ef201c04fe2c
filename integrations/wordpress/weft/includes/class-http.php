<?php
/**
 * Requests that do not outlast their time.
 *
 * @package Weft
 */

namespace Weft;

defined( 'ABSPATH' ) || exit;

/**
 * Requests to Weft by WordPress's HTTP API, which proxies and filters of the site go on to serve.
 */
final class Http {

	private const MAX_ANSWER_BYTES = 262144;

	public static function get( string $url, int $timeout_ms ): Answer {
		return self::send( $url, array( 'method' => 'GET' ), $timeout_ms );
	}

	/**
	 * @param string $url        Whole address.
	 * @param array  $body       Sent as JSON.
	 * @param array  $headers    By name.
	 * @param int    $timeout_ms For everything: name, connection, answer.
	 */
	public static function post( string $url, array $body, array $headers, int $timeout_ms ): Answer {
		$args = array(
			'method'  => 'POST',
			'headers' => array_merge( array( 'Content-Type' => 'application/json' ), $headers ),
			'body'    => wp_json_encode( $body ),
		);
		return self::send( $url, $args, $timeout_ms );
	}

	/**
	 * WordPress rounds times below a second up to one, for builds of curl whose look-up of names is stopped by a signal
	 * of whole seconds. The times are set again on the handle, without signals.
	 */
	private static function send( string $url, array $args, int $timeout_ms ): Answer {
		$limit_connection = static function ( &$u, &$h, &$d, &$t, &$options ) use ( $timeout_ms ): void {
			$options['connect_timeout'] = $timeout_ms / 1000;
		};
		$limit_all        = static function ( $handle ) use ( $timeout_ms ): void {
			// phpcs:disable WordPress.WP.AlternativeFunctions.curl_curl_setopt -- the handle is WordPress's own.
			curl_setopt( $handle, CURLOPT_NOSIGNAL, true );
			curl_setopt( $handle, CURLOPT_CONNECTTIMEOUT_MS, $timeout_ms );
			curl_setopt( $handle, CURLOPT_TIMEOUT_MS, $timeout_ms );
			// phpcs:enable
		};
		add_action( 'requests-requests.before_request', $limit_connection, 10, 5 );
		add_action( 'http_api_curl', $limit_all, PHP_INT_MAX );
		$started  = microtime( true );
		$response = wp_remote_request(
			$url,
			array_merge(
				$args,
				array(
					'timeout'             => $timeout_ms / 1000,
					'redirection'         => 0,
					'limit_response_size' => self::MAX_ANSWER_BYTES,
					'user-agent'          => 'weft-wordpress/' . VERSION,
				)
			)
		);
		$elapsed  = ( microtime( true ) - $started ) * 1000;
		remove_action( 'http_api_curl', $limit_all, PHP_INT_MAX );
		remove_action( 'requests-requests.before_request', $limit_connection, 10 );

		if ( is_wp_error( $response ) ) {
			return new Answer( 0, null, $response->get_error_message(), $elapsed );
		}
		$body = json_decode( wp_remote_retrieve_body( $response ), true, 32 );
		return new Answer(
			(int) wp_remote_retrieve_response_code( $response ),
			is_array( $body ) ? $body : null,
			'',
			$elapsed,
			absint( wp_remote_retrieve_header( $response, 'retry-after' ) )
		);
	}
}
