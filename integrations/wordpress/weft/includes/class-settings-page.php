<?php
/**
 * Settings → Weft.
 *
 * @package Weft
 */

namespace Weft;

defined( 'ABSPATH' ) || exit;

/**
 * The settings page and its button that tests the connection.
 */
final class Settings_Page {

	private const SLUG       = 'weft';
	private const GROUP      = 'weft';
	private const CAPABILITY = 'manage_options';
	private const TEST       = 'weft_test_connection';

	public function __construct( private Options $options, private Outbox $outbox, private Consent $consent ) {
	}

	public function register(): void {
		add_action( 'admin_menu', array( $this, 'add_page' ) );
		add_action( 'admin_init', array( $this, 'register_settings' ) );
		add_action( 'admin_enqueue_scripts', array( $this, 'enqueue' ) );
		add_action( 'wp_ajax_' . self::TEST, array( $this, 'test_connection' ) );
		add_filter( 'plugin_action_links_' . plugin_basename( PLUGIN_FILE ), array( $this, 'add_link' ) );
	}

	public function add_page(): void {
		add_options_page( __( 'Weft', 'weft' ), __( 'Weft', 'weft' ), self::CAPABILITY, self::SLUG, array( $this, 'show' ) );
	}

	/** @param string[] $links Of the plugin, in the list of plugins. */
	public function add_link( $links ): array {
		$url = admin_url( 'options-general.php?page=' . self::SLUG );
		return array_merge( array( '<a href="' . esc_url( $url ) . '">' . esc_html__( 'Settings', 'weft' ) . '</a>' ), (array) $links );
	}

	public function enqueue( string $page ): void {
		if ( 'settings_page_' . self::SLUG !== $page ) {
			return;
		}
		wp_enqueue_script( 'weft-admin', plugins_url( 'admin/settings.js', PLUGIN_FILE ), array( 'wp-i18n' ), VERSION, true );
		wp_set_script_translations( 'weft-admin', 'weft' );
		wp_enqueue_style( 'weft-admin', plugins_url( 'admin/settings.css', PLUGIN_FILE ), array(), VERSION );
	}

	public function register_settings(): void {
		register_setting(
			self::GROUP,
			Options::NAME,
			array(
				'type'              => 'array',
				'sanitize_callback' => array( $this, 'sanitize' ),
				'default'           => Options::defaults(),
				'show_in_rest'      => false,
			)
		);
		$this->add_fields(
			'connection',
			__( 'Connection', 'weft' ),
			array(
				'url'            => __( 'Address of Weft', 'weft' ),
				'write_key'      => __( 'Write key', 'weft' ),
				'edge_key'       => __( 'Edge key', 'weft' ),
				'signing_secret' => __( 'Signing secret', 'weft' ),
			)
		);
		$this->add_fields(
			'content',
			__( 'Content by segment', 'weft' ),
			array(
				'deadline_ms'  => __( 'Deadline', 'weft' ),
				'content_mode' => __( 'Content is chosen', 'weft' ),
			)
		);
		$this->add_fields(
			'privacy',
			__( 'Consent', 'weft' ),
			array(
				'consent'          => __( 'Visitors agree', 'weft' ),
				'consent_category' => __( 'Category', 'weft' ),
			)
		);
		$this->add_fields(
			'tracking',
			__( 'What Weft is told', 'weft' ),
			array(
				'track'          => __( 'Events', 'weft' ),
				'send_email'     => __( 'E-mail addresses', 'weft' ),
				'user_id_prefix' => __( 'Prefix of user ids', 'weft' ),
			)
		);
	}

	/** @param array<string, string> $labels By field. */
	private function add_fields( string $section, string $title, array $labels ): void {
		add_settings_section( "weft_{$section}", $title, '__return_null', self::SLUG );
		foreach ( $labels as $field => $label ) {
			$args = in_array( $field, array( 'content_mode', 'consent', 'track', 'send_email' ), true ) ? array() : array( 'label_for' => "weft-{$field}" );
			add_settings_field( "weft_{$field}", $label, array( $this, "show_{$field}" ), self::SLUG, "weft_{$section}", $args );
		}
	}

