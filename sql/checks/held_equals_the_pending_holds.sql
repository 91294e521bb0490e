-- The held amount of an account is the sum of what its pending holds have left.
-- Each row is an account with another held amount.
SELECT account.account_id
     , account.held
     , COALESCE(pending.amount, 0) AS held_by_its_holds
  FROM account
  LEFT JOIN (SELECT account_id
                  , pg_catalog.sum(amount - captured_amount) AS amount
               FROM hold
              WHERE status = 'pending'
              GROUP BY account_id) AS pending
    ON pending.account_id = account.account_id
 WHERE account.held <> COALESCE(pending.amount, 0)
 ORDER BY account.account_id;
