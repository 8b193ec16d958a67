-- Magento 2.4, sales_order, abbreviated. Times in UTC: the session that runs this has that zone.
CREATE TABLE sales_order (
  entity_id int unsigned NOT NULL AUTO_INCREMENT,
  state varchar(32) NULL,
  status varchar(32) NULL,
  store_id smallint unsigned NULL,
  increment_id varchar(50) NULL,
  relation_parent_real_id varchar(32) NULL,
  created_at timestamp NOT NULL DEFAULT CURRENT_TIMESTAMP,
  updated_at timestamp NOT NULL DEFAULT CURRENT_TIMESTAMP ON UPDATE CURRENT_TIMESTAMP,
  PRIMARY KEY (entity_id),
  UNIQUE KEY SALES_ORDER_INCREMENT_ID_STORE_ID (increment_id, store_id),
  KEY SALES_ORDER_STATUS (status),
  KEY SALES_ORDER_UPDATED_AT (updated_at)
);
INSERT INTO sales_order (increment_id, state, status, store_id, updated_at) VALUES
  -- each documented status once
  ('000000101', 'new', 'received', 1, '2026-03-01 07:30'),
  ('000000102', 'new', 'pending', 1, '2026-03-01 07:30'),
  ('000000103', 'pending_payment', 'pending_payment', 1, '2026-03-01 07:30'),
  ('000000104', 'new', 'pending_paypal', 1, '2026-03-01 07:30'),
  ('000000105', 'payment_review', 'payment_review', 1, '2026-03-01 07:30'),
  ('000000106', 'payment_review', 'fraud', 1, '2026-03-01 07:30'),
  ('000000107', 'processing', 'processing', 1, '2026-03-01 07:30'),
  ('000000108', 'holded', 'holded', 1, '2026-03-01 07:30'),
  ('000000109', 'holded', 'paypal_reversed', 1, '2026-03-01 07:30'),
  ('000000110', 'processing', 'paypal_canceled_reversal', 1, '2026-03-01 07:30'),
  ('000000111', 'complete', 'complete', 1, '2026-03-01 07:30'),
  ('000000112', 'canceled', 'canceled', 1, '2026-03-01 07:30'),
  ('000000113', 'closed', 'closed', 1, '2026-03-01 07:30'),
  ('000000114', 'canceled', 'rejected', 1, '2026-03-01 07:30'),
  -- another store; an own number; an order that was edited, and the one that it became
  ('2000000201', 'processing', 'processing', 2, '2026-03-01 07:30'),
  ('MSK-0202', 'complete', 'complete', 3, '2026-03-01 07:30'),
  ('000000203', 'canceled', 'canceled', 1, '2026-03-01 07:30'),
  ('000000203-1', 'new', 'pending', 1, '2026-03-01 07:30'),
  -- the edges of the window
  ('000000401', 'processing', 'processing', 1, '2026-02-28 06:59:59'),
  ('000000402', 'processing', 'processing', 1, '2026-02-28 07:00:00'),
  ('000000403', 'complete', 'complete', 1, '2026-03-01 07:59:59'),
  ('000000404', 'complete', 'complete', 1, '2026-03-01 08:00:00'),
  -- a status of the shop's own, none
  ('000000501', 'processing', 'picked', 1, '2026-03-01 07:30'),
  ('000000503', NULL, NULL, 1, '2026-03-01 07:30'),
  -- times of no window; an hour ahead, which a later window reads
  ('000000601', 'processing', 'processing', 1, '0000-00-00 00:00:00'),
  ('000000602', 'processing', 'processing', 1, '1970-01-01 00:00:01'),
  ('000000603', 'processing', 'processing', 1, '2037-01-01'),
  ('000000604', 'processing', 'processing', 1, UTC_TIMESTAMP() + INTERVAL 2 DAY),
  ('000000605', 'processing', 'processing', 1, UTC_TIMESTAMP() + INTERVAL 1 HOUR);
