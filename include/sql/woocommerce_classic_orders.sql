-- WooCommerce with orders as WordPress posts ("WordPress posts storage (legacy)" under WooCommerce, Settings,
-- Advanced, Features). Shops with High-Performance Order Storage, where posts are only placeholders:
-- woocommerce_orders.sql.
--
-- Change: the prefix wp_, if wp-config.php has another $table_prefix. In a multisite each site has tables of its own
--   (wp_2_posts): a shop file for each.
-- Order id: ID, which is also the order number unless a plugin makes other numbers. No WooCommerce plugin of
--   REES46 was found: send here what your theme or tag sends with the purchase event.
-- Time: post_modified_gmt, UTC; 0000-00-00 00:00:00 means none and becomes NULL here.
-- Read in every window: rows without a time, before 1990 or a day after now. They are rejected and counted, not missed.
-- Index: WordPress has none on it. CREATE INDEX rees46_modified ON wp_posts (post_type, post_modified_gmt)
-- Not read: refunds (posts of their own, of type shop_order_refund), drafts of an unfinished checkout, orders in the
--   trash (REES46 keeps their last status).
-- Schema: WordPress, wp_get_db_schema() in wp-admin/includes/schema.php.
SELECT ID AS order_id,
       post_status AS status,
       CASE WHEN post_modified_gmt >= '1000-01-01' THEN post_modified_gmt END AS updated_at
FROM wp_posts
WHERE post_type = 'shop_order'
  AND post_status NOT IN ('auto-draft', 'draft', 'wc-checkout-draft', 'trash')
  AND ((post_modified_gmt >= :window_start AND post_modified_gmt < :window_end)
       OR post_modified_gmt < '1990-01-01' OR post_modified_gmt >= UTC_TIMESTAMP() + INTERVAL 1 DAY)
