-- PrestaShop 1.7, 8 and 9.
--
-- Change: 'Europe/Paris' to the shop's time zone (International, Localization, Time zone), see Time; the prefix ps_.
--   For one shop of several add AND id_shop = 1 to the inner condition.
-- Order id: id_order, which REES46's PrestaShop module exports. Not reference: orders from one cart share it.
-- Time: date_upd, which PrestaShop writes at every change of the order as local time without a zone. MySQL knows a
--   named zone only if its time zone tables are loaded (mysql_tzinfo_to_sql /usr/share/zoneinfo | mysql mysql);
--   without them updated_at is NULL, every row is rejected as updated_at_missing, and nothing is sent. A zone without
--   summer time needs no tables: write '+03:00' for Moscow. In the one hour of a year that clocks repeat, MySQL cannot
--   tell which of the two is meant; the lookback (keep it at 2h or more) reads both.
-- Read in every window: rows without a time, before 1990 or a day after now. They are rejected and counted, not missed.
-- Index: PrestaShop has none on it. CREATE INDEX rees46_date_upd ON ps_orders (date_upd)
-- Status: the number of the state, which is the same in every language. Numbers and names of yours:
--   SELECT id_order_state, name FROM ps_order_state_lang WHERE id_lang = 1
-- Not read: orders without a state (0), which are just being placed.
-- Schema: PrestaShop, install-dev/data/db_structure.sql.
SELECT order_id, status, updated_at
FROM (
    SELECT id_order AS order_id,
           current_state AS status,
           CONVERT_TZ(date_upd, 'Europe/Paris', '+00:00') AS updated_at
    FROM ps_orders
    WHERE current_state <> 0
      -- The stored column, so that an index can be used; a day more on both sides than any time zone needs.
      AND ((date_upd >= :window_start - INTERVAL 1 DAY AND date_upd < :window_end + INTERVAL 1 DAY)
           OR date_upd < '1990-01-01' OR date_upd >= UTC_TIMESTAMP())
) AS around_the_window
WHERE (updated_at >= :window_start AND updated_at < :window_end)
   OR updated_at IS NULL OR updated_at < '1990-01-01' OR updated_at >= UTC_TIMESTAMP() + INTERVAL 1 DAY
