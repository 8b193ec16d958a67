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
INSERT INTO "rees46_accepted_statuses" VALUES(2,'other','1',1,'2026-03-01 12:00:00.000000','dag','run-1','reading-other','2024-10-17 12:00:00.178620','2024-10-17 12:00:00.178537');
INSERT INTO "rees46_accepted_statuses" VALUES(3,'test','1',0,'2026-03-01 12:00:00.000000','dag','run-1','reading-1','2026-01-15 22:49:22.112550','2026-01-15 22:49:22.112472');
INSERT INTO "rees46_accepted_statuses" VALUES(4,'test','2',1,'2026-03-01 12:00:00.000000','dag','run-1','reading-1','2026-01-15 22:49:22.112550','2026-01-15 22:49:22.112472');
INSERT INTO "rees46_accepted_statuses" VALUES(5,'test','заказ-🎁 ''"\',2,'2026-03-01 12:00:00.000000','dag','run-1','reading-1','2026-01-15 22:49:22.112550','2026-01-15 22:49:22.112472');
INSERT INTO "rees46_accepted_statuses" VALUES(6,'test','1',1,'2026-03-01 13:00:00.000000','dag','run-2','reading-2','2026-01-15 22:49:22.127063','2026-01-15 22:49:22.126982');
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
INSERT INTO "rees46_alert_messages" VALUES(1,'test','run_failed','email e6398a378ae646af','{"subject": "fired 12:00"}','2026-03-01 12:00:00.000000','2026-03-01 12:00:00.000000','2026-03-01 12:00:00.000000');
INSERT INTO "rees46_alert_messages" VALUES(2,'test','run_failed','email e6398a378ae646af','{"subject": "recovered 13:00"}','2026-03-01 13:00:00.000000',NULL,NULL);
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
INSERT INTO "rees46_alerts" VALUES(1,'test','run_failed',0,'2026-03-01 13:00:00.000000','2026-03-01 13:00:00.000000','2026-03-01 12:00:00.000000','it succeeded.');
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
INSERT INTO "rees46_approvals" VALUES(1,'test','dag','run-1','reading-1','asked','2 orders would change',NULL,'2026-01-15 22:49:22.227530');
INSERT INTO "rees46_approvals" VALUES(2,'test','dag','run-1','reading-1','approved','2 orders would change','jane','2026-01-15 22:49:22.239114');
CREATE TABLE rees46_confirmations (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	shop VARCHAR(100) NOT NULL, 
	order_id VARCHAR(255) NOT NULL, 
	source_updated_at DATETIME NOT NULL, 
	extraction_id VARCHAR(40) NOT NULL
);
INSERT INTO "rees46_confirmations" VALUES(1,'test','заказ-🎁 ''"\','2026-03-01 14:00:00.000000','reading-2');
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
INSERT INTO "rees46_deliveries" VALUES(2,'other','reading-other','dag','run-1',0,1,1,'accepted','2024-10-17 12:00:00.178620');
INSERT INTO "rees46_deliveries" VALUES(3,'test','reading-1','dag','run-1',0,3,1,'accepted','2026-01-15 22:49:22.112550');
INSERT INTO "rees46_deliveries" VALUES(4,'test','reading-2','dag','run-2',0,1,1,'accepted','2026-01-15 22:49:22.127063');
INSERT INTO "rees46_deliveries" VALUES(5,'test','reading-2','dag','run-2',1,1,1,'rejected','2026-01-15 22:49:22.141109');
INSERT INTO "rees46_deliveries" VALUES(6,'test','reading-2','dag','run-2',1,1,4,'unknown','2026-01-15 22:49:22.159241');
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
INSERT INTO "rees46_extractions" VALUES(1,'test','reading-1','2026-03-01 12:00:00.000000','2026-02-28 12:00:00.000000','2026-03-01 12:00:00.000000',1,1,0);
INSERT INTO "rees46_extractions" VALUES(2,'test','reading-2','2026-03-01 13:00:00.000000','2026-02-28 12:00:00.000000','2026-03-01 13:00:00.000000',2,1,1);
CREATE TABLE rees46_in_flight_requests (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	shop VARCHAR(100) NOT NULL, 
	extraction_id VARCHAR(40) NOT NULL, 
	lease INTEGER NOT NULL, 
	orders TEXT NOT NULL
);
INSERT INTO "rees46_in_flight_requests" VALUES(7,'test','reading-2',1,'[["4",1,"2026-03-01 12:00:00.000000"]]');
CREATE TABLE rees46_leases (
	shop VARCHAR(100) NOT NULL, 
	lease INTEGER NOT NULL, 
	PRIMARY KEY (shop)
);
INSERT INTO "rees46_leases" VALUES('other',1);
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
INSERT INTO "rees46_refused_orders" VALUES(1,'test','5',1,1,'Order not found','2026-01-15 22:49:22.171758');
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
INSERT INTO "rees46_rejected_orders" VALUES(1,'test','run-1','1','sent back','2026-03-01 12:00:00','status_unmapped','2026-01-15 22:49:22.211328','2fdfbeb2b07f0410ecb452aeb6a14926a5421cf0671ba12548a6356dbcc68a2f');
INSERT INTO "rees46_rejected_orders" VALUES(2,'test','run-1',NULL,'new','2026-03-01 12:00:00','order_id_missing','2026-01-15 22:49:22.211328','e418089203be5db85661fa1bfeae2afbe2425625dc05c1390b9d81eab7670f33');
INSERT INTO "rees46_rejected_orders" VALUES(3,'test','run-1','',NULL,NULL,'order_id_blank, status_missing, updated_at_missing','2026-01-15 22:49:22.211328','1f1982b45d961a32381e7b4ec8c2303236ab5d4d3c5495eef135cfe562a07327');
INSERT INTO "rees46_rejected_orders" VALUES(4,'test','run-1','заказ-🎁 ''"','new','yesterday','updated_at_unreadable','2026-01-15 22:49:22.211328','8af6e276890b748691538564a0d2e75ee5990b87fbeace3e63ae1fd62f38d10e');
CREATE TABLE rees46_retention (
	shop VARCHAR(100) NOT NULL, 
	checked_up_to_id INTEGER NOT NULL, 
	PRIMARY KEY (shop)
);
INSERT INTO "rees46_retention" VALUES('other',2);
CREATE TABLE rees46_schema_versions (
	version INTEGER NOT NULL, 
	since DATETIME NOT NULL, 
	PRIMARY KEY (version)
);
INSERT INTO "rees46_schema_versions" VALUES(4,'2024-10-17 12:00:00.113828');
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
	started_at DATETIME NOT NULL, 
	finished_at DATETIME NOT NULL, 
	PRIMARY KEY (id), 
	UNIQUE (dag_id, run_id)
);
INSERT INTO "rees46_sync_runs" VALUES(2,'other','dag-other','run-2','2024-10-17 13:00:00.000000','2024-10-17 14:00:00.000000',1,0,0,0,0,0,0,0,0,0,0,NULL,'success',NULL,'2024-10-17 14:05:00.000000','2024-10-17 14:06:00.000000');
INSERT INTO "rees46_sync_runs" VALUES(3,'test','dag','run-1','2026-03-01 11:00:00.000000','2026-03-01 12:00:00.000000',1,3,3,0,0,0,0,0,0,0,1,NULL,'success',NULL,'2026-03-01 12:05:00.000000','2026-03-01 12:06:00.000000');
INSERT INTO "rees46_sync_runs" VALUES(4,'test','dag','run-2','2026-03-01 11:00:00.000000','2026-03-01 13:00:00.000000',1,4,1,0,0,0,0,0,0,3,6,NULL,'failed','load_batches could not send 3 orders','2026-03-01 12:05:00.000000','2026-03-01 12:06:00.000000');
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
INSERT INTO "rees46_uncertain_orders" VALUES(1,'test','2',2,'2026-03-01 12:00:00.000000','reading-2','2026-01-15 22:49:22.141109');
INSERT INTO "rees46_uncertain_orders" VALUES(2,'test','3',1,'2026-03-01 12:00:00.000000','reading-2','2026-01-15 22:49:22.159241');
CREATE INDEX rees46_accepted_statuses_order ON rees46_accepted_statuses (shop, order_id, id);
CREATE INDEX rees46_alert_messages_shop ON rees46_alert_messages (shop, sent_at);
CREATE INDEX rees46_approvals_run ON rees46_approvals (dag_id, run_id, id);
CREATE INDEX rees46_confirmations_order ON rees46_confirmations (shop, order_id);
CREATE INDEX rees46_deliveries_shop ON rees46_deliveries (shop, id);
CREATE INDEX rees46_deliveries_extraction ON rees46_deliveries (extraction_id);
CREATE INDEX rees46_extractions_shop ON rees46_extractions (shop, id);
CREATE INDEX rees46_in_flight_requests_shop ON rees46_in_flight_requests (shop);
CREATE INDEX rees46_refused_orders_order ON rees46_refused_orders (shop, order_id);
CREATE INDEX rees46_rejected_orders_shop ON rees46_rejected_orders (shop, id);
CREATE INDEX rees46_sync_runs_shop ON rees46_sync_runs (shop, outcome, window_end);
CREATE INDEX rees46_uncertain_orders_order ON rees46_uncertain_orders (shop, order_id);
CREATE INDEX rees46_uncertain_orders_shop ON rees46_uncertain_orders (shop, id);
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('rees46_in_flight_requests',7);
INSERT INTO "sqlite_sequence" VALUES('rees46_deliveries',6);
INSERT INTO "sqlite_sequence" VALUES('rees46_extractions',2);
INSERT INTO "sqlite_sequence" VALUES('rees46_confirmations',1);
INSERT INTO "sqlite_sequence" VALUES('rees46_alert_messages',2);
COMMIT;
