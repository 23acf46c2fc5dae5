/*---
name: rfm
cron: '0 3 * * *'
table: rfm
params:
  order_event: Order Completed
  revenue: revenue
---*/
-- Recency, frequency and monetary value: a fifth of the known customers each, 5 is best; and a tier by the sum of the three.
-- The table: { name: rfm, key: customer_id, attributes: { recency: number, frequency: number, monetary: number,
--   score: number, tier: string } }
WITH orders AS (
  SELECT profile_id, event_time, coalesce(try_cast(properties->>$revenue AS DECIMAL(18, 4)), 0) AS revenue
  FROM profile_events WHERE name = $order_event AND event_time <= $now
    AND profile_id IN (SELECT profile_id FROM links WHERE key_name = $key)
), customers AS (
  SELECT profile_id, max(event_time) AS last_order, count(*) AS orders, sum(revenue) AS revenue
  FROM orders GROUP BY profile_id
), scored AS (
  -- Whoever is equal gets the same: by how many customers are worse.
  SELECT profile_id,
    least(5, 1 + 5 * (rank() OVER (ORDER BY last_order) - 1) // others) AS recency,
    least(5, 1 + 5 * (rank() OVER (ORDER BY orders) - 1) // others) AS frequency,
    least(5, 1 + 5 * (rank() OVER (ORDER BY revenue) - 1) // others) AS monetary
  FROM (SELECT *, greatest(1, count(*) OVER () - 1) AS others FROM customers)
)
SELECT links.value AS key, recency, frequency, monetary, recency + frequency + monetary AS score,
  CASE WHEN recency + frequency + monetary >= 12 THEN 'Gold'
       WHEN recency + frequency + monetary >= 8 THEN 'Silver'
       ELSE 'Bronze' END AS tier
FROM scored JOIN links USING (profile_id)
WHERE links.key_name = $key
