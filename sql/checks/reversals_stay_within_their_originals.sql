-- The reversals of a transaction together give back at most its amount, in its currency, between its two accounts. A reversal
-- is never reversed itself, and captures no hold.
-- Each row is a transaction with reversals that break this, or, without an id, the reversals that reverse nothing.
SELECT reversal.reverses_transaction_id AS transaction_id
     , original.amount
     , pg_catalog.sum(reversal.amount) AS reversed_amount
     , pg_catalog.count(*) FILTER (WHERE is_right IS NOT TRUE) AS wrong_reversals
  FROM transaction_log AS reversal
  LEFT JOIN transaction_log AS original ON original.transaction_id = reversal.reverses_transaction_id
 CROSS JOIN LATERAL (SELECT reversal.type = 'reversal'
                        AND original.type <> 'reversal'
                        AND reversal.transaction_id > original.transaction_id
                        AND reversal.from_account_id = original.to_account_id
                        AND reversal.to_account_id = original.from_account_id
                        AND reversal.currency = original.currency
                        AND reversal.hold_id IS NULL AS is_right) AS judged
 WHERE reversal.type = 'reversal'
    OR reversal.reverses_transaction_id IS NOT NULL
 GROUP BY reversal.reverses_transaction_id, original.amount
HAVING pg_catalog.sum(reversal.amount) > original.amount
    OR pg_catalog.count(*) FILTER (WHERE is_right IS NOT TRUE) > 0
 ORDER BY 1;
