/*---
name: last_purchase
cron: '20 3 * * *'
table: last_purchase
params:
  order_event: Order Completed
---*/
-- Whole days since the last purchase, by the time of the run.
-- The table: { name: last_purchase, key: customer_id, attributes: { days: number, at: timestamp } }
SELECT links.value AS key, floor(date_diff('second', max(event_time), $now) / 86400) AS days,
  max(event_time) AS at
FROM profile_events JOIN links USING (profile_id)
WHERE profile_events.name = $order_event AND event_time <= $now AND links.key_name = $key
GROUP BY links.value