	/** @param mixed $input What the form sent. */
	public function sanitize( $input ): array {
		$previous = get_option( Options::NAME, array() );
		$previous = is_array( $previous ) ? $previous : array();
		$input    = is_array( $input ) ? $input : array();
		foreach ( array_keys( Options::CONSTANTS ) as $name ) {
			if ( null !== Options::of_constant( $name ) ) {
				$input[ $name ] = $previous[ $name ] ?? Options::defaults()[ $name ];
			}
		}
		[ 'values' => $values, 'problems' => $problems ] = Options::check( $input, $previous );
		foreach ( $problems as $field => $problem ) {
			add_settings_error( Options::NAME, "weft_{$field}", $problem );
		}
		foreach ( array( 'edge', 'delivery' ) as $name ) {
			( new Breaker( $name ) )->reset();
		}
		return $values;
	}

	/** Answers the button: tests what the form says, saved or not. */
	public function test_connection(): void {
		check_ajax_referer( self::TEST );
		if ( ! current_user_can( self::CAPABILITY ) ) {
			wp_send_json_error( null, 403 );
		}
		$saved = $this->options->all();
		// phpcs:ignore WordPress.Security.ValidatedSanitizedInput -- Options::check() cleans each field.
		$input    = isset( $_POST[ Options::NAME ] ) ? (array) wp_unslash( $_POST[ Options::NAME ] ) : array();
		$checked  = Options::check( $input + array( 'deadline_ms' => (string) $saved['deadline_ms'] ), $saved );
		$settings = $checked['values'];
		foreach ( array_keys( Options::CONSTANTS ) as $name ) {
			if ( null !== Options::of_constant( $name ) ) {
				$settings[ $name ] = $saved[ $name ];
				unset( $checked['problems'][ $name ] );
			}
		}
		$results = array();
		foreach ( $checked['problems'] as $problem ) {
			$results[] = array(
				'part' => __( 'Settings', 'weft' ),
				'ok'   => false,
				'says' => $problem,
			);
		}
		wp_send_json_success( array() === $results ? ( new Connection_Test( $settings ) )->run() : $results );
	}

	public function show(): void {
		if ( ! current_user_can( self::CAPABILITY ) ) {
			return;
		}
		?>
		<div class="wrap">
			<h1><?php echo esc_html( get_admin_page_title() ); ?></h1>
			<?php $this->show_state(); ?>
			<form action="options.php" method="post" id="weft-settings" data-nonce="<?php echo esc_attr( wp_create_nonce( self::TEST ) ); ?>" data-action="<?php echo esc_attr( self::TEST ); ?>">
				<?php
				settings_fields( self::GROUP );
				do_settings_sections( self::SLUG );
				?>
				<p class="submit">
					<?php submit_button( null, 'primary', 'submit', false ); ?>
					<button type="button" class="button" id="weft-test"><?php esc_html_e( 'Test connection', 'weft' ); ?></button>
				</p>
				<div id="weft-test-results" role="status" aria-live="polite"></div>
			</form>
		</div>
		<?php
	}

