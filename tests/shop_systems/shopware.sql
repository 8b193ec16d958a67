-- Shopware 6.5, order, order_transaction and state_machine_state, abbreviated. Times in UTC.
CREATE TABLE state_machine_state (
  id BINARY(16) NOT NULL,
  technical_name VARCHAR(255) NOT NULL,
  state_machine_id BINARY(16) NOT NULL,
  PRIMARY KEY (id)
) DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci;
CREATE TABLE `order` (
  id BINARY(16) NOT NULL,
  version_id BINARY(16) NOT NULL,
  state_id BINARY(16) NOT NULL,
  auto_increment BIGINT unsigned NOT NULL AUTO_INCREMENT,
  order_number VARCHAR(64),
  created_at DATETIME(3) NOT NULL,
  updated_at DATETIME(3) NULL,
  PRIMARY KEY (id, version_id),
  KEY `idx.state_index` (state_id),
  UNIQUE `uniq.auto_increment` (auto_increment)
) DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci;
CREATE TABLE order_transaction (
  id BINARY(16) NOT NULL,
  version_id BINARY(16) NOT NULL,
  order_id BINARY(16) NOT NULL,
  order_version_id BINARY(16) NOT NULL,
  state_id BINARY(16) NOT NULL,
  created_at DATETIME(3) NOT NULL,
  updated_at DATETIME(3) NULL,
  PRIMARY KEY (id, version_id),
  KEY `fk.order_transaction.order_id` (order_id, order_version_id)
) DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci;
INSERT INTO state_machine_state SELECT UNHEX(MD5(CONCAT('order.', name))), name, UNHEX(MD5('order.state')) FROM (
  SELECT 'open' AS name UNION SELECT 'in_progress' UNION SELECT 'completed' UNION SELECT 'cancelled'
  UNION SELECT 'on_hold'
) AS names;
INSERT INTO state_machine_state SELECT UNHEX(MD5(CONCAT('payment.', name))), name, UNHEX(MD5('order_transaction.state'))
FROM (
  SELECT 'open' AS name UNION SELECT 'paid' UNION SELECT 'refunded' UNION SELECT 'refunded_partially'
  UNION SELECT 'chargeback' UNION SELECT 'cancelled'
) AS names;
INSERT INTO `order` (id, version_id, state_id, order_number, created_at, updated_at)
SELECT UNHEX(MD5(number)), UNHEX('0FA91CE3E96A4BC2BE4BD9CE752C3425'), UNHEX(MD5(CONCAT('order.', state))), number,
       created, updated
