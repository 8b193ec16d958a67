-- Shopify in Snowflake, as Fivetran's connector delivers it. The comments of shopify_fivetran_orders.sql say what to change, which
-- rows are read, and what the statuses are made of; in the shop file, name this query instead of that one.
-- The SQL is tested with an emulator of Snowflake, not with Snowflake itself.
--
-- Change: the schema, SHOPIFY, if the connector has another name. The table is written in quotes: ORDER is a word of SQL.
SELECT id AS order_id,
       CASE WHEN test THEN 'test'
            WHEN cancelled_at IS NOT NULL THEN 'cancelled'
            WHEN LOWER(financial_status) IN ('paid', 'partially_refunded')
                THEN LOWER(financial_status) || ' ' || COALESCE(LOWER(fulfillment_status), 'unfulfilled')
            ELSE LOWER(financial_status) END AS status,
       updated_at
FROM shopify."ORDER"
WHERE NOT COALESCE(_fivetran_deleted, FALSE)
  AND ((updated_at >= :window_start AND updated_at < :window_end)
       OR updated_at IS NULL OR updated_at < '1990-01-01' OR updated_at >= DATEADD(day, 1, CURRENT_TIMESTAMP()))
