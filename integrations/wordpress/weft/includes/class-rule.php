<?php
/**
 * For whom a variant is.
 *
 * @package Weft
 */

namespace Weft;

defined( 'ABSPATH' ) || exit;

/**
 * In one of these segments, and in none of those. A rule without any segment is for nobody.
 */
final class Rule {

	private const MAX_SEGMENTS = 20;

	/**
	 * @param string[] $is  Keys of segments, one of which the visitor has to be in; none: it does not matter.
	 * @param string[] $not Keys of segments that the visitor must not be in.
	 */
	public function __construct( public array $is, public array $not ) {
	}

	/**
	 * @param mixed $is  Keys as a list, or as text between commas or spaces; what cannot be a key is left out.
	 * @param mixed $not The same.
	 */
	public static function parse( $is, $not ): self {
		return new self( self::keys( $is ), self::keys( $not ) );
	}

	/** @param string[] $segments That the visitor is in. */
	public function matches( array $segments ): bool {
		if ( array() === $this->is && array() === $this->not ) {
			return false;
		}
		return ( array() === $this->is || array() !== array_intersect( $this->is, $segments ) )
			&& array() === array_intersect( $this->not, $segments );
	}

	/** @param mixed $list As above. */
	private static function keys( $list ): array {
		$texts = is_array( $list ) ? array_filter( $list, 'is_string' ) : preg_split( '/[\s,]+/', is_string( $list ) ? $list : '' );
		$keys  = preg_grep( '/^[A-Za-z0-9_.:-]{1,200}$/D', array_map( 'trim', $texts ) );
		return array_slice( array_values( array_unique( $keys ) ), 0, self::MAX_SEGMENTS );
	}
}
