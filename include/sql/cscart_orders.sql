-- CS-Cart and Multi-Vendor 4, from the version on whose cscart_orders has the column updated_at
-- (SHOW COLUMNS FROM cscart_orders). Older ones keep no time of a status change: nothing can be read from them by time.
--
-- Change: the prefix cscart_. For one vendor or storefront of several add AND company_id = 1 or AND storefront_id = 1
--   to the inner condition.
-- Order id: order_id, which REES46's CS-Cart add-on sends with the purchase.
-- Time: updated_at, seconds since 1970 in UTC. 0 stands for none: orders from before the column was there, which were
--   not touched since; they count by timestamp, when they were placed. CS-Cart has an index on each. Add-ons that
--   change the status by an UPDATE of their own may leave it as it was; such a change is read with the next one.
-- Not read: incomplete orders (N), where the payment has not answered, and parent orders (T), which Multi-Vendor splits
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
      -- Whole seconds, of which the outer condition keeps those inside the window to the microsecond.
      AND ((updated_at >= TIMESTAMPDIFF(SECOND, '1970-01-01', :window_start)
            AND updated_at <= TIMESTAMPDIFF(SECOND, '1970-01-01', :window_end))
           OR (updated_at = 0
               AND timestamp >= TIMESTAMPDIFF(SECOND, '1970-01-01', :window_start)
               AND timestamp <= TIMESTAMPDIFF(SECOND, '1970-01-01', :window_end))
           OR (updated_at = 0 AND timestamp = 0))
) AS around_the_window
WHERE (updated_at >= :window_start AND updated_at < :window_end)
   OR updated_at IS NULL
