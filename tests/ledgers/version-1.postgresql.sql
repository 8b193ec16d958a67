CREATE TABLE rees46_accepted_statuses (
	id BIGSERIAL NOT NULL,
	shop VARCHAR(100) NOT NULL,
	order_id VARCHAR(255) NOT NULL,
	status SMALLINT NOT NULL,
	source_updated_at TIMESTAMP WITH TIME ZONE NOT NULL,
	dag_id VARCHAR(250) NOT NULL,
	run_id VARCHAR(250) NOT NULL,
	extraction_id VARCHAR(40) NOT NULL,
	accepted_at TIMESTAMP WITH TIME ZONE NOT NULL,
	PRIMARY KEY (id)
);
CREATE INDEX rees46_accepted_statuses_order ON rees46_accepted_statuses (shop, order_id, id);
CREATE TABLE rees46_alert_messages (
	id BIGSERIAL NOT NULL,
	shop VARCHAR(100) NOT NULL,
	alert VARCHAR(40) NOT NULL,
	channel VARCHAR(40) NOT NULL,
	message TEXT NOT NULL,
	changed_at TIMESTAMP WITH TIME ZONE NOT NULL,
	claimed_at TIMESTAMP WITH TIME ZONE,
	told_at TIMESTAMP WITH TIME ZONE,
	PRIMARY KEY (id)
);
CREATE INDEX rees46_alert_messages_shop ON rees46_alert_messages (shop, told_at);
CREATE TABLE rees46_alerts (
	id BIGSERIAL NOT NULL,
	shop VARCHAR(100) NOT NULL,
	alert VARCHAR(40) NOT NULL,
	firing BOOLEAN NOT NULL,
	since TIMESTAMP WITH TIME ZONE NOT NULL,
	about TIMESTAMP WITH TIME ZONE NOT NULL,
	first_seen TIMESTAMP WITH TIME ZONE NOT NULL,
	summary TEXT NOT NULL,
	PRIMARY KEY (id),
	UNIQUE (shop, alert)
);
CREATE TABLE rees46_approvals (
	id BIGSERIAL NOT NULL,
	shop VARCHAR(100) NOT NULL,
	dag_id VARCHAR(250) NOT NULL,
	run_id VARCHAR(250) NOT NULL,
	extraction_id VARCHAR(40) NOT NULL,
	outcome VARCHAR(20) NOT NULL,
	question TEXT NOT NULL,
	decided_by VARCHAR(250),
	recorded_at TIMESTAMP WITH TIME ZONE NOT NULL,
	PRIMARY KEY (id)
);
CREATE INDEX rees46_approvals_run ON rees46_approvals (dag_id, run_id, id);
CREATE TABLE rees46_deliveries (
	id BIGSERIAL NOT NULL,
	shop VARCHAR(100) NOT NULL,
	extraction_id VARCHAR(40) NOT NULL,
	dag_id VARCHAR(250) NOT NULL,
	run_id VARCHAR(250) NOT NULL,
	partition INTEGER NOT NULL,
	orders INTEGER NOT NULL,
	requests INTEGER NOT NULL,
	outcome VARCHAR(20) NOT NULL,
	answered_at TIMESTAMP WITH TIME ZONE NOT NULL,
	PRIMARY KEY (id)
);
CREATE INDEX rees46_deliveries_shop ON rees46_deliveries (shop, id);
CREATE INDEX rees46_deliveries_extraction ON rees46_deliveries (extraction_id);
CREATE TABLE rees46_open_requests (
	id BIGSERIAL NOT NULL,
	shop VARCHAR(100) NOT NULL,
	orders TEXT NOT NULL,
	PRIMARY KEY (id)
);
CREATE INDEX rees46_open_requests_shop ON rees46_open_requests (shop);
CREATE TABLE rees46_rejected_orders (
	id BIGSERIAL NOT NULL,
	shop VARCHAR(100) NOT NULL,
	run_id VARCHAR(250) NOT NULL,
	order_id TEXT,
	status TEXT,
	updated_at TEXT,
	reason VARCHAR(250) NOT NULL,
	rejected_at TIMESTAMP WITH TIME ZONE NOT NULL,
	fingerprint VARCHAR(64) NOT NULL,
	PRIMARY KEY (id),
	UNIQUE (fingerprint)
);
CREATE INDEX rees46_rejected_orders_shop ON rees46_rejected_orders (shop, id);
CREATE TABLE rees46_sync_runs (
	id BIGSERIAL NOT NULL,
	shop VARCHAR(100) NOT NULL,
	dag_id VARCHAR(250) NOT NULL,
	run_id VARCHAR(250) NOT NULL,
	window_start TIMESTAMP WITH TIME ZONE,
	window_end TIMESTAMP WITH TIME ZONE,
	window_widened BOOLEAN NOT NULL,
	read BIGINT NOT NULL,
	sent BIGINT NOT NULL,
	unchanged BIGINT NOT NULL,
	superseded BIGINT NOT NULL,
	stale BIGINT NOT NULL,
	reopened BIGINT NOT NULL,
	rejected BIGINT NOT NULL,
	failed BIGINT NOT NULL,
	requests BIGINT NOT NULL,
	outcome VARCHAR(20) NOT NULL,
	started_at TIMESTAMP WITH TIME ZONE NOT NULL,
	finished_at TIMESTAMP WITH TIME ZONE NOT NULL,
	PRIMARY KEY (id),
	UNIQUE (dag_id, run_id)
);
CREATE INDEX rees46_sync_runs_shop ON rees46_sync_runs (shop, outcome, window_end);
CREATE TABLE rees46_unanswered_orders (
	id BIGSERIAL NOT NULL,
	shop VARCHAR(100) NOT NULL,
	order_id VARCHAR(255) NOT NULL,
	source_updated_at TIMESTAMP WITH TIME ZONE NOT NULL,
	after_id BIGINT NOT NULL,
	PRIMARY KEY (id)
);
CREATE INDEX rees46_unanswered_orders_order ON rees46_unanswered_orders (shop, order_id, after_id);
INSERT INTO rees46_accepted_statuses VALUES (1, 'test', '1', 0, '2026-03-01T21:00:00+09:00', 'dag', 'run-1', 'reading-1', '2026-01-15T02:30:57.296681+09:00');
INSERT INTO rees46_accepted_statuses VALUES (2, 'test', '2', 1, '2026-03-01T21:00:00+09:00', 'dag', 'run-1', 'reading-1', '2026-01-15T02:30:57.296681+09:00');
INSERT INTO rees46_accepted_statuses VALUES (3, 'test',  E'заказ-🎁 ''"\\', 2, '2026-03-01T21:00:00+09:00', 'dag', 'run-1', 'reading-1', '2026-01-15T02:30:57.296681+09:00');
INSERT INTO rees46_accepted_statuses VALUES (4, 'test', '1', 1, '2026-03-01T22:00:00+09:00', 'dag', 'run-2', 'reading-2', '2026-01-15T02:30:57.348739+09:00');
SELECT setval('rees46_accepted_statuses_id_seq', 4, true);
INSERT INTO rees46_alert_messages VALUES (1, 'test', 'run_failed', 'email e6398a378ae646af', '{"subject": "fired 12:00"}', '2026-03-01T21:00:00+09:00', '2026-03-01T21:00:00+09:00', '2026-03-01T21:00:00+09:00');
SELECT setval('rees46_alert_messages_id_seq', 1, true);
INSERT INTO rees46_alerts VALUES (1, 'test', 'run_failed', true, '2026-03-01T21:00:00+09:00', '2026-03-01T21:00:00+09:00', '2026-03-01T21:00:00+09:00', 'it failed.');
SELECT setval('rees46_alerts_id_seq', 1, true);
INSERT INTO rees46_approvals VALUES (1, 'test', 'dag', 'run-1', 'reading-1', 'asked', '2 orders would change', NULL, '2026-01-15T02:30:57.439254+09:00');
INSERT INTO rees46_approvals VALUES (2, 'test', 'dag', 'run-1', 'reading-1', 'approved', '2 orders would change', 'jane', '2026-01-15T02:30:57.448234+09:00');
SELECT setval('rees46_approvals_id_seq', 2, true);
INSERT INTO rees46_deliveries VALUES (1, 'test', 'reading-1', 'dag', 'run-1', 0, 3, 1, 'accepted', '2026-01-15T02:30:57.309606+09:00');
INSERT INTO rees46_deliveries VALUES (2, 'test', 'reading-2', 'dag', 'run-2', 0, 1, 1, 'accepted', '2026-01-15T02:30:57.357605+09:00');
SELECT setval('rees46_deliveries_id_seq', 2, true);
INSERT INTO rees46_open_requests VALUES (4, 'test', '[["4", 1, "2026-03-01 12:00:00.000000"]]');
SELECT setval('rees46_open_requests_id_seq', 4, true);
INSERT INTO rees46_rejected_orders VALUES (1, 'test', 'run-1', '1', 'sent back', '2026-03-01 12:00:00', 'status_unmapped', '2026-01-15T02:30:57.425329+09:00', '2fdfbeb2b07f0410ecb452aeb6a14926a5421cf0671ba12548a6356dbcc68a2f');
INSERT INTO rees46_rejected_orders VALUES (2, 'test', 'run-1', NULL, 'new', '2026-03-01 12:00:00', 'order_id_missing', '2026-01-15T02:30:57.425329+09:00', 'e418089203be5db85661fa1bfeae2afbe2425625dc05c1390b9d81eab7670f33');
INSERT INTO rees46_rejected_orders VALUES (3, 'test', 'run-1', '', NULL, NULL, 'order_id_blank, status_missing, updated_at_missing', '2026-01-15T02:30:57.425329+09:00', '1f1982b45d961a32381e7b4ec8c2303236ab5d4d3c5495eef135cfe562a07327');
INSERT INTO rees46_rejected_orders VALUES (4, 'test', 'run-1', 'заказ-🎁 ''"', 'new', 'yesterday', 'updated_at_unreadable', '2026-01-15T02:30:57.425329+09:00', '8af6e276890b748691538564a0d2e75ee5990b87fbeace3e63ae1fd62f38d10e');
SELECT setval('rees46_rejected_orders_id_seq', 4, true);
INSERT INTO rees46_sync_runs VALUES (1, 'test', 'dag', 'run-1', '2026-03-01T21:00:00+09:00', '2026-03-01T22:00:00+09:00', true, 3, 3, 0, 0, 0, 0, 0, 0, 1, 'success', '2026-03-06T00:00:00+09:00', '2026-03-01T21:06:00+09:00');
INSERT INTO rees46_sync_runs VALUES (2, 'test', 'dag', 'run-2', '2026-03-01T21:00:00+09:00', '2026-03-01T23:00:00+09:00', true, 2, 1, 0, 0, 0, 0, 0, 1, 2, 'failed', '2026-03-06T00:00:00+09:00', '2026-03-01T21:06:00+09:00');
SELECT setval('rees46_sync_runs_id_seq', 2, true);
INSERT INTO rees46_unanswered_orders VALUES (1, 'test', '2', '2026-03-01T21:00:00+09:00', 4);
INSERT INTO rees46_unanswered_orders VALUES (2, 'test', '3', '2026-03-01T21:00:00+09:00', 4);
SELECT setval('rees46_unanswered_orders_id_seq', 2, true);
