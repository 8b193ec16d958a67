-- WooCommerce with High-Performance Order Storage (HPOS), the default of new shops since WooCommerce 8.2.
-- Shops that still keep orders as posts (WooCommerce, Settings, Advanced, Features): woocommerce_classic_orders.sql.
--
-- Change: the prefix wp_, if wp-config.php has another $table_prefix. In a multisite each site has tables of its own
--   (wp_2_wc_orders): a shop file for each.
-- Order id: id, which is also the order number unless a plugin makes other numbers. No WooCommerce plugin of
--   REES46 was found: send here what your theme or tag sends with the purchase event.
-- Time: date_updated_gmt, UTC; WooCommerce sets it at every change of the order. WooCommerce has an index on it.
-- Read in every window: rows without a time, before 1990 or a day after now. They are rejected and counted, not missed.
-- Not read: refunds (rows of their own, of type shop_order_refund), drafts of an unfinished checkout, orders in the
--   trash (REES46 keeps their last status).
-- Schema: WooCommerce, OrdersTableDataStore::get_database_schema().
SELECT id AS order_id,
       status,
       date_updated_gmt AS updated_at
FROM wp_wc_orders
WHERE type = 'shop_order'
  AND COALESCE(status, '') NOT IN ('auto-draft', 'draft', 'wc-checkout-draft', 'trash')
  AND ((date_updated_gmt >= :window_start AND date_updated_gmt < :window_end)
       OR date_updated_gmt IS NULL OR date_updated_gmt < '1990-01-01'
       OR date_updated_gmt >= UTC_TIMESTAMP() + INTERVAL 1 DAY)
