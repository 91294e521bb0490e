-- pgbench: the same transfer as a careful team would write it by hand, one transaction each; with -D hot=1 always between account
-- 1000 and another.
\set first CASE WHEN :hot = 1 THEN 0 ELSE random(0, :accounts - 1) END
\set second (:first + random(1, :accounts - 1)) % :accounts
\set out random(0, 1)
\set from 1000 + CASE WHEN :out = 1 THEN :first ELSE :second END
\set to 1000 + CASE WHEN :out = 1 THEN :second ELSE :first END
BEGIN;
SELECT account_id, currency, status, balance, overdraft_limit FROM account WHERE account_id IN (:from, :to) ORDER BY account_id FOR UPDATE;
UPDATE account SET balance = balance - 0.01 WHERE account_id = :from RETURNING balance AS from_balance \gset
UPDATE account SET balance = balance + 0.01 WHERE account_id = :to RETURNING balance AS to_balance \gset
INSERT INTO transaction_log (transaction_id, type, from_account_id, to_account_id, amount, currency, from_balance_after, to_balance_after, client_id, idempotency_key, created_at) VALUES (nextval('by_hand_id'), 'transfer', :from, :to, 0.01, 'USD', :from_balance, :to_balance, 'pgbench', gen_random_uuid()::text, clock_timestamp());
COMMIT;
