<?php
/**
 * Content by segment.
 *
 * @package Weft
 */

namespace Weft;

defined( 'ABSPATH' ) || exit;

/**
 * Renders variants and a default, for blocks and shortcodes alike.
 *
 * Mode `client`: the page holds the default, and the variants in `<template>`s that browsers do not show; a script puts one
 * in its place. The page is the same for all visitors and may be cached by anything. Mode `server`: the page holds what
 * this visitor is to see and nothing else, and must not be cached.
 */
final class Content {

	public function __construct( private Options $options, private Edge $edge, private Page_Caches $page_caches ) {
	}

	/**
	 * @param array<array{rule: Rule, html: callable(): string}> $variants The first that matches is shown.
	 * @param callable(): string                                 $default  What all others see.
	 * @param string                                             $mode     `client`, `server`; else as set for the site.
	 * @param array<string, string>                              $wrapper  `tag`, and `attributes` that are escaped.
	 */
	public function render( array $variants, callable $default, string $mode, array $wrapper ): string {
		[ 'tag' => $tag, 'attributes' => $attributes ] = $wrapper;
		if ( self::is_for_readers_alike() || ! $this->options->can_ask() ) {
			return "<{$tag} {$attributes}>" . $default() . "</{$tag}>";
		}
		if ( 'server' === $this->mode( $mode ) ) {
			$this->page_caches->prevent();
			return "<{$tag} {$attributes}>" . $this->choose( $variants, $default ) . "</{$tag}>";
		}
		$templates = '';
		foreach ( $variants as [ 'rule' => $rule, 'html' => $html ] ) {
			$templates .= sprintf(
				'<template data-weft-is="%s" data-weft-not="%s">%s</template>',
				esc_attr( implode( ' ', $rule->is ) ),
				esc_attr( implode( ' ', $rule->not ) ),
				$html()
			);
		}
		return "<{$tag} data-weft-content {$attributes}>" . $default() . $templates . "</{$tag}>";
	}

	public function mode( string $mode ): string {
		return in_array( $mode, Options::CONTENT_MODES, true ) ? $mode : $this->options->text( 'content_mode' );
	}

	private function choose( array $variants, callable $default ): string {
		$segments = $this->edge->segments();
		foreach ( null === $segments ? array() : $variants as [ 'rule' => $rule, 'html' => $html ] ) {
			if ( $rule->matches( $segments ) ) {
				return $html();
			}
		}
		return $default();
	}

	/** Feeds, mails and what other programs read are the same for everybody, and run no script. */
	private static function is_for_readers_alike(): bool {
		return is_feed() || is_admin() || wp_doing_cron() || ( defined( 'REST_REQUEST' ) && REST_REQUEST );
	}
}
