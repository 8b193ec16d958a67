-- The orders that changed in the window: a row for each change, times in UTC.
-- Rows without a time belong to no window. They are read as well, so that they are rejected instead of overlooked.
SELECT order_id, status, updated_at
FROM orders
WHERE (updated_at >= :window_start AND updated_at < :window_end)
   OR updated_at IS NULL
