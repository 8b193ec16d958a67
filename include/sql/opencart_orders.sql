-- OpenCart 3 and 4 (and ocStore, which is built on them).
--
-- Change: 'Europe/Paris' to the shop's time zone, see Time; the prefix oc_. For one store of several add
--   AND store_id = 0 to the inner condition.
-- Order id: order_id, which REES46's OpenCart module sends with the purchase.
-- Time: date_modified, set at every change of the status, as local time without a zone: in OpenCart 4 that of System,
--   Settings, your store, Local; in OpenCart 3 that of PHP (date.timezone) or, in its early releases, of the
--   database. Change an order and compare, to be sure; often it is simply UTC. MySQL knows a named zone only if its
--   time zone tables are loaded (mysql_tzinfo_to_sql /usr/share/zoneinfo | mysql mysql); without them updated_at is
--   NULL, every row is rejected as updated_at_missing, and nothing is sent. A zone without summer time needs no tables:
--   write '+03:00' for Moscow, '+00:00' for UTC. In the one hour of a year that clocks repeat, MySQL cannot tell which
--   of the two is meant; the lookback (keep it at 2h or more) reads both.
-- Read in every window: rows without a time, before 1990 or a day after now. They are rejected and counted, not missed.
-- Index: OpenCart has none on it. CREATE INDEX rees46_date_modified ON oc_order (date_modified)
-- Status: the number, which is the same in every language. Numbers and names of yours:
--   SELECT order_status_id, name FROM oc_order_status WHERE language_id = 1
-- Not read: orders of status 0, which were never confirmed ("Missing Orders") or were deleted (REES46 keeps the last
--   status of those).
-- Schema: OpenCart, upload/system/helper/db_schema.php (4), upload/install/opencart.sql (3).
SELECT order_id, status, updated_at
FROM (
    SELECT order_id,
           order_status_id AS status,
           CONVERT_TZ(date_modified, 'Europe/Paris', '+00:00') AS updated_at
    FROM oc_order
    WHERE order_status_id <> 0
      -- The stored column, so that an index can be used; a day more on both sides than any time zone needs.
      AND ((date_modified >= :window_start - INTERVAL 1 DAY AND date_modified < :window_end + INTERVAL 1 DAY)
           OR date_modified < '1990-01-01' OR date_modified >= UTC_TIMESTAMP())
) AS around_the_window
WHERE (updated_at >= :window_start AND updated_at < :window_end)
   OR updated_at IS NULL OR updated_at < '1990-01-01' OR updated_at >= UTC_TIMESTAMP() + INTERVAL 1 DAY