	/** What the owner should know without asking. */
	private function show_state(): void {
		$notes = array();
		if ( $this->consent->waits_for_plugin() ) {
			$notes[] = __( 'No plugin offers the WP Consent API, so nobody has agreed yet: nothing is tracked, and everybody sees the default content. Install a consent plugin, or choose another way below.', 'weft' );
		}
		foreach ( array( 'edge', 'delivery' ) as $name ) {
			$failure = ( new Breaker( $name ) )->failure();
			if ( null !== $failure ) {
				/* translators: 1: how long ago, 2: what went wrong. */
				$notes[] = sprintf( __( 'Weft has not answered for %1$s: %2$s. It is tried again once a minute; until then everybody sees the default content, and events are kept.', 'weft' ), human_time_diff( $failure['since'] ), $failure['reason'] );
				break;
			}
		}
		$waiting = $this->outbox->count();
		$dropped = Outbox::dropped();
		if ( $waiting > 0 || $dropped > 0 ) {
			/* translators: 1: number of events, 2: number of events. */
			$notes[] = sprintf( __( 'Events that wait to be delivered: %1$d. Given up since installation, as too old, too many or refused: %2$d.', 'weft' ), $waiting, $dropped );
		}
		foreach ( $notes as $note ) {
			printf( '<div class="notice notice-warning inline"><p>%s</p></div>', esc_html( $note ) );
		}
	}

	public function show_url(): void {
		$this->show_text( 'url', 'url', $this->options->text( 'url' ), 'https://weft.example.org' );
		$this->describe( __( 'Where this server, and your visitors\' browsers, reach Weft.', 'weft' ) );
	}

	public function show_write_key(): void {
		$this->show_text( 'write_key', 'text', $this->options->text( 'write_key' ), 'weft_i_…' );
		$this->describe( __( 'With it events are sent. Pages show it, as they must: it can send events and read nothing.', 'weft' ) );
	}

	public function show_edge_key(): void {
		$this->show_text( 'edge_key', 'text', $this->options->text( 'edge_key' ), 'weft_e_…' );
		$this->describe( __( 'With it pages ask for the segments of their visitor. It has to list this site as an origin.', 'weft' ) );
	}

	/** Never shows the secret itself. */
	public function show_signing_secret(): void {
		$is_set = '' !== $this->options->text( 'signing_secret' );
		$this->show_text( 'signing_secret', 'password', '', $is_set ? __( 'Saved; leave empty to keep it', 'weft' ) : 'weft_s_…' );
		$this->describe( __( 'Of the edge key. With it this server asks for people who are logged in. It is never shown again, and belongs in no page.', 'weft' ) );
		if ( $is_set && null === Options::of_constant( 'signing_secret' ) ) {
			printf(
				'<label><input type="checkbox" name="%s" value="1"> %s</label>',
				esc_attr( Options::NAME . '[forget_signing_secret]' ),
				esc_html__( 'Forget the saved secret', 'weft' )
			);
		}
	}

	public function show_deadline_ms(): void {
		printf(
			'<input type="number" class="small-text" id="weft-deadline_ms" name="%s" value="%d" min="%d" max="%d" required> %s',
			esc_attr( Options::NAME . '[deadline_ms]' ),
			(int) $this->options->deadline_ms(),
			(int) Options::MIN_DEADLINE_MS,
			(int) Options::MAX_DEADLINE_MS,
			esc_html__( 'milliseconds', 'weft' )
		);
		$this->describe( __( 'How long content waits for Weft. After it the default is shown.', 'weft' ) );
	}

	public function show_content_mode(): void {
		$this->show_choice(
			'content_mode',
			array(
				'client' => __( 'in the browser. Works with every page cache. The page\'s source holds all variants: show nothing secret.', 'weft' ),
				'server' => __( 'on this server. For people who are logged in, and without JavaScript. Pages with such content are kept out of page caches.', 'weft' ),
			)
		);
		$this->describe( __( 'Each block and shortcode may say otherwise.', 'weft' ) );
	}

	public function show_consent(): void {
		$this->show_choice(
			'consent',
			array(
				'consent_api' => __( 'by a consent plugin that offers the WP Consent API', 'weft' ),
				'hook'        => __( 'by another tool, which calls weftConsent( true ) or weftConsent( false ) in the browser', 'weft' ),
				'always'      => __( 'need not be asked, as I have made sure; Global Privacy Control and Do Not Track are respected', 'weft' ),
			)
		);
		$this->describe( __( 'Without consent nothing is stored or sent, and everybody sees the default content.', 'weft' ) );
	}

