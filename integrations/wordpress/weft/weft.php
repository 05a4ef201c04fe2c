<?php
/**
 * Plugin Name:       Weft
 * Description:       Shows content by the segments that a visitor is in, and tells your Weft what happens on the site.
 * Version:           0.1.0
 * Requires at least: 6.1
 * Requires PHP:      8.0
 * Author:            The Weft authors
 * License:           GPL-3.0-or-later
 * License URI:       https://www.gnu.org/licenses/gpl-3.0.html
 * Text Domain:       weft
 *
 * @package Weft
 */

namespace Weft;

defined( 'ABSPATH' ) || exit;

const VERSION     = '0.1.0';
const PLUGIN_FILE = __FILE__;

require_once __DIR__ . '/includes/signature.php';
require_once __DIR__ . '/includes/class-options.php';
require_once __DIR__ . '/includes/class-answer.php';
require_once __DIR__ . '/includes/class-http.php';
require_once __DIR__ . '/includes/class-breaker.php';
require_once __DIR__ . '/includes/class-consent.php';
require_once __DIR__ . '/includes/class-visitor.php';
require_once __DIR__ . '/includes/class-recent-writes.php';
require_once __DIR__ . '/includes/class-edge.php';
require_once __DIR__ . '/includes/class-outbox.php';
require_once __DIR__ . '/includes/class-delivery.php';
require_once __DIR__ . '/includes/class-tracker.php';
require_once __DIR__ . '/includes/class-site-tracking.php';
require_once __DIR__ . '/includes/class-shop-tracking.php';
require_once __DIR__ . '/includes/class-rule.php';
require_once __DIR__ . '/includes/class-content.php';
require_once __DIR__ . '/includes/class-page-caches.php';
require_once __DIR__ . '/includes/class-blocks.php';
require_once __DIR__ . '/includes/class-shortcode.php';
require_once __DIR__ . '/includes/class-browser.php';
require_once __DIR__ . '/includes/class-connection-test.php';
require_once __DIR__ . '/includes/class-settings-page.php';
require_once __DIR__ . '/includes/class-privacy.php';
require_once __DIR__ . '/includes/class-personal-data.php';
require_once __DIR__ . '/includes/class-plugin.php';

register_activation_hook( __FILE__, array( Plugin::class, 'activate' ) );
register_deactivation_hook( __FILE__, array( Plugin::class, 'deactivate' ) );
add_action( 'plugins_loaded', array( Plugin::class, 'start' ) );
