/*---
name: purchase_propensity
cron: '0 4 * * *'
table: purchase_propensity
timeout: 1h
params:
  order_event: Order Completed
  view_event: Product Viewed
  revenue: revenue
  horizon_days: 30
  held_out_percent: 20
---*/
// How likely each customer is to buy within horizon_days. A logistic regression learns it from the last horizon: what was
// known before it, against who bought in it. A share of the customers is held out, and tells how good it is (in the log).
// The table: { name: purchase_propensity, key: customer_id, attributes: { probability: number, decile: number } }
import { createHash } from 'node:crypto';

const DAY_MS = 86_400_000;
const NAMES = [
  'orders',
  'orders_recent',
  'revenue',
  'views_recent',
  'days_since_order',
  'days_since_event',
  'days_known',
];
const ROUNDS_MAX = 50;
const RIDGE = 1;
/** Fewer buyers than this teach nothing. */
const BUYERS_MIN = 20;

/** What is known of each profile at a time; days and counts as logarithms, since the first ones say most. */
const FEATURES = `
  SELECT profile_id,
    ln(1 + count(*) FILTER (name = $order_event)) AS orders,
    ln(1 + count(*) FILTER (name = $order_event AND event_time > $at - to_days($horizon_days::INTEGER))) AS orders_recent,
    ln(1 + greatest(0, coalesce(sum(try_cast(properties->>$revenue AS DOUBLE)) FILTER (name = $order_event), 0))) AS revenue,
    ln(1 + count(*) FILTER (name = $view_event AND event_time > $at - to_days($horizon_days::INTEGER))) AS views_recent,
    ln(1 + coalesce(date_diff('second', max(event_time) FILTER (name = $order_event), $at) / 86400.0, 3650)) AS days_since_order,
    ln(1 + date_diff('second', max(event_time), $at) / 86400.0) AS days_since_event,
    ln(1 + date_diff('second', min(event_time), $at) / 86400.0) AS days_known
  FROM profile_events WHERE event_time <= $at GROUP BY profile_id`;

export async function* run({ query, stream, now, params, log }) {
  const horizonMs = params.horizon_days * DAY_MS;
  const then = new Date(now.getTime() - horizonMs);
  const sql = `WITH known AS (${FEATURES}), buyers AS (
      SELECT DISTINCT profile_id FROM profile_events WHERE name = $order_event AND event_time > $at AND event_time <= $until)
    SELECT known.*, buyers.profile_id IS NOT NULL AS bought FROM known LEFT JOIN buyers USING (profile_id)`;
  const taught = { x: [], y: [] };
  const held = { x: [], y: [] };
  for await (const row of stream(sql, { at: then, until: now })) {
    const part = isHeldOut(row.profile_id, params.held_out_percent) ? held : taught;
    part.x.push(NAMES.map((name) => row[name]));
    part.y.push(row.bought ? 1 : 0);
  }
  const buyers = sum(taught.y);
  if (buyers < BUYERS_MIN || taught.y.length - buyers < BUYERS_MIN)
    throw new Error(
      `of ${taught.y.length} customers to learn from, ${buyers} bought in the last ${params.horizon_days} days: at least ${BUYERS_MIN} who did and ${BUYERS_MIN} who did not are needed`,
    );
  const model = learn(taught.x, taught.y);
  tell(model, taught, held, log);
  const now_ = await query(
    `SELECT links.value AS key, known.* EXCLUDE (profile_id)
    FROM (${FEATURES}) known JOIN links USING (profile_id) WHERE links.key_name = $key`,
    { at: now },
  );
  const scored = now_.map((row) => ({
    row,
    p: predict(
      model,
      NAMES.map((name) => row[name]),
    ),
  }));
  scored.sort((a, b) => a.p - b.p || (a.row.key < b.row.key ? -1 : 1));
  for (const [index, { row, p }] of scored.entries())
    yield {
      key: row.key,
      probability: Math.round(p * 1e6) / 1e6,
      decile: 1 + Math.floor((10 * index) / scored.length),
    };
}

/** The same customers in every run. */
function isHeldOut(id, percent) {
  return createHash('sha256').update(id).digest().readUInt32BE(0) % 100 < percent;
}

