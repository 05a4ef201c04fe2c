<?php
/**
 * The blocks.
 *
 * @package Weft
 */

namespace Weft;

defined( 'ABSPATH' ) || exit;

/**
 * `weft/segment-content` holds variants (`weft/segment-variant`) and a default (`weft/segment-default`).
 */
final class Blocks {

	private const EDITOR_HANDLE = 'weft-blocks-editor';

	public function __construct( private Content $content ) {
	}

	public function register(): void {
		add_action( 'init', array( $this, 'register_blocks' ) );
	}

	public function register_blocks(): void {
		wp_register_script(
			self::EDITOR_HANDLE,
			plugins_url( 'blocks/editor.js', PLUGIN_FILE ),
			array( 'wp-blocks', 'wp-block-editor', 'wp-components', 'wp-element', 'wp-i18n' ),
			VERSION,
			true
		);
		wp_register_style( self::EDITOR_HANDLE, plugins_url( 'blocks/editor.css', PLUGIN_FILE ), array(), VERSION );
		wp_set_script_translations( self::EDITOR_HANDLE, 'weft' );
		$folder = plugin_dir_path( PLUGIN_FILE ) . 'blocks';
		register_block_type(
			"{$folder}/segment-content",
			array(
				'render_callback'   => array( $this, 'render' ),
				// Only what is shown is rendered.
				'skip_inner_blocks' => true,
			)
		);
		register_block_type( "{$folder}/segment-variant" );
		register_block_type( "{$folder}/segment-default" );
	}

	/**
	 * @param array     $attributes `mode`, `minHeight`.
	 * @param string    $saved      Nothing, since inner blocks are skipped.
	 * @param \WP_Block $block      With its inner blocks.
	 */
	public function render( array $attributes, string $saved, \WP_Block $block ): string {
		$min_height = min( 2000, absint( $attributes['minHeight'] ?? 0 ) );
		$wrapper    = get_block_wrapper_attributes(
			array_filter(
				array(
					'class' => 'is-layout-flow',
					'style' => $min_height > 0 ? "min-height:{$min_height}px" : '',
				)
			)
		);
		$variants   = array();
		$default    = static fn (): string => '';
		foreach ( $block->inner_blocks as $child ) {
			$html = static fn (): string => self::render_children( $child );
			if ( 'weft/segment-variant' === $child->name ) {
				$variants[] = array(
					'rule' => Rule::parse( $child->attributes['is'] ?? array(), $child->attributes['not'] ?? array() ),
					'html' => $html,
				);
			} elseif ( 'weft/segment-default' === $child->name ) {
				$default = $html;
			}
		}
		return $this->content->render(
			$variants,
			$default,
			(string) ( $attributes['mode'] ?? '' ),
			array(
				'tag'        => 'div',
				'attributes' => $wrapper,
			)
		);
	}

	private static function render_children( \WP_Block $block ): string {
		$html = '';
		foreach ( $block->inner_blocks as $child ) {
			$html .= $child->render();
		}
		return $html;
	}
}
