-- Shopify's orders as Fivetran's connector makes them in PostgreSQL, abbreviated.
CREATE SCHEMA shopify;
CREATE TABLE shopify."order" (
  id bigint PRIMARY KEY,
  name text,
  order_number bigint,
  test boolean,
  financial_status text,
  fulfillment_status text,
  cancelled_at timestamptz,
  updated_at timestamptz,
  _fivetran_deleted boolean,
  _fivetran_synced timestamptz
);
INSERT INTO shopify."order" (id, financial_status, fulfillment_status, updated_at) VALUES
  -- each payment status once, and those that were paid with each fulfilment
  (5500000000101, 'pending', NULL, '2026-03-01 07:30Z'),
  (5500000000102, 'authorized', NULL, '2026-03-01 07:30Z'),
  (5500000000103, 'partially_paid', NULL, '2026-03-01 07:30Z'),
  (5500000000104, 'expired', NULL, '2026-03-01 07:30Z'),
  (5500000000105, 'refunded', 'fulfilled', '2026-03-01 07:30Z'),
  (5500000000106, 'voided', NULL, '2026-03-01 07:30Z'),
  (5500000000111, 'paid', NULL, '2026-03-01 07:30Z'),
  (5500000000112, 'paid', 'partial', '2026-03-01 07:30Z'),
  (5500000000113, 'paid', 'fulfilled', '2026-03-01 07:30Z'),
  (5500000000114, 'paid', 'restocked', '2026-03-01 07:30Z'),
  (5500000000121, 'partially_refunded', NULL, '2026-03-01 07:30Z'),
  (5500000000122, 'partially_refunded', 'partial', '2026-03-01 07:30Z'),
  (5500000000123, 'partially_refunded', 'fulfilled', '2026-03-01 07:30Z'),
  (5500000000124, 'partially_refunded', 'restocked', '2026-03-01 07:30Z'),
  -- as the connectors that ask by GraphQL write them
  (5500000000131, 'PAID', 'FULFILLED', '2026-03-01 07:30Z'),
  -- the edges of the window, the last two in another zone
  (5500000000401, 'paid', NULL, '2026-02-28 06:59:59.999999Z'),
  (5500000000402, 'paid', NULL, '2026-02-28 07:00Z'),
  (5500000000403, 'paid', 'fulfilled', '2026-03-01 02:59:59.999999-05'),
  (5500000000404, 'paid', 'fulfilled', '2026-03-01 03:00-05'),
  -- a value that Shopify does not document, no time, no payment
  (5500000000501, 'paid', 'teleported', '2026-03-01 07:30Z'),
  (5500000000502, 'paid', NULL, NULL),
  (5500000000503, NULL, NULL, '2026-03-01 07:30Z'),
  -- times of no window; an hour ahead, which a later window reads
  (5500000000601, 'paid', NULL, '0001-01-01Z'),
  (5500000000602, 'paid', NULL, '1970-01-01Z'),
  (5500000000603, 'paid', NULL, '2647-01-01Z'),
  (5500000000604, 'paid', NULL, NOW() + INTERVAL '2 days'),
  (5500000000605, 'paid', NULL, NOW() + INTERVAL '1 hour'),
  (5500000000606, 'paid', NULL, 'infinity'),
  (5500000000607, 'paid', NULL, '-infinity'),
  (5500000000608, 'paid', NULL, '200000-01-01Z');
INSERT INTO shopify."order" (id, financial_status, cancelled_at, test, _fivetran_deleted, updated_at) VALUES
  (5500000000141, 'paid', '2026-03-01 07:30Z', false, false, '2026-03-01 07:30Z'),
  (5500000000142, 'paid', NULL, true, false, '2026-03-01 07:30Z'),
  -- deleted
  (5500000000301, 'paid', NULL, false, true, '2026-03-01 07:30Z');
