/*---
name: customers
table: customers
---*/
-- What the shop knows of each customer from all invoices: a tier by spend, days since the last purchase, and what buyers of
-- the same products bought that this customer has not. Days count from the newest invoice of the file, which is of 2010.
WITH lines AS (
  SELECT profile_id, event_time, properties->>'stock' AS stock,
    (properties->>'qty')::INTEGER * (properties->>'price')::DOUBLE AS paid
  FROM profile_events WHERE name = 'Line Bought'
), customers AS (
  SELECT links.value AS customer, profile_id, sum(paid) AS spend, max(event_time) AS last_purchase
  FROM lines JOIN links USING (profile_id) WHERE links.key_name = $key
  GROUP BY ALL
), bought AS (
  SELECT DISTINCT profile_id, stock FROM lines JOIN customers USING (profile_id)
  -- Postage, samples and the like are no products.
  WHERE regexp_full_match(stock, '[0-9]{5}[A-Z]*')
), popular AS (
  SELECT stock, count(*) AS buyers FROM bought GROUP BY stock HAVING count(*) >= 15
), together AS (
  SELECT a.stock AS stock, b.stock AS other, count(*) AS both
  FROM bought a JOIN bought b USING (profile_id)
  WHERE a.stock <> b.stock AND a.stock IN (SELECT stock FROM popular) AND b.stock IN (SELECT stock FROM popular)
  GROUP BY ALL
), offers AS (
  SELECT bought.profile_id, together.other AS offer, sum(together.both / popular.buyers) AS score
  FROM bought JOIN together USING (stock) JOIN popular USING (stock)
  WHERE NOT EXISTS (FROM bought own WHERE own.profile_id = bought.profile_id AND own.stock = together.other)
  GROUP BY ALL
), best AS (
  SELECT profile_id, arg_max(offer, (score, offer)) AS offer FROM offers GROUP BY profile_id
)
SELECT customer AS key, spend,
  CASE WHEN spend >= 1000 THEN 'Gold' WHEN spend >= 300 THEN 'Silver' ELSE 'Bronze' END AS tier,
  date_diff('day', last_purchase, (SELECT max(event_time) FROM lines)) AS days_since_purchase,
  offer AS next_best_offer
FROM customers LEFT JOIN best USING (profile_id)
