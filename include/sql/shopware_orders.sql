-- Shopware 6. (Shopware 5 has other tables.)
--
-- Change: nothing, for one sales channel. For one of several add AND orders.sales_channel_id = UNHEX('…') to the inner
--   condition, with the channel's id as the Administration shows it in its address.
-- Order id: order_number, the number that the customer sees. REES46's plugin is only for Shopware 5: send here what
--   your theme or tag sends with the purchase event.
-- Time: Shopware writes UTC. An order that was never changed has no updated_at; then created_at counts. A payment has a
--   status and a time of its own, and its change may not set the order's time: the later of both is used.
-- Status: the order's, or refunded if one of its payments was refunded in full or charged back. Deliveries are not
--   used: Shopware knows shipped and returned there, not delivered.
-- Read in every window: rows without a time, before 1990 or a day after now. They are rejected and counted, not missed.
-- Index: Shopware has none on these. CREATE INDEX rees46_updated ON `order` (updated_at, created_at) and
--   CREATE INDEX rees46_updated ON order_transaction (updated_at, created_at)
-- Not read: versions other than the live one (0fa91ce3…), in which the Administration edits orders.
-- Schema: Shopware, src/Core/Migration/V6_3/Migration1536232990Order.php and those after it.
SELECT order_id, status, updated_at
FROM (
    SELECT orders.order_number AS order_id,
           CASE WHEN MAX(payment_state.technical_name IN ('refunded', 'chargeback')) = 1 THEN 'refunded'
                ELSE MAX(order_state.technical_name) END AS status,
           CASE WHEN LEAST(MIN(COALESCE(orders.updated_at, orders.created_at)),
                           MIN(COALESCE(payment.updated_at, payment.created_at, orders.created_at))) >= '1990-01-01'
                THEN GREATEST(MAX(COALESCE(orders.updated_at, orders.created_at)),
                              MAX(COALESCE(payment.updated_at, payment.created_at, orders.created_at)))
                END AS updated_at
    FROM (
        SELECT id FROM `order`
        WHERE (updated_at >= :window_start AND updated_at < :window_end)
           OR updated_at < '1990-01-01' OR updated_at >= UTC_TIMESTAMP() + INTERVAL 1 DAY
           OR (updated_at IS NULL AND created_at >= :window_start AND created_at < :window_end)
           OR (updated_at IS NULL AND (created_at < '1990-01-01' OR created_at >= UTC_TIMESTAMP() + INTERVAL 1 DAY))
        UNION
        SELECT order_id FROM order_transaction
        WHERE (updated_at >= :window_start AND updated_at < :window_end)
           OR updated_at < '1990-01-01' OR updated_at >= UTC_TIMESTAMP() + INTERVAL 1 DAY
           OR (updated_at IS NULL AND created_at >= :window_start AND created_at < :window_end)
           OR (updated_at IS NULL AND (created_at < '1990-01-01' OR created_at >= UTC_TIMESTAMP() + INTERVAL 1 DAY))
    ) AS changed
    JOIN `order` AS orders
        ON orders.id = changed.id AND orders.version_id = UNHEX('0FA91CE3E96A4BC2BE4BD9CE752C3425')
    LEFT JOIN state_machine_state AS order_state ON order_state.id = orders.state_id
    LEFT JOIN order_transaction AS payment
        ON payment.order_id = orders.id AND payment.order_version_id = orders.version_id
           AND payment.version_id = orders.version_id
    LEFT JOIN state_machine_state AS payment_state ON payment_state.id = payment.state_id
    GROUP BY orders.id, orders.order_number
) AS around_the_window
-- An order that changed again after the window belongs to a later one.
WHERE (updated_at >= :window_start AND updated_at < :window_end)
   OR updated_at IS NULL OR updated_at >= UTC_TIMESTAMP() + INTERVAL 1 DAY
