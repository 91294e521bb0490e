-- :accounts more customers with 1000.00 USD each, as if each had been opened with that deposit.
BEGIN;
SELECT last_transaction_id AS last, last_created_at AS now FROM ledger_head FOR UPDATE \gset
SELECT balance AS settlement FROM account WHERE account_id = 840 FOR UPDATE \gset
SELECT greatest(max(account_id) + 1, 1000) AS first FROM account \gset
INSERT INTO account (account_id, owner_name, currency, balance, created_at, client_id, idempotency_key, opening_owner_name, opening_overdraft_limit)
SELECT account_id, 'Customer ' || account_id, 'USD', 1000, :'now', 'bench', 'opening ' || account_id, 'Customer ' || account_id, 0
  FROM generate_series(:first::bigint, :first + :accounts - 1) AS account_id;
INSERT INTO transaction_log (transaction_id, type, from_account_id, to_account_id, amount, currency, from_balance_after, to_balance_after, client_id, idempotency_key, created_at)
SELECT :last + number, 'deposit', 840, :first + number - 1, 1000, 'USD', :settlement - 1000 * number, 1000, 'bench', 'opening ' || :first + number - 1, :'now'
  FROM generate_series(1::bigint, :accounts) AS number;
UPDATE account SET balance = :settlement - 1000 * :accounts::bigint WHERE account_id = 840;
INSERT INTO ledger_block (last_transaction_id, previous_hash, hash, created_at)
SELECT :last + :accounts, last_hash, ledger_block_hash(last_hash, :last, :last + :accounts), :'now' FROM ledger_head;
UPDATE ledger_head SET last_transaction_id = block.last_transaction_id, last_hash = block.hash
  FROM ledger_block AS block WHERE block.last_transaction_id = :last + :accounts;
SELECT setval(pg_get_serial_sequence('account', 'account_id'), :first + :accounts - 1);
COMMIT;
