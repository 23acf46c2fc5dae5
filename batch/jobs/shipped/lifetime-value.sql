/*---
name: lifetime_value
cron: '10 3 * * *'
table: lifetime_value
params:
  order_event: Order Completed
  revenue: revenue
  least_days: 30
---*/
-- What each customer has brought, and brings in a year at that rate (a new one counts as least_days old).
-- The table: { name: lifetime_value, key: customer_id, attributes: { revenue: number, orders: number, average_order: number,
--   revenue_a_year: number, first_order_at: timestamp, last_order_at: timestamp, through: number } }
WITH customers AS (
  SELECT profile_id, count(*) AS orders, sum(coalesce(try_cast(properties->>$revenue AS DOUBLE), 0)) AS revenue,
    min(event_time) AS first_order_at, max(event_time) AS last_order_at
  FROM profile_events WHERE name = $order_event AND event_time <= $now GROUP BY profile_id
)
SELECT links.value AS key, revenue, orders, revenue / orders AS average_order,
  365 * revenue / greatest($least_days, date_diff('hour', first_order_at, $now) / 24) AS revenue_a_year,
  first_order_at, last_order_at, $through AS through
FROM customers JOIN links USING (profile_id)
WHERE links.key_name = $key
