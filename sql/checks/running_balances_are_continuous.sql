-- Along an account's entries each balance is the one before it plus the entry's amount.
-- A row is the first entry after a break.
SELECT account_id
     , transaction_id
     , balance_before + amount AS balance_expected
     , balance_after
  FROM (SELECT account_id
             , transaction_id
             , amount
             , balance_after
             , pg_catalog.lag(balance_after, 1, 0) OVER (PARTITION BY account_id ORDER BY transaction_id) AS balance_before
          FROM (SELECT to_account_id AS account_id, transaction_id, amount, to_balance_after AS balance_after
                  FROM transaction_log
                 UNION ALL
                SELECT from_account_id, transaction_id, -amount, from_balance_after
                  FROM transaction_log) AS both_sides) AS entry
 WHERE balance_after <> balance_before + amount
 ORDER BY account_id, transaction_id;
