/*---
name: next_best_offer
cron: '40 3 * * *'
table: next_best_offer
timeout: 1h
params:
  order_event: Order Completed
  product: product_id
  products: products
  products_max: 50
  together_min: 2
---*/
-- What others bought who bought the same: for each product that a customer has not bought, how often buyers of what it has
-- bought also bought it (a product that few bought together counts for nothing). Of each customer the last products_max.
-- The table: { name: next_best_offer, key: customer_id, attributes: { offer: string, score: number, offers: list } }
WITH orders AS (
  SELECT profile_id, event_time, properties FROM profile_events WHERE name = $order_event AND event_time <= $now
), items AS (
  SELECT profile_id, event_time, properties->>$product AS product FROM orders
  UNION ALL
  SELECT profile_id, event_time, item->>$product
  FROM (SELECT profile_id, event_time, unnest(try_cast(properties->$products AS JSON[])) AS item FROM orders)
), bought AS (
  SELECT profile_id, product FROM items WHERE product IS NOT NULL AND product <> ''
  GROUP BY profile_id, product
  QUALIFY row_number() OVER (PARTITION BY profile_id ORDER BY max(event_time) DESC, product) <= $products_max
), buyers AS (
  SELECT product, count(*) AS buyers FROM bought GROUP BY product
), together AS (
  SELECT a.product AS product, b.product AS other, count(*) AS both
  FROM bought a JOIN bought b USING (profile_id) WHERE a.product <> b.product
  GROUP BY ALL HAVING count(*) >= $together_min
), candidates AS (
  SELECT bought.profile_id, together.other AS product, avg(together.both / buyers.buyers) AS score
  FROM bought JOIN together USING (product) JOIN buyers USING (product)
  WHERE NOT EXISTS (FROM bought own WHERE own.profile_id = bought.profile_id AND own.product = together.other)
  GROUP BY ALL
), ranked AS (
  SELECT profile_id, list(product ORDER BY score DESC, product)[:5] AS offers, max(score) AS score
  FROM candidates GROUP BY profile_id
)
SELECT links.value AS key, offers[1] AS offer, score, offers
FROM ranked JOIN links USING (profile_id)
WHERE links.key_name = $key
