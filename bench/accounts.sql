-- :accounts more customers with 1000.00 USD each, as if each had been opened with that deposit, in one block.
BEGIN;
SELECT last_block_id AS block, last_transaction_id AS last, last_account_event_id AS event, last_account_id + 1 AS first,
       last_created_at AS now, last_hash AS hash FROM ledger_head FOR UPDATE \gset
SELECT balance AS settlement FROM account WHERE account_id = 840 FOR UPDATE \gset
INSERT INTO account (account_id, owner_name, currency, balance, created_at)
SELECT account_id, 'Customer ' || account_id, 'USD', 1000, :'now'
  FROM generate_series(:first::bigint, :first + :accounts - 1) AS account_id;
INSERT INTO transaction_log (transaction_id, type, from_account_id, to_account_id, amount, currency, from_balance_after, to_balance_after, client_id, idempotency_key, created_at)
SELECT :last + number, 'deposit', 840, :first + number - 1, 1000, 'USD', :settlement - 1000 * number, 1000, 'bench', 'opening ' || :first + number - 1, :'now'
  FROM generate_series(1::bigint, :accounts) AS number;
INSERT INTO account_log (account_event_id, type, account_id, status_after, overdraft_limit_after, held_after, balance_after, after_transaction_id, client_id, idempotency_key, request_hash, created_at)
SELECT :event + number, 'opened', :first + number - 1, 'active', 0, 0, 0, :last + number - 1, 'bench', 'opening ' || :first + number - 1, sha256(''), :'now'
  FROM generate_series(1::bigint, :accounts) AS number;
UPDATE account SET balance = :settlement - 1000 * :accounts::bigint WHERE account_id = 840;
INSERT INTO ledger_block (block_id, last_transaction_id, last_account_event_id, hash_format, previous_hash, hash, created_at)
VALUES (:block + 1, :last + :accounts, :event + :accounts, 1, :'hash',
        ledger_block_hash(:'hash', :block + 1, :'now', :last, :last + :accounts, :event, :event + :accounts), :'now');
UPDATE ledger_head
   SET last_block_id = block.block_id, last_transaction_id = block.last_transaction_id, last_account_event_id = block.last_account_event_id,
       last_account_id = :first + :accounts - 1, last_hash = block.hash
  FROM ledger_block AS block WHERE block.block_id = :block + 1;
COMMIT;
