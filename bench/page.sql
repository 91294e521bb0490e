-- pgbench: the newest page of an account's history, as the service reads it.
\set account_id random(1000, 999 + :accounts)
SELECT transaction_id, type, direction, amount, currency, balance_after, counterparty_account_id, reference, metadata::text, created_at
  FROM (SELECT from_account_id AS account_id, transaction_id, type, 'debit' AS direction, amount, currency, from_balance_after AS balance_after, to_account_id AS counterparty_account_id, reference, metadata, created_at
          FROM banking.transaction_log
         UNION ALL
        SELECT to_account_id, transaction_id, type, 'credit', amount, currency, to_balance_after, from_account_id, reference, metadata, created_at
          FROM banking.transaction_log) AS entry
 WHERE (account_id, transaction_id) < (:account_id, 9223372036854775807) AND account_id >= :account_id
 ORDER BY account_id DESC, transaction_id DESC
 LIMIT 51;
