-- walkback: parents=20240603,20240610

-- Both teams are done: what a customer has, in one place.
CREATE VIEW customer_standing AS
SELECT loyalty_accounts.customer_id,
       loyalty_accounts.tier,
       loyalty_accounts.points,
       coalesce(sum(orders.discount_cents), 0) AS discounts_cents
FROM loyalty_accounts
LEFT JOIN orders ON orders.customer_id = loyalty_accounts.customer_id
GROUP BY loyalty_accounts.customer_id;