FROM (
  -- each state once
  SELECT '10101' AS number, 'open' AS state, '2026-02-01' AS created, '2026-03-01 07:30:00.000' AS updated
  UNION ALL SELECT '10102', 'in_progress', '2026-02-01', '2026-03-01 07:30:00.000'
  UNION ALL SELECT '10103', 'completed', '2026-02-01', '2026-03-01 07:30:00.000'
  UNION ALL SELECT '10104', 'cancelled', '2026-02-01', '2026-03-01 07:30:00.000'
  -- never updated: created in the window, and before it
  UNION ALL SELECT '10201', 'open', '2026-03-01 07:15:00.123', NULL
  UNION ALL SELECT '10202', 'open', '2026-02-01', NULL
  -- the same without a payment; and an old order that got a new one
  UNION ALL SELECT '10203', 'open', '2026-03-01 07:15:00.123', NULL
  UNION ALL SELECT '10204', 'open', '2026-02-01', '2026-02-20'
  -- refunded in the window by the payment alone: in full, charged back, in part; and paid only after a first try
  UNION ALL SELECT '10211', 'completed', '2026-02-01', '2026-02-20'
  UNION ALL SELECT '10212', 'completed', '2026-02-01', '2026-02-20'
  UNION ALL SELECT '10213', 'completed', '2026-02-01', '2026-02-20'
  UNION ALL SELECT '10214', 'in_progress', '2026-02-01', '2026-03-01 07:30:00.000'
  -- changed in the window, and its payment after it
  UNION ALL SELECT '10221', 'completed', '2026-02-01', '2026-03-01 07:30:00.000'
  -- the edges of the window
  UNION ALL SELECT '10401', 'open', '2026-02-01', '2026-02-28 06:59:59.999'
  UNION ALL SELECT '10402', 'open', '2026-02-01', '2026-02-28 07:00:00.000'
  UNION ALL SELECT '10403', 'completed', '2026-02-01', '2026-03-01 07:59:59.999'
  UNION ALL SELECT '10404', 'completed', '2026-02-01', '2026-03-01 08:00:00.000'
  -- a state of a plugin, no number
  UNION ALL SELECT '10501', 'on_hold', '2026-02-01', '2026-03-01 07:30:00.000'
  -- times of no window; an hour ahead, which a later window reads
  UNION ALL SELECT '10601', 'open', '2026-02-01', '0000-00-00 00:00:00'
  UNION ALL SELECT '10602', 'open', '2026-02-01', '1970-01-01 00:00:01'
  UNION ALL SELECT '10603', 'open', '2026-02-01', '2647-01-01'
  UNION ALL SELECT '10604', 'open', '2026-02-01', UTC_TIMESTAMP() + INTERVAL 2 DAY
  UNION ALL SELECT '10605', 'open', '2026-02-01', UTC_TIMESTAMP() + INTERVAL 1 HOUR
  UNION ALL SELECT '10606', 'open', '0000-00-00', NULL
  UNION ALL SELECT '10607', 'open', '2647-01-01', NULL
  UNION ALL SELECT '10608', 'open', '2026-02-01', '2026-03-01 07:30'
  UNION ALL SELECT '10609', 'open', '2026-02-01', '0000-00-00 00:00:00'
) AS orders;
INSERT INTO `order` (id, version_id, state_id, order_number, created_at, updated_at) VALUES
  -- 10101 as the Administration edits it
  (UNHEX(MD5('10101')), UNHEX(MD5('draft')), UNHEX(MD5('order.cancelled')), '10101', '2026-02-01', '2026-03-01 07:45'),
  (UNHEX(MD5('10202')), UNHEX(MD5('draft')), UNHEX(MD5('order.cancelled')), '10202', '2026-02-01', '2026-03-01 07:45');
INSERT INTO order_transaction (id, version_id, order_id, order_version_id, state_id, created_at, updated_at)
SELECT UNHEX(MD5(CONCAT(number, state))), UNHEX('0FA91CE3E96A4BC2BE4BD9CE752C3425'), UNHEX(MD5(number)),
       UNHEX('0FA91CE3E96A4BC2BE4BD9CE752C3425'), UNHEX(MD5(CONCAT('payment.', state))), created, updated
FROM (
  SELECT '10103' AS number, 'paid' AS state, '2026-02-01' AS created, '2026-02-02' AS updated
  UNION ALL SELECT '10201', 'open', '2026-03-01 07:15:00.123', NULL
  UNION ALL SELECT '10202', 'open', '2026-02-01', NULL
  UNION ALL SELECT '10204', 'open', '2026-03-01 07:15:00.123', NULL
  UNION ALL SELECT '10211', 'refunded', '2026-02-01', '2026-03-01 07:30'
  UNION ALL SELECT '10212', 'chargeback', '2026-02-01', '2026-03-01 07:30'
  UNION ALL SELECT '10213', 'refunded_partially', '2026-02-01', '2026-03-01 07:30'
  UNION ALL SELECT '10214', 'cancelled', '2026-02-01', '2026-02-02'
  UNION ALL SELECT '10214', 'paid', '2026-02-02', '2026-02-02'
  UNION ALL SELECT '10221', 'refunded', '2026-02-01', '2026-03-01 08:00:00.001'
  -- no window has the payment's time, or the order's
  UNION ALL SELECT '10608', 'paid', '2026-02-01', '2647-01-01'
  UNION ALL SELECT '10609', 'paid', '2026-02-01', '2026-03-01 07:30'
) AS payments;
