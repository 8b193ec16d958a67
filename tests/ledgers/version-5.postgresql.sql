CREATE TABLE public.rees46_accepted_statuses (
    id bigint NOT NULL,
    shop character varying(100) NOT NULL,
    order_id character varying(255) NOT NULL,
    status smallint NOT NULL,
    source_updated_at timestamp with time zone NOT NULL,
    dag_id character varying(250) NOT NULL,
    run_id character varying(250) NOT NULL,
    extraction_id character varying(40) NOT NULL,
    accepted_at timestamp with time zone NOT NULL,
    sent_at timestamp with time zone
);
COMMENT ON COLUMN public.rees46_accepted_statuses.status IS '0 created, 1 completed, 2 cancelled';
COMMENT ON COLUMN public.rees46_accepted_statuses.extraction_id IS 'the extraction that it came from';
COMMENT ON COLUMN public.rees46_accepted_statuses.accepted_at IS 'when the answer was recorded';
COMMENT ON COLUMN public.rees46_accepted_statuses.sent_at IS 'when its request went out; null: by an earlier version';
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
COMMENT ON COLUMN public.rees46_alert_messages.channel IS 'kind and fingerprint of a channel of the shop file';
COMMENT ON COLUMN public.rees46_alert_messages.message IS 'JSON';
COMMENT ON COLUMN public.rees46_alert_messages.claimed_at IS 'a process is sending it since then';
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
    as_of timestamp with time zone NOT NULL,
    first_seen timestamp with time zone NOT NULL,
    summary text NOT NULL
);
COMMENT ON COLUMN public.rees46_alerts.since IS 'when that began';
COMMENT ON COLUMN public.rees46_alerts.as_of IS 'the moment it was evaluated for: a later one wins';
COMMENT ON COLUMN public.rees46_alerts.summary IS 'the latest evaluation, in a sentence';
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
    exceeded_text text NOT NULL,
    decided_by character varying(250),
    recorded_at timestamp with time zone NOT NULL
);
COMMENT ON COLUMN public.rees46_approvals.extraction_id IS 'the extraction that it is about';
COMMENT ON COLUMN public.rees46_approvals.outcome IS 'asked, approved, rejected or expired';
COMMENT ON COLUMN public.rees46_approvals.exceeded_text IS 'the exceeded limits, with the numbers';
COMMENT ON COLUMN public.rees46_approvals.decided_by IS 'null: not decided by a person';
CREATE SEQUENCE public.rees46_approvals_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.rees46_approvals_id_seq OWNED BY public.rees46_approvals.id;
CREATE TABLE public.rees46_confirmations (
    id bigint NOT NULL,
    shop character varying(100) NOT NULL,
    order_id character varying(255) NOT NULL,
    source_updated_at timestamp with time zone NOT NULL,
    extraction_id character varying(40) NOT NULL
);
COMMENT ON COLUMN public.rees46_confirmations.source_updated_at IS 'of the confirmed version';
COMMENT ON COLUMN public.rees46_confirmations.extraction_id IS 'the extraction that confirmed it';
CREATE SEQUENCE public.rees46_confirmations_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.rees46_confirmations_id_seq OWNED BY public.rees46_confirmations.id;
CREATE TABLE public.rees46_covered_windows (
    id bigint NOT NULL,
    shop character varying(100) NOT NULL,
    window_start timestamp with time zone NOT NULL,
    read_until timestamp with time zone NOT NULL
);
CREATE SEQUENCE public.rees46_covered_windows_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.rees46_covered_windows_id_seq OWNED BY public.rees46_covered_windows.id;
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
CREATE TABLE public.rees46_extractions (
    id bigint NOT NULL,
    shop character varying(100) NOT NULL,
    extraction_id character varying(40) NOT NULL,
    started_at timestamp with time zone NOT NULL,
    window_start timestamp with time zone NOT NULL,
    window_end timestamp with time zone,
    read_mark bigint,
    is_open boolean NOT NULL,
    latest_confirmation_id bigint NOT NULL
);
COMMENT ON COLUMN public.rees46_extractions.window_end IS 'null: an earlier version did not record it';
COMMENT ON COLUMN public.rees46_extractions.read_mark IS 'the latest extraction when it had read all; null: it reads, or failed';
COMMENT ON COLUMN public.rees46_extractions.is_open IS 'something of it may still be sent';
COMMENT ON COLUMN public.rees46_extractions.latest_confirmation_id IS 'its latest confirmation; 0: none';
CREATE SEQUENCE public.rees46_extractions_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.rees46_extractions_id_seq OWNED BY public.rees46_extractions.id;
CREATE TABLE public.rees46_in_flight_requests (
    id bigint NOT NULL,
    shop character varying(100) NOT NULL,
    extraction_id character varying(40) NOT NULL,
    lease bigint NOT NULL,
    orders text NOT NULL
);
ALTER TABLE ONLY public.rees46_in_flight_requests ALTER COLUMN orders SET STORAGE EXTERNAL;
COMMENT ON COLUMN public.rees46_in_flight_requests.lease IS 'of the load that sends it';
COMMENT ON COLUMN public.rees46_in_flight_requests.orders IS 'JSON: of each order its id, status and source_updated_at';
CREATE SEQUENCE public.rees46_in_flight_requests_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.rees46_in_flight_requests_id_seq OWNED BY public.rees46_in_flight_requests.id;
CREATE TABLE public.rees46_leases (
    shop character varying(100) NOT NULL,
    lease bigint NOT NULL
);
COMMENT ON COLUMN public.rees46_leases.lease IS 'of the load that started last';
CREATE TABLE public.rees46_refused_orders (
    id bigint NOT NULL,
    shop character varying(100) NOT NULL,
    order_id character varying(255) NOT NULL,
    status smallint NOT NULL,
    batch_size integer NOT NULL,
    reason character varying(250) NOT NULL,
    refused_at timestamp with time zone NOT NULL
);
COMMENT ON COLUMN public.rees46_refused_orders.batch_size IS 'of the refused batch; 1: it is refused alone';
COMMENT ON COLUMN public.rees46_refused_orders.reason IS 'REES46''s words';
CREATE SEQUENCE public.rees46_refused_orders_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.rees46_refused_orders_id_seq OWNED BY public.rees46_refused_orders.id;
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
COMMENT ON COLUMN public.rees46_rejected_orders.run_id IS 'the first run that read this row';
COMMENT ON COLUMN public.rees46_rejected_orders.updated_at IS 'as the warehouse returned it';
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
    checked_up_to_id bigint NOT NULL
);
COMMENT ON COLUMN public.rees46_retention.checked_up_to_id IS 'the latest accepted row that was checked';
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
    held bigint NOT NULL,
    failed bigint NOT NULL,
    requests bigint NOT NULL,
    resent bigint,
    outcome character varying(20) NOT NULL,
    cause text,
    newest_updated_at timestamp with time zone,
    data_until timestamp with time zone,
    data_late boolean,
    whole_days boolean,
    mapping_hash character varying(64),
    mapping text,
    started_at timestamp with time zone NOT NULL,
    finished_at timestamp with time zone NOT NULL
);
COMMENT ON COLUMN public.rees46_sync_runs.window_start IS 'null: a run by hand named one that does not exist';
COMMENT ON COLUMN public.rees46_sync_runs.window_widened IS 'it continues the last successful run';
COMMENT ON COLUMN public.rees46_sync_runs.held IS 'more than 0: the run has not delivered its window';
COMMENT ON COLUMN public.rees46_sync_runs.resent IS 'sent again although unchanged; null: no resend by resend_every';
COMMENT ON COLUMN public.rees46_sync_runs.outcome IS 'success or failed';
COMMENT ON COLUMN public.rees46_sync_runs.cause IS 'of a failed run: what did not finish, and why';
COMMENT ON COLUMN public.rees46_sync_runs.newest_updated_at IS 'of the rows that it read, not in the future';
COMMENT ON COLUMN public.rees46_sync_runs.data_until IS 'up to when the data shows to be loaded; null: by an earlier version';
COMMENT ON COLUMN public.rees46_sync_runs.data_late IS 'that is earlier than usual for this shop';
COMMENT ON COLUMN public.rees46_sync_runs.whole_days IS 'the times of the rows are days';
COMMENT ON COLUMN public.rees46_sync_runs.mapping_hash IS 'of the shop file''s statuses';
COMMENT ON COLUMN public.rees46_sync_runs.mapping IS 'JSON: REES46''s code of each of the shop''s statuses';
COMMENT ON COLUMN public.rees46_sync_runs.started_at IS 'when it started to read the warehouse';
CREATE SEQUENCE public.rees46_sync_runs_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.rees46_sync_runs_id_seq OWNED BY public.rees46_sync_runs.id;
CREATE TABLE public.rees46_uncertain_orders (
    id bigint NOT NULL,
    shop character varying(100) NOT NULL,
    order_id character varying(255) NOT NULL,
    status smallint,
    source_updated_at timestamp with time zone NOT NULL,
    extraction_id character varying(40) NOT NULL,
    sent_at timestamp with time zone NOT NULL
);
COMMENT ON COLUMN public.rees46_uncertain_orders.status IS 'null: an earlier version did not record it';
COMMENT ON COLUMN public.rees46_uncertain_orders.extraction_id IS 'the extraction that it came from';
COMMENT ON COLUMN public.rees46_uncertain_orders.sent_at IS 'until when its request may have gone out';
CREATE SEQUENCE public.rees46_uncertain_orders_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.rees46_uncertain_orders_id_seq OWNED BY public.rees46_uncertain_orders.id;
ALTER TABLE ONLY public.rees46_accepted_statuses ALTER COLUMN id SET DEFAULT nextval('public.rees46_accepted_statuses_id_seq'::regclass);
ALTER TABLE ONLY public.rees46_alert_messages ALTER COLUMN id SET DEFAULT nextval('public.rees46_alert_messages_id_seq'::regclass);
ALTER TABLE ONLY public.rees46_alerts ALTER COLUMN id SET DEFAULT nextval('public.rees46_alerts_id_seq'::regclass);
ALTER TABLE ONLY public.rees46_approvals ALTER COLUMN id SET DEFAULT nextval('public.rees46_approvals_id_seq'::regclass);
ALTER TABLE ONLY public.rees46_confirmations ALTER COLUMN id SET DEFAULT nextval('public.rees46_confirmations_id_seq'::regclass);
ALTER TABLE ONLY public.rees46_covered_windows ALTER COLUMN id SET DEFAULT nextval('public.rees46_covered_windows_id_seq'::regclass);
ALTER TABLE ONLY public.rees46_deliveries ALTER COLUMN id SET DEFAULT nextval('public.rees46_deliveries_id_seq'::regclass);
ALTER TABLE ONLY public.rees46_extractions ALTER COLUMN id SET DEFAULT nextval('public.rees46_extractions_id_seq'::regclass);
ALTER TABLE ONLY public.rees46_in_flight_requests ALTER COLUMN id SET DEFAULT nextval('public.rees46_in_flight_requests_id_seq'::regclass);
ALTER TABLE ONLY public.rees46_refused_orders ALTER COLUMN id SET DEFAULT nextval('public.rees46_refused_orders_id_seq'::regclass);
ALTER TABLE ONLY public.rees46_rejected_orders ALTER COLUMN id SET DEFAULT nextval('public.rees46_rejected_orders_id_seq'::regclass);
ALTER TABLE ONLY public.rees46_sync_runs ALTER COLUMN id SET DEFAULT nextval('public.rees46_sync_runs_id_seq'::regclass);
ALTER TABLE ONLY public.rees46_uncertain_orders ALTER COLUMN id SET DEFAULT nextval('public.rees46_uncertain_orders_id_seq'::regclass);
INSERT INTO public.rees46_accepted_statuses VALUES (2, 'other', '1', 1, '2026-03-01 21:00:00+09', 'dag', 'run-1', 'reading-other', '2024-10-17 21:00:00.230986+09', '2024-10-17 21:00:00.230897+09');
INSERT INTO public.rees46_accepted_statuses VALUES (3, 'test', '1', 0, '2026-03-01 21:00:00+09', 'dag', 'run-1', 'reading-1', '2026-01-16 07:49:22.121752+09', '2026-01-16 07:49:22.121664+09');
INSERT INTO public.rees46_accepted_statuses VALUES (4, 'test', '2', 1, '2026-03-01 21:00:00+09', 'dag', 'run-1', 'reading-1', '2026-01-16 07:49:22.121752+09', '2026-01-16 07:49:22.121664+09');
INSERT INTO public.rees46_accepted_statuses VALUES (5, 'test', 'заказ-🎁 ''"\', 2, '2026-03-01 21:00:00+09', 'dag', 'run-1', 'reading-1', '2026-01-16 07:49:22.121752+09', '2026-01-16 07:49:22.121664+09');
INSERT INTO public.rees46_accepted_statuses VALUES (6, 'test', '1', 1, '2026-03-01 22:00:00+09', 'dag', 'run-2', 'reading-2', '2026-01-16 07:49:22.141878+09', '2026-01-16 07:49:22.141783+09');
INSERT INTO public.rees46_alert_messages VALUES (1, 'test', 'run_failed', 'email e6398a378ae646af', '{"subject": "fired 12:00"}', '2026-03-01 21:00:00+09', '2026-03-01 21:00:00+09', '2026-03-01 21:00:00+09');
INSERT INTO public.rees46_alert_messages VALUES (2, 'test', 'run_failed', 'email e6398a378ae646af', '{"subject": "recovered 13:00"}', '2026-03-01 22:00:00+09', NULL, NULL);
INSERT INTO public.rees46_alerts VALUES (1, 'test', 'run_failed', false, '2026-03-01 22:00:00+09', '2026-03-01 22:00:00+09', '2026-03-01 21:00:00+09', 'it succeeded.');
INSERT INTO public.rees46_approvals VALUES (1, 'test', 'dag', 'run-1', 'reading-1', 'asked', '2 orders would change', NULL, '2026-01-16 07:49:22.251467+09');
INSERT INTO public.rees46_approvals VALUES (2, 'test', 'dag', 'run-1', 'reading-1', 'approved', '2 orders would change', 'jane', '2026-01-16 07:49:22.255534+09');
INSERT INTO public.rees46_confirmations VALUES (1, 'test', 'заказ-🎁 ''"\', '2026-03-01 23:00:00+09', 'reading-2');
INSERT INTO public.rees46_covered_windows VALUES (1, 'other', '2024-10-17 21:00:00+09', '2024-10-17 22:00:00+09');
INSERT INTO public.rees46_deliveries VALUES (2, 'other', 'reading-other', 'dag', 'run-1', 0, 1, 1, 'accepted', '2024-10-17 21:00:00.230986+09');
INSERT INTO public.rees46_deliveries VALUES (3, 'test', 'reading-1', 'dag', 'run-1', 0, 3, 1, 'accepted', '2026-01-16 07:49:22.121752+09');
INSERT INTO public.rees46_deliveries VALUES (4, 'test', 'reading-2', 'dag', 'run-2', 0, 1, 1, 'accepted', '2026-01-16 07:49:22.141878+09');
INSERT INTO public.rees46_deliveries VALUES (5, 'test', 'reading-2', 'dag', 'run-2', 1, 1, 1, 'rejected', '2026-01-16 07:49:22.161807+09');
INSERT INTO public.rees46_deliveries VALUES (6, 'test', 'reading-2', 'dag', 'run-2', 1, 1, 4, 'unknown', '2026-01-16 07:49:22.178056+09');
INSERT INTO public.rees46_extractions VALUES (1, 'test', 'reading-1', '2026-03-01 21:00:00+09', '2026-02-28 21:00:00+09', '2026-03-01 21:00:00+09', 1, true, 0);
INSERT INTO public.rees46_extractions VALUES (2, 'test', 'reading-2', '2026-03-01 22:00:00+09', '2026-02-28 21:00:00+09', '2026-03-01 22:00:00+09', 2, true, 1);
INSERT INTO public.rees46_in_flight_requests VALUES (7, 'test', 'reading-2', 1, '[["4",1,"2026-03-01 12:00:00.000000"]]');
INSERT INTO public.rees46_leases VALUES ('other', 1);
INSERT INTO public.rees46_leases VALUES ('test', 1);
INSERT INTO public.rees46_refused_orders VALUES (1, 'test', '5', 1, 1, 'Order not found', '2026-01-16 07:49:22.196176+09');
INSERT INTO public.rees46_rejected_orders VALUES (1, 'test', 'run-1', '1', 'sent back', '2026-03-01 12:00:00', 'status_unmapped', '2026-01-16 07:49:22.246463+09', '2fdfbeb2b07f0410ecb452aeb6a14926a5421cf0671ba12548a6356dbcc68a2f');
INSERT INTO public.rees46_rejected_orders VALUES (2, 'test', 'run-1', NULL, 'new', '2026-03-01 12:00:00', 'order_id_missing', '2026-01-16 07:49:22.246463+09', 'e418089203be5db85661fa1bfeae2afbe2425625dc05c1390b9d81eab7670f33');
INSERT INTO public.rees46_rejected_orders VALUES (3, 'test', 'run-1', '', NULL, NULL, 'order_id_blank, status_missing, updated_at_missing', '2026-01-16 07:49:22.246463+09', '1f1982b45d961a32381e7b4ec8c2303236ab5d4d3c5495eef135cfe562a07327');
INSERT INTO public.rees46_rejected_orders VALUES (4, 'test', 'run-1', 'заказ-🎁 ''"', 'new', 'yesterday', 'updated_at_unreadable', '2026-01-16 07:49:22.246463+09', '8af6e276890b748691538564a0d2e75ee5990b87fbeace3e63ae1fd62f38d10e');
INSERT INTO public.rees46_retention VALUES ('other', 2);
INSERT INTO public.rees46_schema_versions VALUES (5, '2024-10-17 21:00:00.11358+09');
INSERT INTO public.rees46_sync_runs VALUES (2, 'other', 'dag-other', 'run-2', '2024-10-17 22:00:00+09', '2024-10-17 23:00:00+09', true, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, NULL, 'success', NULL, '2024-10-17 22:50:00+09', '2024-10-17 23:00:00+09', false, false, '1003354bd8749cbff3ffa75570711f76925681acb44c4ad1ef2a0c332d1f5bd1', '{"cancelled": 2, "new": 0, "paid": 1}', '2024-10-17 23:05:00+09', '2024-10-17 23:06:00+09');
INSERT INTO public.rees46_sync_runs VALUES (3, 'test', 'dag', 'run-1', '2026-03-01 20:00:00+09', '2026-03-01 21:00:00+09', true, 3, 3, 0, 0, 0, 0, 0, 0, 0, 1, NULL, 'success', NULL, '2026-03-01 20:50:00+09', '2026-03-01 21:00:00+09', false, false, '1003354bd8749cbff3ffa75570711f76925681acb44c4ad1ef2a0c332d1f5bd1', '{"cancelled": 2, "new": 0, "paid": 1}', '2026-03-01 21:05:00+09', '2026-03-01 21:06:00+09');
INSERT INTO public.rees46_sync_runs VALUES (4, 'test', 'dag', 'run-2', '2026-03-01 20:00:00+09', '2026-03-01 22:00:00+09', true, 4, 1, 0, 0, 0, 0, 0, 0, 3, 6, NULL, 'failed', 'load_batches could not send 3 orders', '2026-03-01 21:50:00+09', '2026-03-01 22:00:00+09', false, false, '1003354bd8749cbff3ffa75570711f76925681acb44c4ad1ef2a0c332d1f5bd1', '{"cancelled": 2, "new": 0, "paid": 1}', '2026-03-01 21:05:00+09', '2026-03-01 21:06:00+09');
INSERT INTO public.rees46_uncertain_orders VALUES (1, 'test', '2', 2, '2026-03-01 21:00:00+09', 'reading-2', '2026-01-16 07:49:22.161807+09');
INSERT INTO public.rees46_uncertain_orders VALUES (2, 'test', '3', 1, '2026-03-01 21:00:00+09', 'reading-2', '2026-01-16 07:49:22.178056+09');
SELECT pg_catalog.setval('public.rees46_accepted_statuses_id_seq', 6, true);
SELECT pg_catalog.setval('public.rees46_alert_messages_id_seq', 2, true);
SELECT pg_catalog.setval('public.rees46_alerts_id_seq', 1, true);
SELECT pg_catalog.setval('public.rees46_approvals_id_seq', 2, true);
SELECT pg_catalog.setval('public.rees46_confirmations_id_seq', 1, true);
SELECT pg_catalog.setval('public.rees46_covered_windows_id_seq', 1, true);
SELECT pg_catalog.setval('public.rees46_deliveries_id_seq', 6, true);
SELECT pg_catalog.setval('public.rees46_extractions_id_seq', 2, true);
SELECT pg_catalog.setval('public.rees46_in_flight_requests_id_seq', 7, true);
SELECT pg_catalog.setval('public.rees46_refused_orders_id_seq', 1, true);
SELECT pg_catalog.setval('public.rees46_rejected_orders_id_seq', 4, true);
SELECT pg_catalog.setval('public.rees46_sync_runs_id_seq', 4, true);
SELECT pg_catalog.setval('public.rees46_uncertain_orders_id_seq', 2, true);
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
ALTER TABLE ONLY public.rees46_confirmations
    ADD CONSTRAINT rees46_confirmations_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.rees46_covered_windows
    ADD CONSTRAINT rees46_covered_windows_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.rees46_deliveries
    ADD CONSTRAINT rees46_deliveries_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.rees46_extractions
    ADD CONSTRAINT rees46_extractions_extraction_id_key UNIQUE (extraction_id);
ALTER TABLE ONLY public.rees46_extractions
    ADD CONSTRAINT rees46_extractions_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.rees46_in_flight_requests
    ADD CONSTRAINT rees46_in_flight_requests_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.rees46_leases
    ADD CONSTRAINT rees46_leases_pkey PRIMARY KEY (shop);
ALTER TABLE ONLY public.rees46_refused_orders
    ADD CONSTRAINT rees46_refused_orders_pkey PRIMARY KEY (id);
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
    ADD CONSTRAINT rees46_uncertain_orders_pkey PRIMARY KEY (id);
CREATE INDEX rees46_accepted_statuses_order ON public.rees46_accepted_statuses USING btree (shop, order_id, id);
CREATE INDEX rees46_alert_messages_shop ON public.rees46_alert_messages USING btree (shop, sent_at);
CREATE INDEX rees46_approvals_run ON public.rees46_approvals USING btree (dag_id, run_id, id);
CREATE INDEX rees46_confirmations_order ON public.rees46_confirmations USING btree (shop, order_id);
CREATE INDEX rees46_covered_windows_shop ON public.rees46_covered_windows USING btree (shop, window_start);
CREATE INDEX rees46_deliveries_extraction ON public.rees46_deliveries USING btree (extraction_id);
CREATE INDEX rees46_deliveries_shop ON public.rees46_deliveries USING btree (shop, id);
CREATE INDEX rees46_extractions_shop ON public.rees46_extractions USING btree (shop, id);
CREATE INDEX rees46_in_flight_requests_shop ON public.rees46_in_flight_requests USING btree (shop);
CREATE INDEX rees46_refused_orders_order ON public.rees46_refused_orders USING btree (shop, order_id);
CREATE INDEX rees46_rejected_orders_shop ON public.rees46_rejected_orders USING btree (shop, id);
CREATE INDEX rees46_sync_runs_shop ON public.rees46_sync_runs USING btree (shop, outcome, window_end);
CREATE INDEX rees46_uncertain_orders_order ON public.rees46_uncertain_orders USING btree (shop, order_id);
CREATE INDEX rees46_uncertain_orders_shop ON public.rees46_uncertain_orders USING btree (shop, id);
