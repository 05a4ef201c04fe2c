<?php
/**
 * What happens in a shop of WooCommerce.
 *
 * @package Weft
 */

namespace Weft;

defined( 'ABSPATH' ) || exit;

/**
 * Cart and orders, told by the server, since browsers lose them: the thank-you page is often not seen, and payments are
 * often confirmed later by the bank's own request. Names and properties are those of Segment's e-commerce spec.
 */
final class Shop_Tracking {

	/** On the order: who it was, kept only with consent; without it the order is not told of. */
	public const IDS_META = '_weft_ids';

	private const MAX_PRODUCTS = 100;

	/** States of an order in which it is a sale. */
	private const SOLD = array( 'processing', 'completed', 'on-hold' );

	public function __construct( private Options $options, private Tracker $tracker ) {
	}

	public function register(): void {
		add_action( 'before_woocommerce_init', array( $this, 'declare_compatibility' ) );
		add_action( 'woocommerce_add_to_cart', array( $this, 'on_added' ), 10, 4 );
		add_action( 'woocommerce_remove_cart_item', array( $this, 'on_removed' ), 10, 2 );
		add_action( 'woocommerce_checkout_create_order', array( $this, 'remember_visitor' ) );
		add_action( 'woocommerce_store_api_checkout_update_order_meta', array( $this, 'remember_visitor' ) );
		add_action( 'woocommerce_order_status_changed', array( $this, 'on_status' ), 10, 4 );
		add_action( 'woocommerce_order_refunded', array( $this, 'on_refunded' ), 10, 2 );
	}

	/** Orders are only touched through WooCommerce's own methods, so they may be in tables of their own. */
	public function declare_compatibility(): void {
		if ( class_exists( \Automattic\WooCommerce\Utilities\FeaturesUtil::class ) ) {
			\Automattic\WooCommerce\Utilities\FeaturesUtil::declare_compatibility( 'custom_order_tables', PLUGIN_FILE, true );
		}
	}

	/**
	 * @param string $key          Of the line in the cart.
	 * @param int    $product_id   What was added.
	 * @param int    $quantity     How many.
	 * @param int    $variation_id Of it; 0: it has none.
	 */
	public function on_added( $key, $product_id = 0, $quantity = 1, $variation_id = 0 ): void {
		$this->on_cart( 'Product Added', (int) ( $variation_id ? $variation_id : $product_id ), (float) $quantity );
	}

	/**
	 * @param string   $key  Of the line in the cart.
	 * @param \WC_Cart $cart That still has it.
	 */
	public function on_removed( $key, $cart = null ): void {
		$line = $cart->cart_contents[ $key ] ?? null;
		if ( is_array( $line ) ) {
			$id = empty( $line['variation_id'] ) ? $line['product_id'] : $line['variation_id'];
			$this->on_cart( 'Product Removed', (int) $id, (float) ( $line['quantity'] ?? 1 ) );
		}
	}

	private function on_cart( string $event, int $product_id, float $quantity ): void {
		$product = $this->options->tracks( 'cart' ) ? wc_get_product( $product_id ) : null;
		if ( $product ) {
			$this->tracker->track( $event, self::product( $product ) + array( 'quantity' => $quantity ) );
		}
	}

	/**
	 * Notes on the order who makes it, while that is known: what follows may be reported by somebody else.
	 *
	 * @param \WC_Order $order That is about to be saved.
	 */
	public function remember_visitor( $order ): void {
		$ids = $this->options->tracks( 'orders' ) ? $this->tracker->ids_of_visitor() : array();
		if ( array() !== $ids ) {
			$order->update_meta_data( self::IDS_META, $ids );
		}
	}

	/**
	 * @param int    $order_id Which order.
	 * @param string $from     Its former state.
	 * @param string $to       Its state.
	 * @param mixed  $order    The order; some extensions leave it out.
	 */
	public function on_status( $order_id, $from, $to, $order = null ): void {
		$order = $order instanceof \WC_Order ? $order : wc_get_order( $order_id );
		if ( ! $order instanceof \WC_Order ) {
			return;
		}
		if ( in_array( $to, self::SOLD, true ) ) {
			// An order passes several of these states; the message id makes them one event.
			$this->on_order( $order, 'Order Completed', self::order( $order ), "order-{$order_id}-completed" );
		} elseif ( 'cancelled' === $to ) {
			$this->on_order( $order, 'Order Cancelled', self::order( $order ), "order-{$order_id}-cancelled" );
		}
	}

	/**
	 * @param int $order_id  Which order.
	 * @param int $refund_id Which refund, of the whole order or a part of it.
	 */
	public function on_refunded( $order_id, $refund_id ): void {
		$order  = wc_get_order( $order_id );
		$refund = wc_get_order( $refund_id );
		if ( $order instanceof \WC_Order && $refund instanceof \WC_Order_Refund ) {
			$properties = array(
				'order_id' => (string) $order_id,
				'total'    => (float) $refund->get_amount(),
				'currency' => $order->get_currency(),
			);
			$this->on_order( $order, 'Order Refunded', $properties, "refund-{$refund_id}" );
		}
	}

	/** Tells of an order whose buyer had agreed to it. */
	private function on_order( \WC_Order $order, string $event, array $properties, string $subject ): void {
		$ids = $this->options->tracks( 'orders' ) ? $order->get_meta( self::IDS_META ) : null;
		if ( ! is_array( $ids ) || array() === $ids ) {
			return;
		}
		$email  = $order->get_billing_email();
		$traits = $this->options->sends_email() && $email ? array( 'email' => $email ) : array();
		$this->tracker->track_for( $ids, $event, $properties, $subject, $traits );
	}

	/** Properties of a product, also for the event of its page. */
	public static function product( \WC_Product $product ): array {
		return array(
			'product_id' => (string) $product->get_id(),
			'sku'        => (string) $product->get_sku(),
			'name'       => wp_strip_all_tags( $product->get_name() ),
			'price'      => (float) $product->get_price(),
			'currency'   => get_woocommerce_currency(),
			'url'        => (string) $product->get_permalink(),
		);
	}

	private static function order( \WC_Order $order ): array {
		$products = array();
		foreach ( array_slice( $order->get_items(), 0, self::MAX_PRODUCTS ) as $item ) {
			$product    = $item->get_product();
			$quantity   = (float) $item->get_quantity();
			$products[] = array(
				'product_id' => (string) ( $item->get_variation_id() ? $item->get_variation_id() : $item->get_product_id() ),
				'sku'        => $product ? (string) $product->get_sku() : '',
				'name'       => wp_strip_all_tags( $item->get_name() ),
				'price'      => $quantity > 0 ? round( (float) $item->get_subtotal() / $quantity, 4 ) : 0.0,
				'quantity'   => $quantity,
			);
		}
		return array(
			'order_id' => (string) $order->get_id(),
			'total'    => (float) $order->get_total(),
			'shipping' => (float) $order->get_shipping_total(),
			'tax'      => (float) $order->get_total_tax(),
			'discount' => (float) $order->get_discount_total(),
			'coupon'   => implode( ',', $order->get_coupon_codes() ),
			'currency' => $order->get_currency(),
			'products' => $products,
		);
	}
}
