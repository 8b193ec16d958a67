BEGIN TRANSACTION;
CREATE TABLE rees46_accepted_statuses (
	id INTEGER NOT NULL, 
	shop VARCHAR(100) NOT NULL, 
	order_id VARCHAR(255) NOT NULL, 
	status SMALLINT NOT NULL, 
	source_updated_at DATETIME NOT NULL, 
	dag_id VARCHAR(250) NOT NULL, 
	run_id VARCHAR(250) NOT NULL, 
	extraction_id VARCHAR(40) NOT NULL, 
	accepted_at DATETIME NOT NULL, 
	sent_at DATETIME, 
	PRIMARY KEY (id)
);
INSERT INTO "rees46_accepted_statuses" VALUES(1,'test','changed',0,'2026-03-01 06:30:00.000000','order_status_sync_test','manual__2026-03-01T07:05:06.598053+00:00','20260301T070517-883ad386','2026-03-01 07:05:22.783370','2026-03-01 07:05:22.773760');
INSERT INTO "rees46_accepted_statuses" VALUES(2,'test','same',0,'2026-03-01 06:30:00.000000','order_status_sync_test','manual__2026-03-01T07:05:06.598053+00:00','20260301T070517-883ad386','2026-03-01 07:05:22.783370','2026-03-01 07:05:22.773760');
CREATE TABLE rees46_alert_messages (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	shop VARCHAR(100) NOT NULL, 
	alert VARCHAR(40) NOT NULL, 
	channel VARCHAR(40) NOT NULL, 
	message TEXT NOT NULL, 
	changed_at DATETIME NOT NULL, 
	claimed_at DATETIME, 
	sent_at DATETIME
);
CREATE TABLE rees46_alerts (
	id INTEGER NOT NULL, 
	shop VARCHAR(100) NOT NULL, 
	alert VARCHAR(40) NOT NULL, 
	firing BOOLEAN NOT NULL, 
	since DATETIME NOT NULL, 
	as_of DATETIME NOT NULL, 
	first_seen DATETIME NOT NULL, 
	summary TEXT NOT NULL, 
	PRIMARY KEY (id), 
	UNIQUE (shop, alert)
);
INSERT INTO "rees46_alerts" VALUES(1,'test','limit_reached',0,'2026-03-01 07:05:23.486879','2026-03-01 07:00:00.000000','2026-03-01 07:05:23.486879','a run is within the limits again, or was approved.');
INSERT INTO "rees46_alerts" VALUES(2,'test','run_failed',0,'2026-03-01 07:05:23.502709','2026-03-01 07:00:00.000000','2026-03-01 07:05:23.502709','an hourly run succeeded, and sent 2 changes.');
INSERT INTO "rees46_alerts" VALUES(3,'test','rejected_share',0,'2026-03-01 07:05:23.520376','2026-03-01 07:00:00.000000','2026-03-01 07:05:23.520376','0 of 2 rows are rejected, a share of 0.0000 of at least 100 rows (within 0.01).');
INSERT INTO "rees46_alerts" VALUES(4,'test','reopened',0,'2026-03-01 07:05:23.532244','2026-03-01 07:00:00.000000','2026-03-01 07:05:23.532244','0 of 2 rows are held back as reopened, a share of 0.0000 of at least 100 rows (within 0.05). Those that it did not read again stay as they were: see the quarantine.');
INSERT INTO "rees46_alerts" VALUES(5,'test','late_data',0,'2026-03-01 07:05:23.540267','2026-03-01 07:00:00.000000','2026-03-01 07:05:23.540267','the newest row was 30 min old when the run read it (2026-03-01 06:30:00 UTC); what is usual is not known yet, more than 1 d is late.');
CREATE TABLE rees46_approvals (
	id INTEGER NOT NULL, 
	shop VARCHAR(100) NOT NULL, 
	dag_id VARCHAR(250) NOT NULL, 
	run_id VARCHAR(250) NOT NULL, 
	extraction_id VARCHAR(40) NOT NULL, 
	outcome VARCHAR(20) NOT NULL, 
	exceeded_text TEXT NOT NULL, 
	decided_by VARCHAR(250), 
	recorded_at DATETIME NOT NULL, 
	PRIMARY KEY (id)
);
CREATE TABLE rees46_confirmations (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	shop VARCHAR(100) NOT NULL, 
	order_id VARCHAR(255) NOT NULL, 
	source_updated_at DATETIME NOT NULL, 
	extraction_id VARCHAR(40) NOT NULL
);
CREATE TABLE rees46_covered_windows (
	id INTEGER NOT NULL, 
	shop VARCHAR(100) NOT NULL, 
	window_start DATETIME NOT NULL, 
	read_until DATETIME NOT NULL, 
	PRIMARY KEY (id)
);
CREATE TABLE rees46_deliveries (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	shop VARCHAR(100) NOT NULL, 
	extraction_id VARCHAR(40) NOT NULL, 
	dag_id VARCHAR(250) NOT NULL, 
	run_id VARCHAR(250) NOT NULL, 
	partition INTEGER NOT NULL, 
	orders INTEGER NOT NULL, 
	requests INTEGER NOT NULL, 
	outcome VARCHAR(20) NOT NULL, 
	answered_at DATETIME NOT NULL
);
INSERT INTO "rees46_deliveries" VALUES(1,'test','20260301T070517-883ad386','order_status_sync_test','manual__2026-03-01T07:05:06.598053+00:00',0,2,1,'accepted','2026-03-01 07:05:22.783370');
CREATE TABLE rees46_extractions (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	shop VARCHAR(100) NOT NULL, 
	extraction_id VARCHAR(40) NOT NULL, 
	started_at DATETIME NOT NULL, 
	window_start DATETIME NOT NULL, 
	window_end DATETIME, 
	read_mark INTEGER, 
	is_open BOOLEAN NOT NULL, 
	latest_confirmation_id INTEGER NOT NULL, 
	UNIQUE (extraction_id)
);
INSERT INTO "rees46_extractions" VALUES(1,'test','20260301T070517-883ad386','2026-03-01 07:05:17.858099','2026-02-28 06:00:00.000000','2026-03-01 07:00:00.000000',1,0,0);
INSERT INTO "rees46_extractions" VALUES(2,'test','20260301T080500-fb11f5e6','2026-03-01 08:05:00.795926','2026-02-28 06:30:00.000000','2026-03-01 08:00:00.000000',2,1,0);
CREATE TABLE rees46_in_flight_requests (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	shop VARCHAR(100) NOT NULL, 
	extraction_id VARCHAR(40) NOT NULL, 
	lease INTEGER NOT NULL, 
	orders TEXT NOT NULL
);
CREATE TABLE rees46_leases (
	shop VARCHAR(100) NOT NULL, 
	lease INTEGER NOT NULL, 
	PRIMARY KEY (shop)
);
INSERT INTO "rees46_leases" VALUES('test',1);
CREATE TABLE rees46_refused_orders (
	id INTEGER NOT NULL, 
	shop VARCHAR(100) NOT NULL, 
	order_id VARCHAR(255) NOT NULL, 
	status SMALLINT NOT NULL, 
	batch_size INTEGER NOT NULL, 
	reason VARCHAR(250) NOT NULL, 
	refused_at DATETIME NOT NULL, 
	PRIMARY KEY (id)
);
CREATE TABLE rees46_rejected_orders (
	id INTEGER NOT NULL, 
	shop VARCHAR(100) NOT NULL, 
	run_id VARCHAR(250) NOT NULL, 
	order_id TEXT, 
	status TEXT, 
	updated_at TEXT, 
	reason VARCHAR(250) NOT NULL, 
	rejected_at DATETIME NOT NULL, 
	fingerprint VARCHAR(64) NOT NULL, 
	PRIMARY KEY (id), 
	UNIQUE (fingerprint)
);
INSERT INTO "rees46_rejected_orders" VALUES(1,'test','manual__2026-03-01T08:05:00.126396+00:00','unmapped','sent back','2026-03-01 07:30:00','status_unmapped','2026-03-01 08:05:02.758877','be2b45c03b8bb87d3eeee92cc4a59b66a5a0b75de9cdf6ea83e024f097080af2');
CREATE TABLE rees46_retention (
	shop VARCHAR(100) NOT NULL, 
	checked_up_to_id INTEGER NOT NULL, 
	PRIMARY KEY (shop)
);
CREATE TABLE rees46_schema_versions (
	version INTEGER NOT NULL, 
	since DATETIME NOT NULL, 
	PRIMARY KEY (version)
);
INSERT INTO "rees46_schema_versions" VALUES(5,'2026-03-01 07:05:17.921312');
CREATE TABLE rees46_sync_runs (
	id INTEGER NOT NULL, 
	shop VARCHAR(100) NOT NULL, 
	dag_id VARCHAR(250) NOT NULL, 
	run_id VARCHAR(250) NOT NULL, 
	window_start DATETIME, 
	window_end DATETIME, 
	window_widened BOOLEAN NOT NULL, 
	read BIGINT NOT NULL, 
	sent BIGINT NOT NULL, 
	unchanged BIGINT NOT NULL, 
	superseded BIGINT NOT NULL, 
	stale BIGINT NOT NULL, 
	reopened BIGINT NOT NULL, 
	rejected BIGINT NOT NULL, 
	held BIGINT NOT NULL, 
	failed BIGINT NOT NULL, 
	requests BIGINT NOT NULL, 
	resent BIGINT, 
	outcome VARCHAR(20) NOT NULL, 
	cause TEXT, 
	newest_updated_at DATETIME, 
	data_until DATETIME, 
	data_late BOOLEAN, 
	whole_days BOOLEAN, 
	mapping_hash VARCHAR(64), 
	mapping TEXT, 
	started_at DATETIME NOT NULL, 
	finished_at DATETIME NOT NULL, 
	PRIMARY KEY (id), 
	UNIQUE (dag_id, run_id)
);
INSERT INTO "rees46_sync_runs" VALUES(1,'test','order_status_sync_test','manual__2026-03-01T07:05:06.598053+00:00','2026-02-28 06:00:00.000000','2026-03-01 07:00:00.000000',1,2,2,0,0,0,0,0,0,0,1,NULL,'success',NULL,'2026-03-01 06:30:00.000000','2026-03-01 06:30:00.000000',0,0,'02b1a741ce2278aa1c6a45e02ba55c7b5dca5fa39c1bd5291a3574f2458d7e89','{"cancelled": 2, "delivered": 1, "fraud": 2, "new": 0, "paid": 0}','2026-03-01 07:05:17.858099','2026-03-01 07:05:23.378917');
CREATE TABLE rees46_uncertain_orders (
	id INTEGER NOT NULL, 
	shop VARCHAR(100) NOT NULL, 
	order_id VARCHAR(255) NOT NULL, 
	status SMALLINT, 
	source_updated_at DATETIME NOT NULL, 
	extraction_id VARCHAR(40) NOT NULL, 
	sent_at DATETIME NOT NULL, 
	PRIMARY KEY (id)
);
CREATE INDEX rees46_accepted_statuses_order ON rees46_accepted_statuses (shop, order_id, id);
CREATE INDEX rees46_alert_messages_shop ON rees46_alert_messages (shop, sent_at);
CREATE INDEX rees46_approvals_run ON rees46_approvals (dag_id, run_id, id);
CREATE INDEX rees46_confirmations_order ON rees46_confirmations (shop, order_id);
CREATE INDEX rees46_covered_windows_shop ON rees46_covered_windows (shop, window_start);
CREATE INDEX rees46_deliveries_shop ON rees46_deliveries (shop, id);
CREATE INDEX rees46_deliveries_extraction ON rees46_deliveries (extraction_id);
CREATE INDEX rees46_extractions_shop ON rees46_extractions (shop, id);
CREATE INDEX rees46_in_flight_requests_shop ON rees46_in_flight_requests (shop);
CREATE INDEX rees46_refused_orders_order ON rees46_refused_orders (shop, order_id);
CREATE INDEX rees46_rejected_orders_shop ON rees46_rejected_orders (shop, id);
CREATE INDEX rees46_sync_runs_shop ON rees46_sync_runs (shop, outcome, window_end);
CREATE INDEX rees46_uncertain_orders_shop ON rees46_uncertain_orders (shop, id);
CREATE INDEX rees46_uncertain_orders_order ON rees46_uncertain_orders (shop, order_id);
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('rees46_extractions',2);
INSERT INTO "sqlite_sequence" VALUES('rees46_in_flight_requests',1);
INSERT INTO "sqlite_sequence" VALUES('rees46_deliveries',1);
COMMIT;
