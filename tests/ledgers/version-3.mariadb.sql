CREATE TABLE `rees46_accepted_statuses` (
  `id` bigint(20) NOT NULL AUTO_INCREMENT,
  `shop` varchar(100) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin NOT NULL,
  `order_id` varchar(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin NOT NULL,
  `status` smallint(6) NOT NULL COMMENT '0 created, 1 completed, 2 cancelled',
  `source_updated_at` datetime(6) NOT NULL,
  `dag_id` varchar(250) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin NOT NULL,
  `run_id` varchar(250) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin NOT NULL,
  `extraction_id` varchar(40) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin NOT NULL COMMENT 'which reading of the warehouse it came from',
  `accepted_at` datetime(6) NOT NULL,
  PRIMARY KEY (`id`),
  KEY `rees46_accepted_statuses_order` (`shop`,`order_id`,`id`)
) ENGINE=InnoDB AUTO_INCREMENT=7 DEFAULT CHARSET=latin1 COLLATE=latin1_swedish_ci;
INSERT INTO rees46_accepted_statuses VALUES (2, 'other', '1', 1, '2026-03-01 12:00:00', 'dag', 'run-1', 'reading-other', '2024-10-17 12:00:00');
INSERT INTO rees46_accepted_statuses VALUES (3, 'test', '1', 0, '2026-03-01 12:00:00', 'dag', 'run-1', 'reading-1', '2026-01-15 22:50:47.613530');
INSERT INTO rees46_accepted_statuses VALUES (4, 'test', '2', 1, '2026-03-01 12:00:00', 'dag', 'run-1', 'reading-1', '2026-01-15 22:50:47.613530');
INSERT INTO rees46_accepted_statuses VALUES (5, 'test', 'заказ-🎁 \'\"\\', 2, '2026-03-01 12:00:00', 'dag', 'run-1', 'reading-1', '2026-01-15 22:50:47.613530');
INSERT INTO rees46_accepted_statuses VALUES (6, 'test', '1', 1, '2026-03-01 13:00:00', 'dag', 'run-2', 'reading-2', '2026-01-15 22:50:47.619875');
CREATE TABLE `rees46_alert_messages` (
  `id` bigint(20) NOT NULL AUTO_INCREMENT,
  `shop` varchar(100) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin NOT NULL,
  `alert` varchar(40) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin NOT NULL,
  `channel` varchar(40) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin NOT NULL COMMENT 'kind and fingerprint of a place of the shop file',
  `message` longtext CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin NOT NULL COMMENT 'JSON',
  `changed_at` datetime(6) NOT NULL,
  `claimed_at` datetime(6) DEFAULT NULL COMMENT 'somebody is sending it since then',
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
  `as_of` datetime(6) NOT NULL COMMENT 'what it was judged by: a later finding wins',
  `first_seen` datetime(6) NOT NULL,
  `summary` longtext CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin NOT NULL COMMENT 'what was found last, in a sentence',
  PRIMARY KEY (`id`),
  UNIQUE KEY `shop` (`shop`,`alert`)
) ENGINE=InnoDB AUTO_INCREMENT=2 DEFAULT CHARSET=latin1 COLLATE=latin1_swedish_ci;
INSERT INTO rees46_alerts VALUES (1, 'test', 'run_failed', 0, '2026-03-01 13:00:00', '2026-03-01 13:00:00', '2026-03-01 12:00:00', 'it succeeded.');
CREATE TABLE `rees46_approvals` (
  `id` bigint(20) NOT NULL AUTO_INCREMENT,
  `shop` varchar(100) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin NOT NULL,
  `dag_id` varchar(250) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin NOT NULL,
  `run_id` varchar(250) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin NOT NULL,
  `extraction_id` varchar(40) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin NOT NULL COMMENT 'which reading of the warehouse it is about',
  `outcome` varchar(20) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin NOT NULL COMMENT 'asked, approved, rejected or expired',
  `exceeded_text` longtext CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin NOT NULL COMMENT 'the figures and the limits that they reach',
  `decided_by` varchar(250) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin DEFAULT NULL COMMENT 'null: asked, or nobody',
  `recorded_at` datetime(6) NOT NULL,
  PRIMARY KEY (`id`),
  KEY `rees46_approvals_run` (`dag_id`,`run_id`,`id`)
) ENGINE=InnoDB AUTO_INCREMENT=3 DEFAULT CHARSET=latin1 COLLATE=latin1_swedish_ci;
INSERT INTO rees46_approvals VALUES (1, 'test', 'dag', 'run-1', 'reading-1', 'asked', '2 orders would change', NULL, '2026-01-15 22:50:47.647402');
INSERT INTO rees46_approvals VALUES (2, 'test', 'dag', 'run-1', 'reading-1', 'approved', '2 orders would change', 'jane', '2026-01-15 22:50:47.648931');
CREATE TABLE `rees46_confirmations` (
  `id` bigint(20) NOT NULL AUTO_INCREMENT,
  `shop` varchar(100) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin NOT NULL,
  `order_id` varchar(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin NOT NULL,
  `source_updated_at` datetime(6) NOT NULL COMMENT 'of the version that was found unchanged',
  `extraction_id` varchar(40) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin NOT NULL COMMENT 'the reading that found it',
  PRIMARY KEY (`id`),
  KEY `rees46_confirmations_order` (`shop`,`order_id`),
  KEY `rees46_confirmations_shop` (`shop`,`id`)
) ENGINE=InnoDB AUTO_INCREMENT=2 DEFAULT CHARSET=latin1 COLLATE=latin1_swedish_ci;
INSERT INTO rees46_confirmations VALUES (1, 'test', 'заказ-🎁 \'\"\\', '2026-03-01 14:00:00', 'reading-2');
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
INSERT INTO rees46_deliveries VALUES (1, 'other', 'reading-other', 'dag', 'run-1', 0, 1, 1, 'accepted', '2026-01-15 22:50:47.572213');
INSERT INTO rees46_deliveries VALUES (2, 'other', 'reading-other', 'dag', 'run-1', 0, 1, 1, 'accepted', '2026-01-15 22:50:47.579028');
INSERT INTO rees46_deliveries VALUES (3, 'test', 'reading-1', 'dag', 'run-1', 0, 3, 1, 'accepted', '2026-01-15 22:50:47.613530');
INSERT INTO rees46_deliveries VALUES (4, 'test', 'reading-2', 'dag', 'run-2', 0, 1, 1, 'accepted', '2026-01-15 22:50:47.619875');
INSERT INTO rees46_deliveries VALUES (5, 'test', 'reading-2', 'dag', 'run-2', 1, 1, 1, 'rejected', '2026-01-15 22:50:47.638298');
INSERT INTO rees46_deliveries VALUES (6, 'test', 'reading-2', 'dag', 'run-2', 1, 1, 4, 'unknown', '2026-01-15 22:50:47.643049');
CREATE TABLE `rees46_in_flight_requests` (
  `id` bigint(20) NOT NULL AUTO_INCREMENT,
  `shop` varchar(100) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin NOT NULL,
  `orders` longtext CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin NOT NULL COMMENT 'JSON: of each order its id, status and source_updated_at',
  PRIMARY KEY (`id`),
  KEY `rees46_in_flight_requests_shop` (`shop`)
) ENGINE=InnoDB AUTO_INCREMENT=8 DEFAULT CHARSET=latin1 COLLATE=latin1_swedish_ci;
INSERT INTO rees46_in_flight_requests VALUES (7, 'test', '[[\"4\",1,\"2026-03-01 12:00:00.000000\"]]');
CREATE TABLE `rees46_open_extractions` (
  `id` bigint(20) NOT NULL AUTO_INCREMENT,
  `shop` varchar(100) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin NOT NULL,
  `extraction_id` varchar(40) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin NOT NULL,
  `started_at` datetime(6) NOT NULL,
  `window_start` datetime(6) NOT NULL,
  `latest_confirmation_id` bigint(20) NOT NULL COMMENT 'the latest row of rees46_overtaken_orders when it began',
  PRIMARY KEY (`id`),
  UNIQUE KEY `extraction_id` (`extraction_id`),
  KEY `rees46_open_extractions_shop` (`shop`)
) ENGINE=InnoDB AUTO_INCREMENT=3 DEFAULT CHARSET=latin1 COLLATE=latin1_swedish_ci;
INSERT INTO rees46_open_extractions VALUES (1, 'test', 'reading-1', '2026-03-01 12:00:00', '2026-02-28 12:00:00', 0);
INSERT INTO rees46_open_extractions VALUES (2, 'test', 'reading-2', '2026-03-01 13:00:00', '2026-02-28 12:00:00', 0);
CREATE TABLE `rees46_rejected_orders` (
  `id` bigint(20) NOT NULL AUTO_INCREMENT,
  `shop` varchar(100) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin NOT NULL,
  `run_id` varchar(250) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin NOT NULL COMMENT 'the run that met this row first',
  `order_id` longtext CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin DEFAULT NULL,
  `status` longtext CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin DEFAULT NULL,
  `updated_at` longtext CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin DEFAULT NULL COMMENT 'as the warehouse gave it',
  `reason` varchar(250) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin NOT NULL COMMENT 'the codes of all checks it failed',
  `rejected_at` datetime(6) NOT NULL,
  `fingerprint` varchar(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin NOT NULL,
  PRIMARY KEY (`id`),
  UNIQUE KEY `fingerprint` (`fingerprint`),
  KEY `rees46_rejected_orders_shop` (`shop`,`id`)
) ENGINE=InnoDB AUTO_INCREMENT=5 DEFAULT CHARSET=latin1 COLLATE=latin1_swedish_ci;
INSERT INTO rees46_rejected_orders VALUES (1, 'test', 'run-1', '1', 'sent back', '2026-03-01 12:00:00', 'status_unmapped', '2026-01-15 22:50:47.644437', '2fdfbeb2b07f0410ecb452aeb6a14926a5421cf0671ba12548a6356dbcc68a2f');
INSERT INTO rees46_rejected_orders VALUES (2, 'test', 'run-1', NULL, 'new', '2026-03-01 12:00:00', 'order_id_missing', '2026-01-15 22:50:47.644437', 'e418089203be5db85661fa1bfeae2afbe2425625dc05c1390b9d81eab7670f33');
INSERT INTO rees46_rejected_orders VALUES (3, 'test', 'run-1', '', NULL, NULL, 'order_id_blank, status_missing, updated_at_missing', '2026-01-15 22:50:47.644437', '1f1982b45d961a32381e7b4ec8c2303236ab5d4d3c5495eef135cfe562a07327');
INSERT INTO rees46_rejected_orders VALUES (4, 'test', 'run-1', 'заказ-🎁 \'\"', 'new', 'yesterday', 'updated_at_unreadable', '2026-01-15 22:50:47.644437', '8af6e276890b748691538564a0d2e75ee5990b87fbeace3e63ae1fd62f38d10e');
CREATE TABLE `rees46_retention` (
  `shop` varchar(100) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin NOT NULL,
  `checked_up_to_id` bigint(20) NOT NULL COMMENT 'the latest accepted row that was looked at',
  PRIMARY KEY (`shop`)
) ENGINE=InnoDB DEFAULT CHARSET=latin1 COLLATE=latin1_swedish_ci;
INSERT INTO rees46_retention VALUES ('other', 2);
CREATE TABLE `rees46_schema_versions` (
  `version` int(11) NOT NULL,
  `since` datetime(6) NOT NULL,
  PRIMARY KEY (`version`)
) ENGINE=InnoDB DEFAULT CHARSET=latin1 COLLATE=latin1_swedish_ci;
INSERT INTO rees46_schema_versions VALUES (2, '2026-01-15 22:50:47.561164');
INSERT INTO rees46_schema_versions VALUES (3, '2026-01-15 01:47:21.816380');
CREATE TABLE `rees46_sync_runs` (
  `id` bigint(20) NOT NULL AUTO_INCREMENT,
  `shop` varchar(100) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin NOT NULL,
  `dag_id` varchar(250) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin NOT NULL,
  `run_id` varchar(250) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin NOT NULL,
  `window_start` datetime(6) DEFAULT NULL COMMENT 'null: a run by hand named one that does not exist',
  `window_end` datetime(6) DEFAULT NULL,
  `window_widened` tinyint(1) NOT NULL COMMENT 'began where the last successful run ended',
  `read` bigint(20) NOT NULL,
  `sent` bigint(20) NOT NULL,
  `unchanged` bigint(20) NOT NULL,
  `superseded` bigint(20) NOT NULL,
  `stale` bigint(20) NOT NULL,
  `reopened` bigint(20) NOT NULL,
  `rejected` bigint(20) NOT NULL,
  `failed` bigint(20) NOT NULL,
  `requests` bigint(20) NOT NULL,
  `outcome` varchar(20) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin NOT NULL COMMENT 'success or failed',
  `started_at` datetime(6) NOT NULL COMMENT 'when it began to read the warehouse',
  `finished_at` datetime(6) NOT NULL,
  PRIMARY KEY (`id`),
  UNIQUE KEY `dag_id` (`dag_id`,`run_id`),
  KEY `rees46_sync_runs_shop` (`shop`,`outcome`,`window_end`)
) ENGINE=InnoDB AUTO_INCREMENT=3 DEFAULT CHARSET=latin1 COLLATE=latin1_swedish_ci;
INSERT INTO rees46_sync_runs VALUES (1, 'test', 'dag', 'run-1', '2026-03-01 11:00:00', '2026-03-01 12:00:00', 1, 3, 3, 0, 0, 0, 0, 0, 0, 1, 'success', '2026-03-01 12:05:00', '2026-03-01 12:06:00');
INSERT INTO rees46_sync_runs VALUES (2, 'test', 'dag', 'run-2', '2026-03-01 11:00:00', '2026-03-01 13:00:00', 1, 4, 1, 0, 0, 0, 0, 0, 3, 6, 'failed', '2026-03-01 12:05:00', '2026-03-01 12:06:00');
CREATE TABLE `rees46_uncertain_orders` (
  `id` bigint(20) NOT NULL AUTO_INCREMENT,
  `shop` varchar(100) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin NOT NULL,
  `order_id` varchar(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin NOT NULL,
  `source_updated_at` datetime(6) NOT NULL,
  `high_water_mark` bigint(20) NOT NULL COMMENT 'the latest accepted row when the answer was missed',
  PRIMARY KEY (`id`),
  KEY `rees46_uncertain_orders_order` (`shop`,`order_id`,`high_water_mark`)
) ENGINE=InnoDB AUTO_INCREMENT=3 DEFAULT CHARSET=latin1 COLLATE=latin1_swedish_ci;
INSERT INTO rees46_uncertain_orders VALUES (1, 'test', '2', '2026-03-01 12:00:00', 6);
INSERT INTO rees46_uncertain_orders VALUES (2, 'test', '3', '2026-03-01 12:00:00', 6);
