-- In each account, the balance after an entry is the balance after the entry before it plus the entry's amount.
-- Each row is an entry whose balance does not follow from the one before.
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
