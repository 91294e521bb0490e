-- pgbench: the newest page of an account's history, as the service reads it.
\set account_id random(1000, 999 + :accounts)
SELECT transaction_id, type, direction = 'credit' AS is_credit, amount, balance_after, counterparty_account_id, reverses_transaction_id, hold_id, reference, metadata::text, created_at, currency,
       NULLIF(ARRAY(SELECT reversal.transaction_id FROM banking.transaction_log AS reversal WHERE reversal.reverses_transaction_id = entry.transaction_id ORDER BY reversal.transaction_id), '{}') AS reversed_by
  FROM banking.account_entry AS entry
 WHERE (account_id, transaction_id) < (:account_id, 9223372036854775807) AND account_id >= :account_id
 ORDER BY account_id DESC, transaction_id DESC
 LIMIT 51;
