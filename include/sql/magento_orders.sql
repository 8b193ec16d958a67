-- Magento Open Source 2 and Adobe Commerce.
--
-- Change: the table's name, if env.php has a table_prefix. For one store of several add AND store_id = 1 (or IN (…)).
-- Order id: increment_id, the number that the customer sees. REES46's Magento 2 module sends it with the purchase as an
--   integer, without the leading zeros: 000000012 is known to REES46 as 12, as this query returns it. If another tag
--   sends the purchase with the unchanged number, write: increment_id AS order_id
--   Check one order in REES46 before the first run.
-- Time: updated_at, a TIMESTAMP, which MySQL returns in the session's time zone; the sync sets UTC. MySQL sets it
--   at every change of the row. Magento has an index on it.
-- Status: status, not state: it is what people see and what REES46's module maps. Add your own statuses to the shop
--   file. To use only Magento's eight fixed states (new, pending_payment, processing, complete, closed,
--   canceled, holded, payment_review), write: state AS status
-- Read in every window: rows without a time, before 1990 or a day after now. They are rejected and counted, not missed.
-- An order that is edited in the Admin becomes two orders: the old one canceled, and a new one (000000012-1).
-- Schema: Magento, app/code/Magento/Sales/etc/db_schema.xml.
SELECT TRIM(LEADING '0' FROM increment_id) AS order_id,
       status,
       updated_at
FROM sales_order
WHERE (updated_at >= :window_start AND updated_at < :window_end)
   OR updated_at IS NULL OR updated_at < '1990-01-01' OR updated_at >= UTC_TIMESTAMP() + INTERVAL 1 DAY
