<?php
/**
 * Runs when the plugin is deleted: removes settings, events that wait, and schedules.
 *
 * @package Weft
 */

namespace Weft;

defined( 'WP_UNINSTALL_PLUGIN' ) || exit;

require_once __DIR__ . '/includes/class-options.php';
require_once __DIR__ . '/includes/class-breaker.php';
require_once __DIR__ . '/includes/class-outbox.php';
require_once __DIR__ . '/includes/class-delivery.php';
require_once __DIR__ . '/includes/class-recent-writes.php';
require_once __DIR__ . '/includes/class-shop-tracking.php';
require_once __DIR__ . '/includes/class-plugin.php';

if ( is_multisite() ) {
	foreach ( get_sites( array( 'fields' => 'ids', 'number' => 0 ) ) as $weft_site_id ) {
		switch_to_blog( $weft_site_id );
		Plugin::forget_site();
		restore_current_blog();
	}
} else {
	Plugin::forget_site();
}
