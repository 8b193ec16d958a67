CREATE TABLE public.rees46_accepted_statuses (
    id bigint NOT NULL,
    shop character varying(100) NOT NULL,
    order_id character varying(255) NOT NULL,
    status smallint NOT NULL,
    source_updated_at timestamp with time zone NOT NULL,
    dag_id character varying(250) NOT NULL,
    run_id character varying(250) NOT NULL,
    extraction_id character varying(40) NOT NULL,
    accepted_at timestamp with time zone NOT NULL
);
COMMENT ON COLUMN public.rees46_accepted_statuses.status IS '0 created, 1 completed, 2 cancelled';
COMMENT ON COLUMN public.rees46_accepted_statuses.extraction_id IS 'which reading of the warehouse it came from';
CREATE SEQUENCE public.rees46_accepted_statuses_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.rees46_accepted_statuses_id_seq OWNED BY public.rees46_accepted_statuses.id;
CREATE TABLE public.rees46_alert_messages (
    id bigint NOT NULL,
    shop character varying(100) NOT NULL,
    alert character varying(40) NOT NULL,
    channel character varying(40) NOT NULL,
    message text NOT NULL,
    changed_at timestamp with time zone NOT NULL,
    claimed_at timestamp with time zone,
    sent_at timestamp with time zone
);
COMMENT ON COLUMN public.rees46_alert_messages.channel IS 'kind and fingerprint of a place of the shop file';
COMMENT ON COLUMN public.rees46_alert_messages.message IS 'JSON';
COMMENT ON COLUMN public.rees46_alert_messages.claimed_at IS 'somebody is sending it since then';
CREATE SEQUENCE public.rees46_alert_messages_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.rees46_alert_messages_id_seq OWNED BY public.rees46_alert_messages.id;
CREATE TABLE public.rees46_alerts (
    id bigint NOT NULL,
    shop character varying(100) NOT NULL,
    alert character varying(40) NOT NULL,
    firing boolean NOT NULL,
    since timestamp with time zone NOT NULL,
    as_of timestamp with time zone CONSTRAINT rees46_alerts_about_not_null NOT NULL,
    first_seen timestamp with time zone NOT NULL,
    summary text NOT NULL
);
COMMENT ON COLUMN public.rees46_alerts.since IS 'when that began';
COMMENT ON COLUMN public.rees46_alerts.as_of IS 'what it was judged by: a later finding wins';
COMMENT ON COLUMN public.rees46_alerts.summary IS 'what was found last, in a sentence';
CREATE SEQUENCE public.rees46_alerts_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.rees46_alerts_id_seq OWNED BY public.rees46_alerts.id;
CREATE TABLE public.rees46_approvals (
    id bigint NOT NULL,
    shop character varying(100) NOT NULL,
    dag_id character varying(250) NOT NULL,
    run_id character varying(250) NOT NULL,
    extraction_id character varying(40) NOT NULL,
    outcome character varying(20) NOT NULL,
    exceeded_text text CONSTRAINT rees46_approvals_question_not_null NOT NULL,
    decided_by character varying(250),
    recorded_at timestamp with time zone NOT NULL
);
COMMENT ON COLUMN public.rees46_approvals.extraction_id IS 'which reading of the warehouse it is about';
COMMENT ON COLUMN public.rees46_approvals.outcome IS 'asked, approved, rejected or expired';
COMMENT ON COLUMN public.rees46_approvals.exceeded_text IS 'the figures and the limits that they reach';
COMMENT ON COLUMN public.rees46_approvals.decided_by IS 'null: asked, or nobody';
CREATE SEQUENCE public.rees46_approvals_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.rees46_approvals_id_seq OWNED BY public.rees46_approvals.id;
CREATE TABLE public.rees46_confirmations (
    id bigint CONSTRAINT rees46_overtaken_orders_id_not_null NOT NULL,
    shop character varying(100) CONSTRAINT rees46_overtaken_orders_shop_not_null NOT NULL,
    order_id character varying(255) CONSTRAINT rees46_overtaken_orders_order_id_not_null NOT NULL,
    source_updated_at timestamp with time zone CONSTRAINT rees46_overtaken_orders_source_updated_at_not_null NOT NULL,
    extraction_id character varying(40) CONSTRAINT rees46_overtaken_orders_extraction_id_not_null NOT NULL
);
COMMENT ON COLUMN public.rees46_confirmations.source_updated_at IS 'of the version that was found unchanged';
COMMENT ON COLUMN public.rees46_confirmations.extraction_id IS 'the reading that found it';
CREATE TABLE public.rees46_deliveries (
    id bigint NOT NULL,
    shop character varying(100) NOT NULL,
    extraction_id character varying(40) NOT NULL,
    dag_id character varying(250) NOT NULL,
    run_id character varying(250) NOT NULL,
    partition integer NOT NULL,
    orders integer NOT NULL,
    requests integer NOT NULL,
    outcome character varying(20) NOT NULL,
    answered_at timestamp with time zone NOT NULL
);
COMMENT ON COLUMN public.rees46_deliveries.requests IS 'POSTs that were made for this batch';
COMMENT ON COLUMN public.rees46_deliveries.outcome IS 'accepted, rejected or unknown';
CREATE SEQUENCE public.rees46_deliveries_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.rees46_deliveries_id_seq OWNED BY public.rees46_deliveries.id;
CREATE TABLE public.rees46_in_flight_requests (
    id bigint CONSTRAINT rees46_open_requests_id_not_null NOT NULL,
    shop character varying(100) CONSTRAINT rees46_open_requests_shop_not_null NOT NULL,
    orders text CONSTRAINT rees46_open_requests_orders_not_null NOT NULL
);
ALTER TABLE ONLY public.rees46_in_flight_requests ALTER COLUMN orders SET STORAGE EXTERNAL;
COMMENT ON COLUMN public.rees46_in_flight_requests.orders IS 'JSON: of each order its id, status and source_updated_at';
CREATE TABLE public.rees46_open_extractions (
    id bigint CONSTRAINT rees46_open_readings_id_not_null NOT NULL,
    shop character varying(100) CONSTRAINT rees46_open_readings_shop_not_null NOT NULL,
    extraction_id character varying(40) CONSTRAINT rees46_open_readings_extraction_id_not_null NOT NULL,
    started_at timestamp with time zone CONSTRAINT rees46_open_readings_began_at_not_null NOT NULL,
    window_start timestamp with time zone CONSTRAINT rees46_open_readings_window_start_not_null NOT NULL,
    latest_confirmation_id bigint CONSTRAINT rees46_open_readings_after_id_not_null NOT NULL
);
COMMENT ON COLUMN public.rees46_open_extractions.latest_confirmation_id IS 'the latest row of rees46_overtaken_orders when it began';
CREATE SEQUENCE public.rees46_open_readings_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.rees46_open_readings_id_seq OWNED BY public.rees46_open_extractions.id;
CREATE SEQUENCE public.rees46_open_requests_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.rees46_open_requests_id_seq OWNED BY public.rees46_in_flight_requests.id;
CREATE SEQUENCE public.rees46_overtaken_orders_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.rees46_overtaken_orders_id_seq OWNED BY public.rees46_confirmations.id;
CREATE TABLE public.rees46_rejected_orders (
    id bigint NOT NULL,
    shop character varying(100) NOT NULL,
    run_id character varying(250) NOT NULL,
    order_id text,
    status text,
    updated_at text,
    reason character varying(250) NOT NULL,
    rejected_at timestamp with time zone NOT NULL,
    fingerprint character varying(64) NOT NULL
);
COMMENT ON COLUMN public.rees46_rejected_orders.run_id IS 'the run that met this row first';
COMMENT ON COLUMN public.rees46_rejected_orders.updated_at IS 'as the warehouse gave it';
COMMENT ON COLUMN public.rees46_rejected_orders.reason IS 'the codes of all checks it failed';
CREATE SEQUENCE public.rees46_rejected_orders_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.rees46_rejected_orders_id_seq OWNED BY public.rees46_rejected_orders.id;
CREATE TABLE public.rees46_retention (
    shop character varying(100) NOT NULL,
    checked_up_to_id bigint CONSTRAINT rees46_retention_looked_at_id_not_null NOT NULL
);
COMMENT ON COLUMN public.rees46_retention.checked_up_to_id IS 'the latest accepted row that was looked at';
CREATE TABLE public.rees46_schema_versions (
    version integer NOT NULL,
    since timestamp with time zone NOT NULL
);
CREATE TABLE public.rees46_sync_runs (
    id bigint NOT NULL,
    shop character varying(100) NOT NULL,
    dag_id character varying(250) NOT NULL,
    run_id character varying(250) NOT NULL,
    window_start timestamp with time zone,
    window_end timestamp with time zone,
    window_widened boolean NOT NULL,
    read bigint NOT NULL,
    sent bigint NOT NULL,
    unchanged bigint NOT NULL,
    superseded bigint NOT NULL,
    stale bigint NOT NULL,
    reopened bigint NOT NULL,
    rejected bigint NOT NULL,
    failed bigint NOT NULL,
    requests bigint NOT NULL,
    outcome character varying(20) NOT NULL,
    started_at timestamp with time zone NOT NULL,
    finished_at timestamp with time zone NOT NULL
);
COMMENT ON COLUMN public.rees46_sync_runs.window_start IS 'null: a run by hand named one that does not exist';
COMMENT ON COLUMN public.rees46_sync_runs.window_widened IS 'began where the last successful run ended';
COMMENT ON COLUMN public.rees46_sync_runs.outcome IS 'success or failed';
COMMENT ON COLUMN public.rees46_sync_runs.started_at IS 'when it began to read the warehouse';
CREATE SEQUENCE public.rees46_sync_runs_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.rees46_sync_runs_id_seq OWNED BY public.rees46_sync_runs.id;
CREATE TABLE public.rees46_uncertain_orders (
    id bigint CONSTRAINT rees46_unanswered_orders_id_not_null NOT NULL,
    shop character varying(100) CONSTRAINT rees46_unanswered_orders_shop_not_null NOT NULL,
    order_id character varying(255) CONSTRAINT rees46_unanswered_orders_order_id_not_null NOT NULL,
    source_updated_at timestamp with time zone CONSTRAINT rees46_unanswered_orders_source_updated_at_not_null NOT NULL,
    high_water_mark bigint CONSTRAINT rees46_unanswered_orders_after_id_not_null NOT NULL
);
COMMENT ON COLUMN public.rees46_uncertain_orders.high_water_mark IS 'the latest accepted row when the answer was missed';
CREATE SEQUENCE public.rees46_unanswered_orders_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.rees46_unanswered_orders_id_seq OWNED BY public.rees46_uncertain_orders.id;
ALTER TABLE ONLY public.rees46_accepted_statuses ALTER COLUMN id SET DEFAULT nextval('public.rees46_accepted_statuses_id_seq'::regclass);
ALTER TABLE ONLY public.rees46_alert_messages ALTER COLUMN id SET DEFAULT nextval('public.rees46_alert_messages_id_seq'::regclass);
ALTER TABLE ONLY public.rees46_alerts ALTER COLUMN id SET DEFAULT nextval('public.rees46_alerts_id_seq'::regclass);
ALTER TABLE ONLY public.rees46_approvals ALTER COLUMN id SET DEFAULT nextval('public.rees46_approvals_id_seq'::regclass);
ALTER TABLE ONLY public.rees46_confirmations ALTER COLUMN id SET DEFAULT nextval('public.rees46_overtaken_orders_id_seq'::regclass);
ALTER TABLE ONLY public.rees46_deliveries ALTER COLUMN id SET DEFAULT nextval('public.rees46_deliveries_id_seq'::regclass);
ALTER TABLE ONLY public.rees46_in_flight_requests ALTER COLUMN id SET DEFAULT nextval('public.rees46_open_requests_id_seq'::regclass);
ALTER TABLE ONLY public.rees46_open_extractions ALTER COLUMN id SET DEFAULT nextval('public.rees46_open_readings_id_seq'::regclass);
ALTER TABLE ONLY public.rees46_rejected_orders ALTER COLUMN id SET DEFAULT nextval('public.rees46_rejected_orders_id_seq'::regclass);
ALTER TABLE ONLY public.rees46_sync_runs ALTER COLUMN id SET DEFAULT nextval('public.rees46_sync_runs_id_seq'::regclass);
ALTER TABLE ONLY public.rees46_uncertain_orders ALTER COLUMN id SET DEFAULT nextval('public.rees46_unanswered_orders_id_seq'::regclass);
INSERT INTO public.rees46_accepted_statuses VALUES (2, 'other', '1', 1, '2026-03-01 21:00:00+09', 'dag', 'run-1', 'reading-other', '2024-10-17 21:00:00+09');
INSERT INTO public.rees46_accepted_statuses VALUES (3, 'test', '1', 0, '2026-03-01 21:00:00+09', 'dag', 'run-1', 'reading-1', '2026-01-15 07:51:29.934611+09');
INSERT INTO public.rees46_accepted_statuses VALUES (4, 'test', '2', 1, '2026-03-01 21:00:00+09', 'dag', 'run-1', 'reading-1', '2026-01-15 07:51:29.934611+09');
INSERT INTO public.rees46_accepted_statuses VALUES (5, 'test', 'заказ-🎁 ''"\', 2, '2026-03-01 21:00:00+09', 'dag', 'run-1', 'reading-1', '2026-01-15 07:51:29.934611+09');
INSERT INTO public.rees46_accepted_statuses VALUES (6, 'test', '1', 1, '2026-03-01 22:00:00+09', 'dag', 'run-2', 'reading-2', '2026-01-15 07:51:29.96358+09');
INSERT INTO public.rees46_alert_messages VALUES (1, 'test', 'run_failed', 'email e6398a378ae646af', '{"subject": "fired 12:00"}', '2026-03-01 21:00:00+09', '2026-03-01 21:00:00+09', '2026-03-01 21:00:00+09');
INSERT INTO public.rees46_alert_messages VALUES (2, 'test', 'run_failed', 'email e6398a378ae646af', '{"subject": "recovered 13:00"}', '2026-03-01 22:00:00+09', NULL, NULL);
INSERT INTO public.rees46_alerts VALUES (1, 'test', 'run_failed', false, '2026-03-01 22:00:00+09', '2026-03-01 22:00:00+09', '2026-03-01 21:00:00+09', 'it succeeded.');
INSERT INTO public.rees46_approvals VALUES (1, 'test', 'dag', 'run-1', 'reading-1', 'asked', '2 orders would change', NULL, '2026-01-15 07:51:30.05147+09');
INSERT INTO public.rees46_approvals VALUES (2, 'test', 'dag', 'run-1', 'reading-1', 'approved', '2 orders would change', 'jane', '2026-01-15 07:51:30.059409+09');
INSERT INTO public.rees46_confirmations VALUES (1, 'test', 'заказ-🎁 ''"\', '2026-03-01 23:00:00+09', 'reading-2');
INSERT INTO public.rees46_deliveries VALUES (1, 'other', 'reading-other', 'dag', 'run-1', 0, 1, 1, 'accepted', '2026-01-15 07:51:29.758915+09');
INSERT INTO public.rees46_deliveries VALUES (2, 'other', 'reading-other', 'dag', 'run-1', 0, 1, 1, 'accepted', '2026-01-15 07:51:29.787627+09');
INSERT INTO public.rees46_deliveries VALUES (3, 'test', 'reading-1', 'dag', 'run-1', 0, 3, 1, 'accepted', '2026-01-15 07:51:29.934611+09');
INSERT INTO public.rees46_deliveries VALUES (4, 'test', 'reading-2', 'dag', 'run-2', 0, 1, 1, 'accepted', '2026-01-15 07:51:29.96358+09');
INSERT INTO public.rees46_deliveries VALUES (5, 'test', 'reading-2', 'dag', 'run-2', 1, 1, 1, 'rejected', '2026-01-15 07:51:30.027564+09');
INSERT INTO public.rees46_deliveries VALUES (6, 'test', 'reading-2', 'dag', 'run-2', 1, 1, 4, 'unknown', '2026-01-15 07:51:30.039548+09');
INSERT INTO public.rees46_in_flight_requests VALUES (7, 'test', '[["4",1,"2026-03-01 12:00:00.000000"]]');
INSERT INTO public.rees46_open_extractions VALUES (1, 'test', 'reading-1', '2026-03-01 21:00:00+09', '2026-02-28 21:00:00+09', 0);
INSERT INTO public.rees46_open_extractions VALUES (2, 'test', 'reading-2', '2026-03-01 22:00:00+09', '2026-02-28 21:00:00+09', 0);
INSERT INTO public.rees46_rejected_orders VALUES (1, 'test', 'run-1', '1', 'sent back', '2026-03-01 12:00:00', 'status_unmapped', '2026-01-15 07:51:30.043605+09', '2fdfbeb2b07f0410ecb452aeb6a14926a5421cf0671ba12548a6356dbcc68a2f');
INSERT INTO public.rees46_rejected_orders VALUES (2, 'test', 'run-1', NULL, 'new', '2026-03-01 12:00:00', 'order_id_missing', '2026-01-15 07:51:30.043605+09', 'e418089203be5db85661fa1bfeae2afbe2425625dc05c1390b9d81eab7670f33');
INSERT INTO public.rees46_rejected_orders VALUES (3, 'test', 'run-1', '', NULL, NULL, 'order_id_blank, status_missing, updated_at_missing', '2026-01-15 07:51:30.043605+09', '1f1982b45d961a32381e7b4ec8c2303236ab5d4d3c5495eef135cfe562a07327');
INSERT INTO public.rees46_rejected_orders VALUES (4, 'test', 'run-1', 'заказ-🎁 ''"', 'new', 'yesterday', 'updated_at_unreadable', '2026-01-15 07:51:30.043605+09', '8af6e276890b748691538564a0d2e75ee5990b87fbeace3e63ae1fd62f38d10e');
INSERT INTO public.rees46_retention VALUES ('other', 2);
INSERT INTO public.rees46_schema_versions VALUES (2, '2026-01-15 07:51:29.713078+09');
INSERT INTO public.rees46_schema_versions VALUES (3, '2026-01-15 10:48:41.235551+09');
INSERT INTO public.rees46_sync_runs VALUES (1, 'test', 'dag', 'run-1', '2026-03-01 20:00:00+09', '2026-03-01 21:00:00+09', true, 3, 3, 0, 0, 0, 0, 0, 0, 1, 'success', '2026-03-01 21:05:00+09', '2026-03-01 21:06:00+09');
INSERT INTO public.rees46_sync_runs VALUES (2, 'test', 'dag', 'run-2', '2026-03-01 20:00:00+09', '2026-03-01 22:00:00+09', true, 4, 1, 0, 0, 0, 0, 0, 3, 6, 'failed', '2026-03-01 21:05:00+09', '2026-03-01 21:06:00+09');
INSERT INTO public.rees46_uncertain_orders VALUES (1, 'test', '2', '2026-03-01 21:00:00+09', 6);
INSERT INTO public.rees46_uncertain_orders VALUES (2, 'test', '3', '2026-03-01 21:00:00+09', 6);
SELECT pg_catalog.setval('public.rees46_accepted_statuses_id_seq', 6, true);
SELECT pg_catalog.setval('public.rees46_alert_messages_id_seq', 2, true);
SELECT pg_catalog.setval('public.rees46_alerts_id_seq', 1, true);
SELECT pg_catalog.setval('public.rees46_approvals_id_seq', 2, true);
SELECT pg_catalog.setval('public.rees46_deliveries_id_seq', 6, true);
SELECT pg_catalog.setval('public.rees46_open_readings_id_seq', 2, true);
SELECT pg_catalog.setval('public.rees46_open_requests_id_seq', 7, true);
SELECT pg_catalog.setval('public.rees46_overtaken_orders_id_seq', 1, true);
SELECT pg_catalog.setval('public.rees46_rejected_orders_id_seq', 4, true);
SELECT pg_catalog.setval('public.rees46_sync_runs_id_seq', 2, true);
SELECT pg_catalog.setval('public.rees46_unanswered_orders_id_seq', 2, true);
ALTER TABLE ONLY public.rees46_accepted_statuses
    ADD CONSTRAINT rees46_accepted_statuses_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.rees46_alert_messages
    ADD CONSTRAINT rees46_alert_messages_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.rees46_alerts
    ADD CONSTRAINT rees46_alerts_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.rees46_alerts
    ADD CONSTRAINT rees46_alerts_shop_alert_key UNIQUE (shop, alert);
ALTER TABLE ONLY public.rees46_approvals
    ADD CONSTRAINT rees46_approvals_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.rees46_deliveries
    ADD CONSTRAINT rees46_deliveries_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.rees46_open_extractions
    ADD CONSTRAINT rees46_open_readings_extraction_id_key UNIQUE (extraction_id);
ALTER TABLE ONLY public.rees46_open_extractions
    ADD CONSTRAINT rees46_open_readings_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.rees46_in_flight_requests
    ADD CONSTRAINT rees46_open_requests_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.rees46_confirmations
    ADD CONSTRAINT rees46_overtaken_orders_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.rees46_rejected_orders
    ADD CONSTRAINT rees46_rejected_orders_fingerprint_key UNIQUE (fingerprint);
ALTER TABLE ONLY public.rees46_rejected_orders
    ADD CONSTRAINT rees46_rejected_orders_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.rees46_retention
    ADD CONSTRAINT rees46_retention_pkey PRIMARY KEY (shop);
ALTER TABLE ONLY public.rees46_schema_versions
    ADD CONSTRAINT rees46_schema_versions_pkey PRIMARY KEY (version);
ALTER TABLE ONLY public.rees46_sync_runs
    ADD CONSTRAINT rees46_sync_runs_dag_id_run_id_key UNIQUE (dag_id, run_id);
ALTER TABLE ONLY public.rees46_sync_runs
    ADD CONSTRAINT rees46_sync_runs_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.rees46_uncertain_orders
    ADD CONSTRAINT rees46_unanswered_orders_pkey PRIMARY KEY (id);
CREATE INDEX rees46_accepted_statuses_order ON public.rees46_accepted_statuses USING btree (shop, order_id, id);
CREATE INDEX rees46_alert_messages_shop ON public.rees46_alert_messages USING btree (shop, sent_at);
CREATE INDEX rees46_approvals_run ON public.rees46_approvals USING btree (dag_id, run_id, id);
CREATE INDEX rees46_confirmations_order ON public.rees46_confirmations USING btree (shop, order_id);
CREATE INDEX rees46_confirmations_shop ON public.rees46_confirmations USING btree (shop, id);
CREATE INDEX rees46_deliveries_extraction ON public.rees46_deliveries USING btree (extraction_id);
CREATE INDEX rees46_deliveries_shop ON public.rees46_deliveries USING btree (shop, id);
CREATE INDEX rees46_in_flight_requests_shop ON public.rees46_in_flight_requests USING btree (shop);
CREATE INDEX rees46_open_extractions_shop ON public.rees46_open_extractions USING btree (shop);
CREATE INDEX rees46_rejected_orders_shop ON public.rees46_rejected_orders USING btree (shop, id);
CREATE INDEX rees46_sync_runs_shop ON public.rees46_sync_runs USING btree (shop, outcome, window_end);
CREATE INDEX rees46_uncertain_orders_order ON public.rees46_uncertain_orders USING btree (shop, order_id, high_water_mark);
