-- Every account's balance is the sum of what it received minus the sum of what it sent, as the log has it.
-- Each row is an account whose balance, or whose rows of the log, changed without a posting.
SELECT account.account_id
     , account.balance
     , COALESCE(entry.total, 0) AS balance_by_the_log
  FROM account
  LEFT JOIN (SELECT account_id
                  , pg_catalog.sum(amount) AS total
               FROM (SELECT to_account_id AS account_id, amount
                       FROM transaction_log
                      UNION ALL
                     SELECT from_account_id, -amount
                       FROM transaction_log) AS both_sides
              GROUP BY account_id) AS entry
    ON entry.account_id = account.account_id
 WHERE account.balance <> COALESCE(entry.total, 0)
 ORDER BY account.account_id;
