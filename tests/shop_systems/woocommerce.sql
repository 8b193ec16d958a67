-- WooCommerce 9, wp_wc_orders, abbreviated. An order's id tells what it is there for.
CREATE TABLE wp_wc_orders (
  id bigint(20) unsigned,
  status varchar(20) null,
  type varchar(20) null,
  date_created_gmt datetime null,
  date_updated_gmt datetime null,
  parent_order_id bigint(20) unsigned null,
  PRIMARY KEY (id),
  KEY status (status),
  KEY type_status (type, status),
  KEY date_updated (date_updated_gmt)
);
INSERT INTO wp_wc_orders VALUES
  -- each documented status once
  (101, 'wc-pending', 'shop_order', '2026-02-01', '2026-03-01 07:30', 0),
  (102, 'wc-on-hold', 'shop_order', '2026-02-01', '2026-03-01 07:30', 0),
  (103, 'wc-processing', 'shop_order', '2026-02-01', '2026-03-01 07:30', 0),
  (104, 'wc-failed', 'shop_order', '2026-02-01', '2026-03-01 07:30', 0),
  (105, 'wc-completed', 'shop_order', '2026-02-01', '2026-03-01 07:30', 0),
  (106, 'wc-cancelled', 'shop_order', '2026-02-01', '2026-03-01 07:30', 0),
  (107, 'wc-refunded', 'shop_order', '2026-02-01', '2026-03-01 07:30', 0),
  -- its refund, a part of 105 given back, a subscription: no orders
  (201, 'wc-completed', 'shop_order_refund', '2026-03-01 07:30', '2026-03-01 07:30', 107),
  (202, 'wc-completed', 'shop_order_refund', '2026-03-01 07:30', '2026-03-01 07:30', 105),
  (203, 'wc-active', 'shop_subscription', '2026-03-01 07:30', '2026-03-01 07:30', 0),
  -- drafts and the trash
  (301, 'wc-checkout-draft', 'shop_order', '2026-03-01 07:30', '2026-03-01 07:30', 0),
  (302, 'auto-draft', 'shop_order', '2026-03-01 07:30', '2026-03-01 07:30', 0),
  (303, 'trash', 'shop_order', '2026-02-01', '2026-03-01 07:30', 0),
  -- the edges of the window
  (401, 'wc-processing', 'shop_order', '2026-02-01', '2026-02-28 06:59:59', 0),
  (402, 'wc-processing', 'shop_order', '2026-02-01', '2026-02-28 07:00:00', 0),
  (403, 'wc-completed', 'shop_order', '2026-02-01', '2026-03-01 07:59:59', 0),
  (404, 'wc-completed', 'shop_order', '2026-02-01', '2026-03-01 08:00:00', 0),
  -- a status of a plugin, no time, no status
  (501, 'wc-awaiting-pickup', 'shop_order', '2026-02-01', '2026-03-01 07:30', 0),
  (502, 'wc-processing', 'shop_order', '2026-02-01', NULL, 0),
  (503, NULL, 'shop_order', '2026-02-01', '2026-03-01 07:30', 0),
  -- times of no window; an hour ahead, which a later window reads
  (601, 'wc-processing', 'shop_order', '2026-02-01', '0000-00-00 00:00:00', 0),
  (602, 'wc-processing', 'shop_order', '2026-02-01', '1970-01-01 00:00:01', 0),
  (603, 'wc-processing', 'shop_order', '2026-02-01', '2647-01-01', 0),
  (604, 'wc-processing', 'shop_order', '2026-02-01', UTC_TIMESTAMP() + INTERVAL 2 DAY, 0),
  (605, 'wc-processing', 'shop_order', '2026-02-01', UTC_TIMESTAMP() + INTERVAL 1 HOUR, 0);
-- a day that does not exist
SET SESSION sql_mode = 'ALLOW_INVALID_DATES';
INSERT INTO wp_wc_orders VALUES (606, 'wc-processing', 'shop_order', '2026-02-01', '2026-02-31 10:00', 0);
