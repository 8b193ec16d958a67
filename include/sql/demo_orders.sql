-- The orders that changed in the window: a row for each change, times in UTC.
-- Read in every window: rows without a time, before 1990 or a day after now. They are rejected and counted, not missed.
SELECT order_id, status, updated_at
FROM orders
WHERE (updated_at >= :window_start AND updated_at < :window_end)
   OR updated_at IS NULL OR updated_at < '1990-01-01' OR updated_at >= datetime('now', '+1 day')
