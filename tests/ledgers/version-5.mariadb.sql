CREATE TABLE `rees46_accepted_statuses` (
  `id` bigint(20) NOT NULL AUTO_INCREMENT,
  `shop` varchar(100) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin NOT NULL,
  `order_id` varchar(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin NOT NULL,
  `status` smallint(6) NOT NULL COMMENT '0 created, 1 completed, 2 cancelled',
  `source_updated_at` datetime(6) NOT NULL,
  `dag_id` varchar(250) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin NOT NULL,
  `run_id` varchar(250) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin NOT NULL,
  `extraction_id` varchar(40) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin NOT NULL COMMENT 'the extraction that it came from',
  `accepted_at` datetime(6) NOT NULL COMMENT 'when the answer was recorded',
  `sent_at` datetime(6) DEFAULT NULL COMMENT 'when its request went out; null: by an earlier version',
  PRIMARY KEY (`id`),
  KEY `rees46_accepted_statuses_order` (`shop`,`order_id`,`id`)
) ENGINE=InnoDB AUTO_INCREMENT=7 DEFAULT CHARSET=latin1 COLLATE=latin1_swedish_ci;
INSERT INTO rees46_accepted_statuses VALUES (2, 'other', '1', 1, '2026-03-01 12:00:00', 'dag', 'run-1', 'reading-other', '2024-10-17 12:00:00.167153', '2024-10-17 12:00:00.167106');
INSERT INTO rees46_accepted_statuses VALUES (3, 'test', '1', 0, '2026-03-01 12:00:00', 'dag', 'run-1', 'reading-1', '2026-01-15 22:49:22.113007', '2026-01-15 22:49:22.112944');
INSERT INTO rees46_accepted_statuses VALUES (4, 'test', '2', 1, '2026-03-01 12:00:00', 'dag', 'run-1', 'reading-1', '2026-01-15 22:49:22.113007', '2026-01-15 22:49:22.112944');
INSERT INTO rees46_accepted_statuses VALUES (5, 'test', 'заказ-🎁 \'\"\\', 2, '2026-03-01 12:00:00', 'dag', 'run-1', 'reading-1', '2026-01-15 22:49:22.113007', '2026-01-15 22:49:22.112944');
INSERT INTO rees46_accepted_statuses VALUES (6, 'test', '1', 1, '2026-03-01 13:00:00', 'dag', 'run-2', 'reading-2', '2026-01-15 22:49:22.120316', '2026-01-15 22:49:22.120253');
CREATE TABLE `rees46_alert_messages` (
  `id` bigint(20) NOT NULL AUTO_INCREMENT,
  `shop` varchar(100) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin NOT NULL,
  `alert` varchar(40) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin NOT NULL,
  `channel` varchar(40) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin NOT NULL COMMENT 'kind and fingerprint of a channel of the shop file',
  `message` longtext CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin NOT NULL COMMENT 'JSON',
  `changed_at` datetime(6) NOT NULL,
  `claimed_at` datetime(6) DEFAULT NULL COMMENT 'a process is sending it since then',
  `sent_at` datetime(6) DEFAULT NULL,
  PRIMARY KEY (`id`),
  KEY `rees46_alert_messages_shop` (`shop`,`sent_at`)
) ENGINE=InnoDB AUTO_INCREMENT=3 DEFAULT CHARSET=latin1 COLLATE=latin1_swedish_ci;
INSERT INTO rees46_alert_messages VALUES (1, 'test', 'run_failed', 'email e6398a378ae646af', '{\"subject\": \"fired 12:00\"}', '2026-03-01 12:00:00', '2026-03-01 12:00:00', '2026-03-01 12:00:00');
INSERT INTO rees46_alert_messages VALUES (2, 'test', 'run_failed', 'email e6398a378ae646af', '{\"subject\": \"recovered 13:00\"}', '2026-03-01 13:00:00', NULL, NULL);
CREATE TABLE `rees46_alerts` (
  `id` bigint(20) NOT NULL AUTO_INCREMENT,
  `shop` varchar(100) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin NOT NULL,
  `alert` varchar(40) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin NOT NULL,
  `firing` tinyint(1) NOT NULL,
  `since` datetime(6) NOT NULL COMMENT 'when that began',
  `as_of` datetime(6) NOT NULL COMMENT 'the moment it was evaluated for: a later one wins',
  `first_seen` datetime(6) NOT NULL,
  `summary` longtext CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin NOT NULL COMMENT 'the latest evaluation, in a sentence',
  PRIMARY KEY (`id`),
  UNIQUE KEY `shop` (`shop`,`alert`)
) ENGINE=InnoDB AUTO_INCREMENT=2 DEFAULT CHARSET=latin1 COLLATE=latin1_swedish_ci;
INSERT INTO rees46_alerts VALUES (1, 'test', 'run_failed', 0, '2026-03-01 13:00:00', '2026-03-01 13:00:00', '2026-03-01 12:00:00', 'it succeeded.');
CREATE TABLE `rees46_approvals` (
  `id` bigint(20) NOT NULL AUTO_INCREMENT,
  `shop` varchar(100) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin NOT NULL,
  `dag_id` varchar(250) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin NOT NULL,
  `run_id` varchar(250) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin NOT NULL,
  `extraction_id` varchar(40) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin NOT NULL COMMENT 'the extraction that it is about',
  `outcome` varchar(20) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin NOT NULL COMMENT 'asked, approved, rejected or expired',
  `exceeded_text` longtext CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin NOT NULL COMMENT 'the exceeded limits, with the numbers',
  `decided_by` varchar(250) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin DEFAULT NULL COMMENT 'null: not decided by a person',
  `recorded_at` datetime(6) NOT NULL,
  PRIMARY KEY (`id`),
  KEY `rees46_approvals_run` (`dag_id`,`run_id`,`id`)
) ENGINE=InnoDB AUTO_INCREMENT=3 DEFAULT CHARSET=latin1 COLLATE=latin1_swedish_ci;
INSERT INTO rees46_approvals VALUES (1, 'test', 'dag', 'run-1', 'reading-1', 'asked', '2 orders would change', NULL, '2026-01-15 22:49:22.298297');
INSERT INTO rees46_approvals VALUES (2, 'test', 'dag', 'run-1', 'reading-1', 'approved', '2 orders would change', 'jane', '2026-01-15 22:49:22.300196');
CREATE TABLE `rees46_confirmations` (
  `id` bigint(20) NOT NULL AUTO_INCREMENT,
  `shop` varchar(100) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin NOT NULL,
  `order_id` varchar(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin NOT NULL,
  `source_updated_at` datetime(6) NOT NULL COMMENT 'of the confirmed version',
  `extraction_id` varchar(40) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin NOT NULL COMMENT 'the extraction that confirmed it',
  PRIMARY KEY (`id`),
  KEY `rees46_confirmations_order` (`shop`,`order_id`)
) ENGINE=InnoDB AUTO_INCREMENT=2 DEFAULT CHARSET=latin1 COLLATE=latin1_swedish_ci;
INSERT INTO rees46_confirmations VALUES (1, 'test', 'заказ-🎁 \'\"\\', '2026-03-01 14:00:00', 'reading-2');
CREATE TABLE `rees46_covered_windows` (
  `id` bigint(20) NOT NULL AUTO_INCREMENT,
  `shop` varchar(100) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin NOT NULL,
  `window_start` datetime(6) NOT NULL,
  `read_until` datetime(6) NOT NULL,
  PRIMARY KEY (`id`),
  KEY `rees46_covered_windows_shop` (`shop`,`window_start`)
) ENGINE=InnoDB AUTO_INCREMENT=2 DEFAULT CHARSET=latin1 COLLATE=latin1_swedish_ci;
INSERT INTO rees46_covered_windows VALUES (1, 'other', '2024-10-17 12:00:00', '2024-10-17 13:00:00');
CREATE TABLE `rees46_deliveries` (
  `id` bigint(20) NOT NULL AUTO_INCREMENT,
  `shop` varchar(100) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin NOT NULL,
  `extraction_id` varchar(40) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin NOT NULL,
  `dag_id` varchar(250) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin NOT NULL,
  `run_id` varchar(250) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin NOT NULL,
  `partition` int(11) NOT NULL,
  `orders` int(11) NOT NULL,
  `requests` int(11) NOT NULL COMMENT 'POSTs that were made for this batch',
  `outcome` varchar(20) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin NOT NULL COMMENT 'accepted, rejected or unknown',
  `answered_at` datetime(6) NOT NULL,
  PRIMARY KEY (`id`),
  KEY `rees46_deliveries_extraction` (`extraction_id`),
  KEY `rees46_deliveries_shop` (`shop`,`id`)
) ENGINE=InnoDB AUTO_INCREMENT=7 DEFAULT CHARSET=latin1 COLLATE=latin1_swedish_ci;
INSERT INTO rees46_deliveries VALUES (2, 'other', 'reading-other', 'dag', 'run-1', 0, 1, 1, 'accepted', '2024-10-17 12:00:00.167153');
INSERT INTO rees46_deliveries VALUES (3, 'test', 'reading-1', 'dag', 'run-1', 0, 3, 1, 'accepted', '2026-01-15 22:49:22.113007');
INSERT INTO rees46_deliveries VALUES (4, 'test', 'reading-2', 'dag', 'run-2', 0, 1, 1, 'accepted', '2026-01-15 22:49:22.120316');
INSERT INTO rees46_deliveries VALUES (5, 'test', 'reading-2', 'dag', 'run-2', 1, 1, 1, 'rejected', '2026-01-15 22:49:22.130232');
INSERT INTO rees46_deliveries VALUES (6, 'test', 'reading-2', 'dag', 'run-2', 1, 1, 4, 'unknown', '2026-01-15 22:49:22.139626');
CREATE TABLE `rees46_extractions` (
  `id` bigint(20) NOT NULL AUTO_INCREMENT,
  `shop` varchar(100) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin NOT NULL,
  `extraction_id` varchar(40) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin NOT NULL,
  `started_at` datetime(6) NOT NULL,
  `window_start` datetime(6) NOT NULL,
  `window_end` datetime(6) DEFAULT NULL COMMENT 'null: an earlier version did not record it',
  `read_mark` bigint(20) DEFAULT NULL COMMENT 'the latest extraction when it had read all; null: it reads, or failed',
  `is_open` tinyint(1) NOT NULL COMMENT 'something of it may still be sent',
  `latest_confirmation_id` bigint(20) NOT NULL COMMENT 'its latest confirmation; 0: none',
  PRIMARY KEY (`id`),
  UNIQUE KEY `extraction_id` (`extraction_id`),
  KEY `rees46_extractions_shop` (`shop`,`id`)
) ENGINE=InnoDB AUTO_INCREMENT=3 DEFAULT CHARSET=latin1 COLLATE=latin1_swedish_ci;
INSERT INTO rees46_extractions VALUES (1, 'test', 'reading-1', '2026-03-01 12:00:00', '2026-02-28 12:00:00', '2026-03-01 12:00:00', 1, 1, 0);
INSERT INTO rees46_extractions VALUES (2, 'test', 'reading-2', '2026-03-01 13:00:00', '2026-02-28 12:00:00', '2026-03-01 13:00:00', 2, 1, 1);
CREATE TABLE `rees46_in_flight_requests` (
  `id` bigint(20) NOT NULL AUTO_INCREMENT,
  `shop` varchar(100) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin NOT NULL,
  `extraction_id` varchar(40) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin NOT NULL,
  `lease` bigint(20) NOT NULL COMMENT 'of the load that sends it',
  `orders` longtext CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin NOT NULL COMMENT 'JSON: of each order its id, status and source_updated_at',
  PRIMARY KEY (`id`),
  KEY `rees46_in_flight_requests_shop` (`shop`)
) ENGINE=InnoDB AUTO_INCREMENT=8 DEFAULT CHARSET=latin1 COLLATE=latin1_swedish_ci;
INSERT INTO rees46_in_flight_requests VALUES (7, 'test', 'reading-2', 1, '[[\"4\",1,\"2026-03-01 12:00:00.000000\"]]');
CREATE TABLE `rees46_leases` (
  `shop` varchar(100) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin NOT NULL,
  `lease` bigint(20) NOT NULL COMMENT 'of the load that started last',
  PRIMARY KEY (`shop`)
) ENGINE=InnoDB DEFAULT CHARSET=latin1 COLLATE=latin1_swedish_ci;
INSERT INTO rees46_leases VALUES ('other', 1);
INSERT INTO rees46_leases VALUES ('test', 1);
CREATE TABLE `rees46_refused_orders` (
  `id` bigint(20) NOT NULL AUTO_INCREMENT,
  `shop` varchar(100) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin NOT NULL,
  `order_id` varchar(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin NOT NULL,
  `status` smallint(6) NOT NULL,
  `batch_size` int(11) NOT NULL COMMENT 'of the refused batch; 1: it is refused alone',
  `reason` varchar(250) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin NOT NULL COMMENT 'REES46''s words',
  `refused_at` datetime(6) NOT NULL,
  PRIMARY KEY (`id`),
  KEY `rees46_refused_orders_order` (`shop`,`order_id`)
) ENGINE=InnoDB AUTO_INCREMENT=2 DEFAULT CHARSET=latin1 COLLATE=latin1_swedish_ci;
INSERT INTO rees46_refused_orders VALUES (1, 'test', '5', 1, 1, 'Order not found', '2026-01-15 22:49:22.152512');
CREATE TABLE `rees46_rejected_orders` (
  `id` bigint(20) NOT NULL AUTO_INCREMENT,
  `shop` varchar(100) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin NOT NULL,
  `run_id` varchar(250) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin NOT NULL COMMENT 'the first run that read this row',
  `order_id` longtext CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin DEFAULT NULL,
  `status` longtext CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin DEFAULT NULL,
  `updated_at` longtext CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin DEFAULT NULL COMMENT 'as the warehouse returned it',
  `reason` varchar(250) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin NOT NULL COMMENT 'the codes of all checks it failed',
  `rejected_at` datetime(6) NOT NULL,
  `fingerprint` varchar(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin NOT NULL,
  PRIMARY KEY (`id`),
  UNIQUE KEY `fingerprint` (`fingerprint`),
  KEY `rees46_rejected_orders_shop` (`shop`,`id`)
) ENGINE=InnoDB AUTO_INCREMENT=5 DEFAULT CHARSET=latin1 COLLATE=latin1_swedish_ci;
INSERT INTO rees46_rejected_orders VALUES (1, 'test', 'run-1', '1', 'sent back', '2026-03-01 12:00:00', 'status_unmapped', '2026-01-15 22:49:22.290758', '2fdfbeb2b07f0410ecb452aeb6a14926a5421cf0671ba12548a6356dbcc68a2f');
INSERT INTO rees46_rejected_orders VALUES (2, 'test', 'run-1', NULL, 'new', '2026-03-01 12:00:00', 'order_id_missing', '2026-01-15 22:49:22.290758', 'e418089203be5db85661fa1bfeae2afbe2425625dc05c1390b9d81eab7670f33');
INSERT INTO rees46_rejected_orders VALUES (3, 'test', 'run-1', '', NULL, NULL, 'order_id_blank, status_missing, updated_at_missing', '2026-01-15 22:49:22.290758', '1f1982b45d961a32381e7b4ec8c2303236ab5d4d3c5495eef135cfe562a07327');
INSERT INTO rees46_rejected_orders VALUES (4, 'test', 'run-1', 'заказ-🎁 \'\"', 'new', 'yesterday', 'updated_at_unreadable', '2026-01-15 22:49:22.290758', '8af6e276890b748691538564a0d2e75ee5990b87fbeace3e63ae1fd62f38d10e');
CREATE TABLE `rees46_retention` (
  `shop` varchar(100) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin NOT NULL,
  `checked_up_to_id` bigint(20) NOT NULL COMMENT 'the latest accepted row that was checked',
  PRIMARY KEY (`shop`)
) ENGINE=InnoDB DEFAULT CHARSET=latin1 COLLATE=latin1_swedish_ci;
INSERT INTO rees46_retention VALUES ('other', 2);
CREATE TABLE `rees46_schema_versions` (
  `version` int(11) NOT NULL,
  `since` datetime(6) NOT NULL,
  PRIMARY KEY (`version`)
) ENGINE=InnoDB DEFAULT CHARSET=latin1 COLLATE=latin1_swedish_ci;
INSERT INTO rees46_schema_versions VALUES (5, '2024-10-17 12:00:00.145558');
CREATE TABLE `rees46_sync_runs` (
  `id` bigint(20) NOT NULL AUTO_INCREMENT,
  `shop` varchar(100) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin NOT NULL,
  `dag_id` varchar(250) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin NOT NULL,
  `run_id` varchar(250) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin NOT NULL,
  `window_start` datetime(6) DEFAULT NULL COMMENT 'null: a run by hand named one that does not exist',
  `window_end` datetime(6) DEFAULT NULL,
  `window_widened` tinyint(1) NOT NULL COMMENT 'it continues the last successful run',
  `read` bigint(20) NOT NULL,
  `sent` bigint(20) NOT NULL,
  `unchanged` bigint(20) NOT NULL,
  `superseded` bigint(20) NOT NULL,
  `stale` bigint(20) NOT NULL,
  `reopened` bigint(20) NOT NULL,
  `rejected` bigint(20) NOT NULL,
  `held` bigint(20) NOT NULL COMMENT 'more than 0: the run has not delivered its window',
  `failed` bigint(20) NOT NULL,
  `requests` bigint(20) NOT NULL,
  `resent` bigint(20) DEFAULT NULL COMMENT 'sent again although unchanged; null: no resend by resend_every',
  `outcome` varchar(20) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin NOT NULL COMMENT 'success or failed',
  `cause` text DEFAULT NULL COMMENT 'of a failed run: what did not finish, and why',
  `newest_updated_at` datetime(6) DEFAULT NULL COMMENT 'of the rows that it read, not in the future',
  `data_until` datetime(6) DEFAULT NULL COMMENT 'up to when the data shows to be loaded; null: by an earlier version',
  `data_late` tinyint(1) DEFAULT NULL COMMENT 'that is earlier than usual for this shop',
  `whole_days` tinyint(1) DEFAULT NULL COMMENT 'the times of the rows are days',
  `mapping_hash` varchar(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin DEFAULT NULL COMMENT 'of the shop file''s statuses',
  `mapping` text DEFAULT NULL COMMENT 'JSON: REES46''s code of each of the shop''s statuses',
  `started_at` datetime(6) NOT NULL COMMENT 'when it started to read the warehouse',
  `finished_at` datetime(6) NOT NULL,
  PRIMARY KEY (`id`),
  UNIQUE KEY `dag_id` (`dag_id`,`run_id`),
  KEY `rees46_sync_runs_shop` (`shop`,`outcome`,`window_end`)
) ENGINE=InnoDB AUTO_INCREMENT=5 DEFAULT CHARSET=latin1 COLLATE=latin1_swedish_ci;
INSERT INTO rees46_sync_runs VALUES (2, 'other', 'dag-other', 'run-2', '2024-10-17 13:00:00', '2024-10-17 14:00:00', 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, NULL, 'success', NULL, '2024-10-17 13:50:00', '2024-10-17 14:00:00', 0, 0, '1003354bd8749cbff3ffa75570711f76925681acb44c4ad1ef2a0c332d1f5bd1', '{\"cancelled\": 2, \"new\": 0, \"paid\": 1}', '2024-10-17 14:05:00', '2024-10-17 14:06:00');
INSERT INTO rees46_sync_runs VALUES (3, 'test', 'dag', 'run-1', '2026-03-01 11:00:00', '2026-03-01 12:00:00', 1, 3, 3, 0, 0, 0, 0, 0, 0, 0, 1, NULL, 'success', NULL, '2026-03-01 11:50:00', '2026-03-01 12:00:00', 0, 0, '1003354bd8749cbff3ffa75570711f76925681acb44c4ad1ef2a0c332d1f5bd1', '{\"cancelled\": 2, \"new\": 0, \"paid\": 1}', '2026-03-01 12:05:00', '2026-03-01 12:06:00');
INSERT INTO rees46_sync_runs VALUES (4, 'test', 'dag', 'run-2', '2026-03-01 11:00:00', '2026-03-01 13:00:00', 1, 4, 1, 0, 0, 0, 0, 0, 0, 3, 6, NULL, 'failed', 'load_batches could not send 3 orders', '2026-03-01 12:50:00', '2026-03-01 13:00:00', 0, 0, '1003354bd8749cbff3ffa75570711f76925681acb44c4ad1ef2a0c332d1f5bd1', '{\"cancelled\": 2, \"new\": 0, \"paid\": 1}', '2026-03-01 12:05:00', '2026-03-01 12:06:00');
CREATE TABLE `rees46_uncertain_orders` (
  `id` bigint(20) NOT NULL AUTO_INCREMENT,
  `shop` varchar(100) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin NOT NULL,
  `order_id` varchar(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin NOT NULL,
  `status` smallint(6) DEFAULT NULL COMMENT 'null: an earlier version did not record it',
  `source_updated_at` datetime(6) NOT NULL,
  `extraction_id` varchar(40) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin NOT NULL COMMENT 'the extraction that it came from',
  `sent_at` datetime(6) NOT NULL COMMENT 'until when its request may have gone out',
  PRIMARY KEY (`id`),
  KEY `rees46_uncertain_orders_order` (`shop`,`order_id`),
  KEY `rees46_uncertain_orders_shop` (`shop`,`id`)
) ENGINE=InnoDB AUTO_INCREMENT=3 DEFAULT CHARSET=latin1 COLLATE=latin1_swedish_ci;
INSERT INTO rees46_uncertain_orders VALUES (1, 'test', '2', 2, '2026-03-01 12:00:00', 'reading-2', '2026-01-15 22:49:22.130232');
INSERT INTO rees46_uncertain_orders VALUES (2, 'test', '3', 1, '2026-03-01 12:00:00', 'reading-2', '2026-01-15 22:49:22.139626');
