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
	PRIMARY KEY (id)
);
INSERT INTO "rees46_accepted_statuses" VALUES(1,'test','changed',0,'2026-03-01 06:30:00.000000','order_status_sync_test','manual__2026-03-01T07:05:12.056414+00:00','20260301T070533-d706c695','2026-03-01 07:05:40.725529');
INSERT INTO "rees46_accepted_statuses" VALUES(2,'test','same',0,'2026-03-01 06:30:00.000000','order_status_sync_test','manual__2026-03-01T07:05:12.056414+00:00','20260301T070533-d706c695','2026-03-01 07:05:40.725529');
CREATE TABLE rees46_alert_messages (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	shop VARCHAR(100) NOT NULL, 
	alert VARCHAR(40) NOT NULL, 
	channel VARCHAR(40) NOT NULL, 
	message TEXT NOT NULL, 
	changed_at DATETIME NOT NULL, 
	claimed_at DATETIME, 
	told_at DATETIME
);
CREATE TABLE rees46_alerts (
	id INTEGER NOT NULL, 
	shop VARCHAR(100) NOT NULL, 
	alert VARCHAR(40) NOT NULL, 
	firing BOOLEAN NOT NULL, 
	since DATETIME NOT NULL, 
	about DATETIME NOT NULL, 
	first_seen DATETIME NOT NULL, 
	summary TEXT NOT NULL, 
	PRIMARY KEY (id), 
	UNIQUE (shop, alert)
);
INSERT INTO "rees46_alerts" VALUES(1,'test','limit_reached',0,'2026-03-01 07:05:41.336916','2026-03-01 07:00:00.000000','2026-03-01 07:05:41.336916','a run is within the limits again, or was let through.');
INSERT INTO "rees46_alerts" VALUES(2,'test','run_failed',0,'2026-03-01 07:05:41.349588','2026-03-01 07:00:00.000000','2026-03-01 07:05:41.349588','an hourly run succeeded, and sent 2 changes.');
INSERT INTO "rees46_alerts" VALUES(3,'test','rejected_share',0,'2026-03-01 07:05:41.365348','2026-03-01 07:00:00.000000','2026-03-01 07:05:41.365348','0 of 2 rows are rejected, a share of 0.0000 (within 0.01).');
CREATE TABLE rees46_approvals (
	id INTEGER NOT NULL, 
	shop VARCHAR(100) NOT NULL, 
	dag_id VARCHAR(250) NOT NULL, 
	run_id VARCHAR(250) NOT NULL, 
	extraction_id VARCHAR(40) NOT NULL, 
	outcome VARCHAR(20) NOT NULL, 
	question TEXT NOT NULL, 
	decided_by VARCHAR(250), 
	recorded_at DATETIME NOT NULL, 
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
INSERT INTO "rees46_deliveries" VALUES(1,'test','20260301T070533-d706c695','order_status_sync_test','manual__2026-03-01T07:05:12.056414+00:00',0,2,1,'accepted','2026-03-01 07:05:40.725529');
CREATE TABLE rees46_open_readings (
	id INTEGER NOT NULL, 
	shop VARCHAR(100) NOT NULL, 
	extraction_id VARCHAR(40) NOT NULL, 
	began_at DATETIME NOT NULL, 
	window_start DATETIME NOT NULL, 
	after_id INTEGER NOT NULL, 
	PRIMARY KEY (id), 
	UNIQUE (extraction_id)
);
INSERT INTO "rees46_open_readings" VALUES(1,'test','20260301T080500-719da8c2','2026-03-01 08:05:00.664166','2026-02-28 07:00:00.000000',0);
CREATE TABLE rees46_open_requests (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	shop VARCHAR(100) NOT NULL, 
	orders TEXT NOT NULL
);
CREATE TABLE rees46_overtaken_orders (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	shop VARCHAR(100) NOT NULL, 
	order_id VARCHAR(255) NOT NULL, 
	source_updated_at DATETIME NOT NULL, 
	extraction_id VARCHAR(40) NOT NULL
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
INSERT INTO "rees46_rejected_orders" VALUES(1,'test','manual__2026-03-01T08:05:00.164391+00:00','unmapped','sent back','2026-03-01 07:30:00','status_unmapped','2026-03-01 08:05:01.487625','be2b45c03b8bb87d3eeee92cc4a59b66a5a0b75de9cdf6ea83e024f097080af2');
CREATE TABLE rees46_retention (
	shop VARCHAR(100) NOT NULL, 
	looked_at_id INTEGER NOT NULL, 
	PRIMARY KEY (shop)
);
CREATE TABLE rees46_schema_versions (
	version INTEGER NOT NULL, 
	since DATETIME NOT NULL, 
	PRIMARY KEY (version)
);
INSERT INTO "rees46_schema_versions" VALUES(2,'2026-03-01 07:05:33.165780');
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
	failed BIGINT NOT NULL, 
	requests BIGINT NOT NULL, 
	outcome VARCHAR(20) NOT NULL, 
	started_at DATETIME NOT NULL, 
	finished_at DATETIME NOT NULL, 
	PRIMARY KEY (id), 
	UNIQUE (dag_id, run_id)
);
INSERT INTO "rees46_sync_runs" VALUES(1,'test','order_status_sync_test','manual__2026-03-01T07:05:12.056414+00:00','2026-02-28 06:00:00.000000','2026-03-01 07:00:00.000000',1,2,2,0,0,0,0,0,0,1,'success','2026-03-01 07:05:33.245424','2026-03-01 07:05:41.150338');
CREATE TABLE rees46_unanswered_orders (
	id INTEGER NOT NULL, 
	shop VARCHAR(100) NOT NULL, 
	order_id VARCHAR(255) NOT NULL, 
	source_updated_at DATETIME NOT NULL, 
	after_id INTEGER NOT NULL, 
	PRIMARY KEY (id)
);
CREATE INDEX rees46_accepted_statuses_order ON rees46_accepted_statuses (shop, order_id, id);
CREATE INDEX rees46_alert_messages_shop ON rees46_alert_messages (shop, told_at);
CREATE INDEX rees46_approvals_run ON rees46_approvals (dag_id, run_id, id);
CREATE INDEX rees46_deliveries_extraction ON rees46_deliveries (extraction_id);
CREATE INDEX rees46_deliveries_shop ON rees46_deliveries (shop, id);
CREATE INDEX rees46_open_readings_shop ON rees46_open_readings (shop);
CREATE INDEX rees46_open_requests_shop ON rees46_open_requests (shop);
CREATE INDEX rees46_overtaken_orders_order ON rees46_overtaken_orders (shop, order_id);
CREATE INDEX rees46_overtaken_orders_shop ON rees46_overtaken_orders (shop, id);
CREATE INDEX rees46_rejected_orders_shop ON rees46_rejected_orders (shop, id);
CREATE INDEX rees46_sync_runs_shop ON rees46_sync_runs (shop, outcome, window_end);
CREATE INDEX rees46_unanswered_orders_order ON rees46_unanswered_orders (shop, order_id, after_id);
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('rees46_open_requests',1);
INSERT INTO "sqlite_sequence" VALUES('rees46_deliveries',1);
COMMIT;
