-- What is held of an account is what is left of its pending holds.
-- A row is an account whose held amount says something else.
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
