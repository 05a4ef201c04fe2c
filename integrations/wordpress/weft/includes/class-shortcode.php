<?php
/**
 * The shortcode.
 *
 * @package Weft
 */

namespace Weft;

defined( 'ABSPATH' ) || exit;

/**
 * `[weft_segment is="a, b" not="c" mode="client"]for them[weft_else]for all others[/weft_segment]`
 */
final class Shortcode {

	private const ELSE = '[weft_else]';

	private const BLOCKS = '/<(?:address|article|aside|blockquote|details|div|dl|fieldset|figure|footer|form|h[1-6]|header|hr|iframe|main|nav|ol|p|pre|section|table|ul|video)\b/i';

	public function __construct( private Content $content ) {
	}

	public function register(): void {
		add_shortcode( 'weft_segment', array( $this, 'render' ) );
		// Alone it says nothing; as a shortcode WordPress makes no paragraph of it.
		add_shortcode( 'weft_else', '__return_empty_string' );
	}

	/**
	 * @param array|string $attributes `is`, `not`, `mode`.
	 * @param string|null  $text       Between the tags.
	 */
	public function render( $attributes, $text = null ): string {
		$attributes          = shortcode_atts(
			array(
				'is'   => '',
				'not'  => '',
				'mode' => '',
			),
			$attributes,
			'weft_segment'
		);
		[ $inside, $outside ] = self::halves( (string) $text );
		// A div within a paragraph would end it.
		$tag = preg_match( self::BLOCKS, $inside . $outside ) ? 'div' : 'span';
		return $this->content->render(
			array(
				array(
					'rule' => Rule::parse( $attributes['is'], $attributes['not'] ),
					'html' => static fn (): string => do_shortcode( $inside ),
				),
			),
			static fn (): string => do_shortcode( $outside ),
			$attributes['mode'],
			array(
				'tag'        => $tag,
				'attributes' => 'class="weft-segment"',
			)
		);
	}

	/**
	 * What is before and after `[weft_else]`, without the halves of tags that paragraphs around the shortcodes left.
	 *
	 * @return array{string, string}
	 */
	public static function halves( string $text ): array {
		$parts = explode( self::ELSE, $text, 2 );
		return array_map( array( self::class, 'tidy' ), array( $parts[0], $parts[1] ?? '' ) );
	}

	private static function tidy( string $html ): string {
		$html = preg_replace( '/^(?:\s|<br\s*\/?>|<\/p>)+|(?:\s|<br\s*\/?>|<p>)+$/', '', $html );
		return force_balance_tags( $html );
	}
}