	public function show_consent_category(): void {
		printf( '<select id="weft-consent_category" name="%s">', esc_attr( Options::NAME . '[consent_category]' ) );
		foreach ( Options::CONSENT_CATEGORIES as $category ) {
			printf( '<option value="%1$s"%2$s>%1$s</option>', esc_attr( $category ), selected( $this->options->text( 'consent_category' ), $category, false ) );
		}
		echo '</select>';
		$this->describe( __( 'Of the WP Consent API: what a visitor has to have agreed to.', 'weft' ) );
	}

	public function show_track(): void {
		$labels = array(
			'pages'    => __( 'Pages that are viewed', 'weft' ),
			'products' => __( 'Products that are viewed (WooCommerce)', 'weft' ),
			'cart'     => __( 'Products put into the cart and taken out (WooCommerce)', 'weft' ),
			'orders'   => __( 'Orders, cancellations and refunds (WooCommerce)', 'weft' ),
			'comments' => __( 'Comments that are posted, without their text', 'weft' ),
			'logins'   => __( 'Who logs in', 'weft' ),
		);
		echo '<fieldset>';
		foreach ( $labels as $what => $label ) {
			printf(
				'<label><input type="checkbox" name="%s" value="%s"%s> %s</label><br>',
				esc_attr( Options::NAME . '[track][]' ),
				esc_attr( $what ),
				checked( in_array( $what, (array) $this->options->all()['track'], true ), true, false ),
				esc_html( $label )
			);
		}
		echo '</fieldset>';
	}

	public function show_send_email(): void {
		printf(
			'<label><input type="checkbox" name="%s" value="1"%s> %s</label>',
			esc_attr( Options::NAME . '[send_email]' ),
			checked( $this->options->sends_email(), true, false ),
			esc_html__( 'Send the e-mail addresses of accounts and orders, so that Weft can match them with your other data', 'weft' )
		);
	}

	public function show_user_id_prefix(): void {
		$prefix = $this->options->text( 'user_id_prefix' );
		$this->show_text( 'user_id_prefix', 'text', $prefix, __( 'none: the bare number of the account', 'weft' ) );
		/* translators: %s: an example, as shop.example:7. */
		$this->describe( sprintf( __( 'Account 7 is known to Weft as %s. Two sites on one Weft need different prefixes, or their accounts become one person. With another prefix everybody is somebody new from then on: change it only at the beginning.', 'weft' ), "{$prefix}7" ) );
	}

	/** A field that wp-config.php may have decided. */
	private function show_text( string $field, string $type, string $value, string $placeholder ): void {
		$is_constant = null !== Options::of_constant( $field );
		printf(
			'<input type="%s" class="regular-text code" id="weft-%s" name="%s" value="%s" placeholder="%s" autocomplete="off" spellcheck="false"%s>',
			esc_attr( $type ),
			esc_attr( $field ),
			esc_attr( Options::NAME . "[{$field}]" ),
			esc_attr( $value ),
			esc_attr( $placeholder ),
			disabled( $is_constant, true, false )
		);
		if ( $is_constant ) {
			/* translators: %s: name of a constant. */
			$this->describe( sprintf( __( 'Set by %s in wp-config.php.', 'weft' ), Options::CONSTANTS[ $field ] ) );
		}
	}

	/** @param array<string, string> $labels By value. */
	private function show_choice( string $field, array $labels ): void {
		echo '<fieldset>';
		foreach ( $labels as $value => $label ) {
			printf(
				'<label><input type="radio" name="%s" value="%s"%s> %s</label><br>',
				esc_attr( Options::NAME . "[{$field}]" ),
				esc_attr( $value ),
				checked( $this->options->text( $field ), $value, false ),
				esc_html( $label )
			);
		}
		echo '</fieldset>';
	}

	private function describe( string $text ): void {
		printf( '<p class="description">%s</p>', esc_html( $text ) );
	}
}
