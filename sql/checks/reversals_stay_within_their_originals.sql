-- The reversals of a transaction together give back at most its amount, in its currency, between its two accounts. A reversal
-- is never reversed itself.
-- Each row is a transaction with reversals that break this.
SELECT original.transaction_id
     , original.amount
     , reversed.amount AS reversed_amount
     , reversed.wrong AS reversals_elsewhere
  FROM (SELECT reversal.reverses_transaction_id
             , pg_catalog.sum(reversal.amount) AS amount
             , pg_catalog.count(*) FILTER (WHERE reversal.from_account_id <> original.to_account_id
                                              OR reversal.to_account_id <> original.from_account_id
                                              OR reversal.currency <> original.currency
                                              OR original.type = 'reversal') AS wrong
          FROM transaction_log AS reversal
          JOIN transaction_log AS original ON original.transaction_id = reversal.reverses_transaction_id
         WHERE reversal.reverses_transaction_id IS NOT NULL
         GROUP BY reversal.reverses_transaction_id) AS reversed
  JOIN transaction_log AS original ON original.transaction_id = reversed.reverses_transaction_id
 WHERE reversed.amount > original.amount
    OR reversed.wrong > 0
 ORDER BY original.transaction_id;
