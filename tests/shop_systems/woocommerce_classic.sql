-- WordPress 6, wp_posts, abbreviated. An order's id tells what it is there for.
CREATE TABLE wp_posts (
  ID bigint(20) unsigned NOT NULL auto_increment,
  post_date datetime NOT NULL default '0000-00-00 00:00:00',
  post_status varchar(20) NOT NULL default 'publish',
  post_modified datetime NOT NULL default '0000-00-00 00:00:00',
  post_modified_gmt datetime NOT NULL default '0000-00-00 00:00:00',
  post_parent bigint(20) unsigned NOT NULL default 0,
  post_type varchar(20) NOT NULL default 'post',
  PRIMARY KEY (ID),
  KEY type_status_date (post_type, post_status, post_date, ID),
  KEY post_parent (post_parent)
);
INSERT INTO wp_posts (ID, post_status, post_type, post_modified_gmt, post_parent) VALUES
  -- each documented status once
  (101, 'wc-pending', 'shop_order', '2026-03-01 07:30', 0),
  (102, 'wc-on-hold', 'shop_order', '2026-03-01 07:30', 0),
  (103, 'wc-processing', 'shop_order', '2026-03-01 07:30', 0),
  (104, 'wc-failed', 'shop_order', '2026-03-01 07:30', 0),
  (105, 'wc-completed', 'shop_order', '2026-03-01 07:30', 0),
  (106, 'wc-cancelled', 'shop_order', '2026-03-01 07:30', 0),
  (107, 'wc-refunded', 'shop_order', '2026-03-01 07:30', 0),
  -- its refund, a page, the placeholder that HPOS leaves: no orders
  (201, 'wc-completed', 'shop_order_refund', '2026-03-01 07:30', 107),
  (202, 'publish', 'page', '2026-03-01 07:30', 0),
  (203, 'draft', 'shop_order_placehold', '2026-03-01 07:30', 0),
  -- drafts and the trash
  (301, 'wc-checkout-draft', 'shop_order', '2026-03-01 07:30', 0),
  (302, 'auto-draft', 'shop_order', '0000-00-00 00:00:00', 0),
  (303, 'trash', 'shop_order', '2026-03-01 07:30', 0),
  -- the edges of the window
  (401, 'wc-processing', 'shop_order', '2026-02-28 06:59:59', 0),
  (402, 'wc-processing', 'shop_order', '2026-02-28 07:00:00', 0),
  (403, 'wc-completed', 'shop_order', '2026-03-01 07:59:59', 0),
  (404, 'wc-completed', 'shop_order', '2026-03-01 08:00:00', 0),
  -- a status of a plugin, no time
  (501, 'wc-awaiting-pickup', 'shop_order', '2026-03-01 07:30', 0),
  (502, 'wc-processing', 'shop_order', '0000-00-00 00:00:00', 0),
  -- times of no window; an hour ahead, which a later window reads
  (602, 'wc-processing', 'shop_order', '1970-01-01 00:00:01', 0),
  (603, 'wc-processing', 'shop_order', '2647-01-01', 0),
  (604, 'wc-processing', 'shop_order', UTC_TIMESTAMP() + INTERVAL 2 DAY, 0),
  (605, 'wc-processing', 'shop_order', UTC_TIMESTAMP() + INTERVAL 1 HOUR, 0);
