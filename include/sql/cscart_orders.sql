-- CS-Cart and Multi-Vendor 4, of a version whose cscart_orders has the column updated_at
-- (SHOW COLUMNS FROM cscart_orders). Older ones keep no time of a status change, so their changes cannot be found.
--
-- Change: the prefix cscart_. For one vendor or storefront of several add AND company_id = 1 or AND storefront_id = 1
--   to the inner condition.
-- Order id: order_id, which REES46's CS-Cart add-on sends with the purchase.
-- Time: updated_at, seconds since 1970 in UTC. 0 means none: orders older than the column that were not changed
--   since; for them timestamp counts, when they were placed. CS-Cart has an index on each. Add-ons that
--   change the status by an UPDATE of their own may not set it; such a change is read with the next one.
-- Read in every window: rows without a time, before 1990 or a day after now. They are rejected and counted, not missed.
-- Not read: incomplete orders (N), which wait for the payment, and parent orders (T), which Multi-Vendor splits
--   into an order for each vendor: those are read, as REES46's add-on does.
-- Schema: CS-Cart, install/database/scheme.sql.
SELECT order_id, status, updated_at
FROM (
    SELECT order_id,
           status,
           TIMESTAMP('1970-01-01') + INTERVAL
               CASE WHEN updated_at > 0 THEN updated_at WHEN timestamp > 0 THEN timestamp END SECOND AS updated_at
    FROM cscart_orders
    WHERE is_parent_order = 'N'
      AND status NOT IN ('N', 'T')
      -- Whole seconds; the outer condition is exact to the microsecond.
      AND ((updated_at >= TIMESTAMPDIFF(SECOND, '1970-01-01', :window_start)
            AND updated_at <= TIMESTAMPDIFF(SECOND, '1970-01-01', :window_end))
           -- 631152000 is 1990, 86400 a day.
           OR updated_at BETWEEN 1 AND 631151999 OR updated_at >= UNIX_TIMESTAMP() + 86400
           OR (updated_at <= 0
               AND timestamp >= TIMESTAMPDIFF(SECOND, '1970-01-01', :window_start)
               AND timestamp <= TIMESTAMPDIFF(SECOND, '1970-01-01', :window_end))
           OR (updated_at <= 0 AND (timestamp < 631152000 OR timestamp >= UNIX_TIMESTAMP() + 86400)))
) AS around_the_window
WHERE (updated_at >= :window_start AND updated_at < :window_end)
   OR updated_at IS NULL OR updated_at < '1990-01-01' OR updated_at >= UTC_TIMESTAMP() + INTERVAL 1 DAY
