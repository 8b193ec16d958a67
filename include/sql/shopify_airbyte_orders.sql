-- Shopify, as Airbyte's connector delivers it to a warehouse (typed tables, "Destinations V2"). Fivetran's:
-- shopify_fivetran_orders.sql.
-- The SQL is tested in PostgreSQL. Snowflake's is shopify_airbyte_snowflake_orders.sql, BigQuery's
-- shopify_airbyte_bigquery_orders.sql.
--
-- Change: the schema, public, if the destination has another one. Several shops are several schemas or prefixes: a shop
--   file each.
-- Order id: id, Shopify's own. No Shopify app of REES46 was found: send here what your theme or tag sends with the
--   purchase event. If that is the number that the customer sees, write name (#1001) or order_number (1001) instead.
-- Time: updated_at, with time zone; Shopify sets it at every change, also of payment and fulfilment. Rows come with the
--   connector's next sync: if that is rarer than once in 24 h, set lookback in the shop file to more.
-- Read in every window: rows without a time, before 1990 or a day after now. They are rejected and counted, not missed.
-- Index: CREATE INDEX rees46_updated_at ON public.orders (updated_at); column stores need none.
-- Status: Shopify has no single one. It is made of four columns: test, cancelled, else the payment, with the fulfilment
--   if it was paid: paid unfulfilled, paid fulfilled.
-- Not read: drafts (Shopify keeps them in draft_orders) and orders that were deleted (REES46 keeps their last status).
-- Schema: Airbyte, https://docs.airbyte.com/integrations/sources/shopify (stream orders)
SELECT id AS order_id,
       CASE WHEN test THEN 'test'
            WHEN cancelled_at IS NOT NULL THEN 'cancelled'
            WHEN LOWER(financial_status) IN ('paid', 'partially_refunded')
                THEN LOWER(financial_status) || ' ' || COALESCE(LOWER(fulfillment_status), 'unfulfilled')
            ELSE LOWER(financial_status) END AS status,
       updated_at
FROM public.orders
WHERE deleted_at IS NULL
  AND ((updated_at >= :window_start AND updated_at < :window_end)
       OR updated_at IS NULL OR updated_at < '1990-01-01' OR updated_at >= NOW() + INTERVAL '1 day')
