-- :accounts customers with 1000.00 USD each, as if each had been opened with that deposit.
BEGIN;
INSERT INTO account (account_id, owner_name, currency, balance, created_at, client_id, idempotency_key, opening_owner_name, opening_overdraft_limit)
SELECT nextval(pg_get_serial_sequence('account', 'account_id')), 'Customer ' || number, 'USD', 1000, clock_timestamp(), 'bench', 'opening ' || number, 'Customer ' || number, 0
  FROM generate_series(1, :accounts) AS number;
INSERT INTO transaction_log (transaction_id, type, from_account_id, to_account_id, amount, currency, from_balance_after, to_balance_after, client_id, idempotency_key, created_at)
SELECT number, 'deposit', 840, 999 + number, 1000, 'USD', -1000 * number, 1000, 'bench', 'opening ' || number, (SELECT last_created_at FROM ledger_head)
  FROM generate_series(1, :accounts) AS number;
UPDATE account SET balance = -1000 * :accounts WHERE account_id = 840;
INSERT INTO ledger_block (last_transaction_id, previous_hash, hash, created_at)
SELECT :accounts, last_hash, ledger_block_hash(last_hash, 0, :accounts), last_created_at
  FROM ledger_head;
UPDATE ledger_head SET last_transaction_id = :accounts, last_hash = block.hash FROM ledger_block AS block;
COMMIT;
VACUUM ANALYZE;
