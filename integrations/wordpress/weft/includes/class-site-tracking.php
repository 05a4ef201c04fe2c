<?php
/**
 * Comments and logins.
 *
 * @package Weft
 */

namespace Weft;

defined( 'ABSPATH' ) || exit;

/**
 * What every WordPress site sees happen.
 */
final class Site_Tracking {

	public function __construct( private Options $options, private Visitor $visitor, private Tracker $tracker ) {
	}

	public function register(): void {
		add_action( 'comment_post', array( $this, 'on_comment' ), 10, 3 );
		add_action( 'wp_login', array( $this, 'on_login' ), 10, 2 );
		add_action( 'wp_logout', array( $this->visitor, 'forget' ) );
	}

	/**
	 * @param int        $comment_id Of the new comment.
	 * @param int|string $approved   1, 0 or `spam`.
	 * @param array      $comment    Its data; the text stays here.
	 */
	public function on_comment( $comment_id, $approved, $comment ): void {
		if ( 'spam' === $approved || 'trash' === $approved || ! $this->options->tracks( 'comments' ) ) {
			return;
		}
		$post_id = (int) ( $comment['comment_post_ID'] ?? 0 );
		$this->tracker->track(
			'Comment Posted',
			array(
				'comment_id' => (int) $comment_id,
				'post_id'    => $post_id,
				'title'      => wp_strip_all_tags( get_the_title( $post_id ) ),
				'url'        => (string) get_permalink( $post_id ),
				'is_reply'   => ! empty( $comment['comment_parent'] ),
			),
			"comment-{$comment_id}"
		);
	}

	/**
	 * @param string   $login Unused.
	 * @param \WP_User $user  Who has logged in.
	 */
	public function on_login( $login, $user ): void {
		if ( $user instanceof \WP_User && $this->options->tracks( 'logins' ) && null !== $this->visitor->ensure_anonymous_id() ) {
			$this->tracker->identify( $user );
		}
	}
}
