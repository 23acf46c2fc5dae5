/*---
name: category_affinity
cron: '30 3 * * *'
table: category_affinity
params:
  view_event: Product Viewed
  view_weight: 1
  cart_event: Product Added
  cart_weight: 3
  order_event: Order Completed
  order_weight: 5
  category: category
  products: products
  half_life_days: 30
---*/
-- What each customer is drawn to: events about a category count by their kind, half as much with every half_life_days. An
-- order says its category itself, or that of each of its products.
-- The table: { name: category_affinity, key: customer_id, attributes: { top: string, share: number, categories: list } }
WITH weighed AS (
  SELECT profile_id, properties,
    CASE name WHEN $view_event THEN $view_weight WHEN $cart_event THEN $cart_weight ELSE $order_weight END
      * pow(0.5, date_diff('second', event_time, $now) / 86400.0 / $half_life_days) AS weight
  FROM profile_events WHERE name IN ($view_event, $cart_event, $order_event) AND event_time <= $now
), named AS (
  SELECT profile_id, weight, properties->>$category AS category FROM weighed
  UNION ALL
  SELECT profile_id, weight, item->>$category
  FROM (SELECT profile_id, weight, unnest(try_cast(properties->$products AS JSON[])) AS item FROM weighed)
), scored AS (
  SELECT profile_id, category, sum(weight) AS score FROM named
  WHERE category IS NOT NULL AND category <> '' GROUP BY ALL
), ranked AS (
  SELECT profile_id, arg_max(category, score) AS top, max(score) / sum(score) AS share,
    list(category ORDER BY score DESC, category)[:5] AS categories
  FROM scored GROUP BY profile_id
)
SELECT links.value AS key, categories[1] AS top, share, categories
FROM ranked JOIN links USING (profile_id)
WHERE links.key_name = $key