/** Newton's method on standardized features, with a little ridge so that it always converges. */
function learn(rows, labels) {
  const means = NAMES.map((_, j) => sum(rows.map((row) => row[j])) / rows.length);
  const scales = NAMES.map(
    (_, j) => Math.sqrt(sum(rows.map((row) => (row[j] - means[j]) ** 2)) / rows.length) || 1,
  );
  const xs = rows.map((row) => [1, ...row.map((value, j) => (value - means[j]) / scales[j])]);
  const size = NAMES.length + 1;
  let weights = new Array(size).fill(0);
  for (let round = 0; round < ROUNDS_MAX; round++) {
    const slope = weights.map((weight, j) => (j === 0 ? 0 : -RIDGE * weight));
    const bend = weights.map((_, j) => weights.map((__, k) => (j === k && j > 0 ? RIDGE : 0)));
    for (let i = 0; i < xs.length; i++) {
      const x = xs[i];
      const p = sigmoid(dot(weights, x));
      const w = Math.max(p * (1 - p), 1e-9);
      for (let j = 0; j < size; j++) {
        slope[j] += x[j] * (labels[i] - p);
        for (let k = 0; k < size; k++) bend[j][k] += w * x[j] * x[k];
      }
    }
    const step = solve(bend, slope);
    weights = weights.map((weight, j) => weight + step[j]);
    if (Math.max(...step.map(Math.abs)) < 1e-8) break;
  }
  return { means, scales, weights };
}

function predict({ means, scales, weights }, row) {
  return sigmoid(dot(weights, [1, ...row.map((value, j) => (value - means[j]) / scales[j])]));
}

function tell(model, taught, held, log) {
  const weights = NAMES.map((name, j) => `${name} ${model.weights[j + 1].toFixed(2)}`);
  log(`learned from ${taught.y.length} customers, ${sum(taught.y)} of whom bought: ${weights.join(', ')}`);
  const bought = sum(held.y);
  if (bought === 0 || bought === held.y.length) {
    log(`of ${held.y.length} customers held out, ${bought} bought: that does not tell how good it is`);
    return;
  }
  const found = held.x.map((row) => predict(model, row));
  const share = sum(taught.y) / taught.y.length;
  const blind = logLoss(
    held.y,
    held.y.map(() => share),
  );
  log(
    `held out: ${held.y.length} customers, ${bought} of whom bought: AUC ${areaUnderCurve(held.y, found).toFixed(4)}, log-loss ${logLoss(held.y, found).toFixed(4)} (${blind.toFixed(4)} by the share alone)`,
  );
}

/** How often one who bought has a higher score than one who did not; equal scores count half. */
function areaUnderCurve(labels, scores) {
  const order = scores.map((_, i) => i).sort((a, b) => scores[a] - scores[b]);
  let ranks = 0;
  for (let i = 0; i < order.length; ) {
    let end = i;
    while (end < order.length && scores[order[end]] === scores[order[i]]) end++;
    for (let k = i; k < end; k++) if (labels[order[k]] === 1) ranks += (i + 1 + end) / 2;
    i = end;
  }
  const bought = sum(labels);
  return (ranks - (bought * (bought + 1)) / 2) / (bought * (labels.length - bought));
}

function logLoss(labels, scores) {
  const losses = labels.map((label, i) => {
    const p = Math.min(Math.max(scores[i], 1e-15), 1 - 1e-15);
    return label === 1 ? -Math.log(p) : -Math.log(1 - p);
  });
  return sum(losses) / losses.length;
}

/** Gaussian elimination with pivoting. */
function solve(matrix, right) {
  const rows = matrix.map((row, i) => [...row, right[i]]);
  const size = right.length;
  for (let j = 0; j < size; j++) {
    let best = j;
    for (let i = j + 1; i < size; i++) if (Math.abs(rows[i][j]) > Math.abs(rows[best][j])) best = i;
    [rows[j], rows[best]] = [rows[best], rows[j]];
    for (let i = 0; i < size; i++) {
      if (i === j) continue;
      const factor = rows[i][j] / rows[j][j];
      for (let k = j; k <= size; k++) rows[i][k] -= factor * rows[j][k];
    }
  }
  return rows.map((row, j) => row[size] / row[j]);
}

function sigmoid(value) {
  return 1 / (1 + Math.exp(-value));
}

function dot(a, b) {
  let total = 0;
  for (let i = 0; i < a.length; i++) total += a[i] * b[i];
  return total;
}

function sum(values) {
  let total = 0;
  for (const value of values) total += value;
  return total;
}
