<?php
/**
 * Signatures of identifiers.
 *
 * @package Weft
 */

namespace Weft;

defined( 'ABSPATH' ) || exit;

/**
 * Proves to Weft that this site asks for a person whom it knows: the expiry, and an HMAC-SHA256 over namespace, value and
 * expiry. Nothing but the signing secret of the edge key makes one.
 *
 * @param string $signing_secret As `weft_s_…`.
 * @param string $name_space     As `user_id`.
 * @param string $value          The identifier.
 * @param int    $expires_at     Unix time in seconds, after which it is void.
 */
function sign_identifier( string $signing_secret, string $name_space, string $value, int $expires_at ): string {
	$message = "weft-edge-v1\n{$name_space}\n{$value}\n{$expires_at}";
	$mac     = hash_hmac( 'sha256', $message, $signing_secret, true );
	// phpcs:ignore WordPress.PHP.DiscouragedPHPFunctions.obfuscation_base64_encode -- bytes as text, nothing is hidden.
	return $expires_at . '.' . rtrim( strtr( base64_encode( $mac ), '+/', '-_' ), '=' );
}
