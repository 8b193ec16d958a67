-- CS-Cart 4.16, cscart_orders, abbreviated. Times are seconds since 1970; the session that runs this has the zone UTC.
CREATE TABLE cscart_orders (
  order_id mediumint(8) unsigned NOT NULL AUTO_INCREMENT,
  is_parent_order char(1) NOT NULL DEFAULT 'N',
  parent_order_id mediumint(8) unsigned NOT NULL DEFAULT '0',
  company_id int(11) unsigned NOT NULL DEFAULT '0',
  timestamp int(11) unsigned NOT NULL DEFAULT '0',
  status char(1) NOT NULL DEFAULT 'O',
  storefront_id int(11) unsigned NOT NULL DEFAULT '0',
  updated_at int(11) unsigned NOT NULL DEFAULT '0',
  PRIMARY KEY (order_id),
  KEY timestamp (timestamp),
  KEY status (status),
  KEY idx_updated_at (updated_at)
) ENGINE=MyISAM DEFAULT CHARSET=utf8;
INSERT INTO cscart_orders (order_id, status, timestamp, updated_at) VALUES
  -- each default status once
  (101, 'O', UNIX_TIMESTAMP('2026-02-01'), UNIX_TIMESTAMP('2026-03-01 07:30')),
  (102, 'P', UNIX_TIMESTAMP('2026-02-01'), UNIX_TIMESTAMP('2026-03-01 07:30')),
  (103, 'B', UNIX_TIMESTAMP('2026-02-01'), UNIX_TIMESTAMP('2026-03-01 07:30')),
  (104, 'Y', UNIX_TIMESTAMP('2026-02-01'), UNIX_TIMESTAMP('2026-03-01 07:30')),
  (105, 'C', UNIX_TIMESTAMP('2026-02-01'), UNIX_TIMESTAMP('2026-03-01 07:30')),
  (106, 'F', UNIX_TIMESTAMP('2026-02-01'), UNIX_TIMESTAMP('2026-03-01 07:30')),
  (107, 'D', UNIX_TIMESTAMP('2026-02-01'), UNIX_TIMESTAMP('2026-03-01 07:30')),
  (108, 'I', UNIX_TIMESTAMP('2026-02-01'), UNIX_TIMESTAMP('2026-03-01 07:30')),
  -- never updated: in the window by when it was placed, and not
  (201, 'P', UNIX_TIMESTAMP('2026-03-01 07:15'), 0),
  (202, 'P', UNIX_TIMESTAMP('2026-02-01'), 0),
  -- the payment has not answered
  (301, 'N', UNIX_TIMESTAMP('2026-03-01 07:30'), UNIX_TIMESTAMP('2026-03-01 07:30')),
  -- the edges of the window
  (401, 'P', UNIX_TIMESTAMP('2026-02-01'), UNIX_TIMESTAMP('2026-02-28 06:59:59')),
  (402, 'P', UNIX_TIMESTAMP('2026-02-01'), UNIX_TIMESTAMP('2026-02-28 07:00:00')),
  (403, 'C', UNIX_TIMESTAMP('2026-02-01'), UNIX_TIMESTAMP('2026-03-01 07:59:59')),
  (404, 'C', UNIX_TIMESTAMP('2026-02-01'), UNIX_TIMESTAMP('2026-03-01 08:00:00')),
  -- a status of the shop's own, no time at all
  (501, 'A', UNIX_TIMESTAMP('2026-02-01'), UNIX_TIMESTAMP('2026-03-01 07:30')),
  (502, 'P', 0, 0),
  -- times of no window; an hour ahead, which a later window reads
  (602, 'P', UNIX_TIMESTAMP('2026-02-01'), 1),
  (603, 'P', UNIX_TIMESTAMP('2026-02-01'), 4294967295),
  (604, 'P', UNIX_TIMESTAMP('2026-02-01'), UNIX_TIMESTAMP() + 2 * 86400),
  (605, 'P', UNIX_TIMESTAMP('2026-02-01'), UNIX_TIMESTAMP() + 3600),
  (612, 'P', 1, 0),
  (614, 'P', UNIX_TIMESTAMP() + 2 * 86400, 0),
  (615, 'P', UNIX_TIMESTAMP() + 3600, 0);
-- an order over two vendors, and the two that it was split into
INSERT INTO cscart_orders (order_id, is_parent_order, parent_order_id, company_id, status, timestamp, updated_at) VALUES
  (210, 'Y', 0, 0, 'T', UNIX_TIMESTAMP('2026-03-01 07:15'), UNIX_TIMESTAMP('2026-03-01 07:30')),
  (211, 'N', 210, 1, 'C', UNIX_TIMESTAMP('2026-03-01 07:15'), UNIX_TIMESTAMP('2026-03-01 07:30')),
  (212, 'N', 210, 2, 'P', UNIX_TIMESTAMP('2026-03-01 07:15'), UNIX_TIMESTAMP('2026-03-01 07:30'));
