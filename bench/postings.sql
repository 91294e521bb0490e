-- :postings more transfers of a cent between the accounts 1000 .. 1000 + :accounts - 1, by the service's own statements in write
-- transactions of 1000, as under full load. A fifth of them touches account 1000, which pays and is paid in turns.
SET plan_cache_mode = force_generic_plan;
SET enable_seqscan = off;
SET enable_hashjoin = off;
SET enable_mergejoin = off;
SET jit = off;
SET session_replication_role = replica; -- its accounts come from the join: half of the time would go into looking them up again
SELECT set_config('bench.postings', :'postings', false), set_config('bench.accounts', :'accounts', false);
DO $body$
DECLARE
    accounts CONSTANT bigint := current_setting('bench.accounts')::bigint - 1; -- without 1000
    size     CONSTANT int := least(1000, accounts / 2);
    head     ledger_head;
    now      timestamptz;
    hot      numeric;
    start    bigint;
BEGIN
    FOR batch IN 1 .. current_setting('bench.postings')::bigint / size LOOP
        SELECT * INTO head FROM ledger_head WHERE only_row FOR UPDATE;
        now := greatest(clock_timestamp(), head.last_created_at);
        start := random() * accounts;
        SELECT balance INTO hot FROM account WHERE account_id = 1000 FOR UPDATE;

        -- 7919 is prime: the two thousand accounts are all different, and scattered over the table.
        INSERT INTO transaction_log (transaction_id, type, from_account_id, to_account_id, amount, currency, from_balance_after, to_balance_after, client_id, idempotency_key, created_at)
        SELECT head.last_transaction_id + number, 'transfer', payer.account_id, payee.account_id, 0.01, 'USD',
               CASE payer.account_id WHEN 1000 THEN hot ELSE payer.balance END - 0.01,
               CASE payee.account_id WHEN 1000 THEN hot ELSE payee.balance + 0.01 END,
               'bench', lpad(to_hex(head.last_transaction_id + number), 32, '0'), now
          FROM (SELECT number
                     , CASE WHEN number <= size / 5 AND number % 2 = 1 THEN 1000 ELSE 1001 + (start + number * 7919) % accounts END AS payer_id
                     , CASE WHEN number <= size / 5 AND number % 2 = 0 THEN 1000 ELSE 1001 + (start + (size + number) * 7919) % accounts END AS payee_id
                  FROM generate_series(1, size) AS number) AS pair
          JOIN account AS payer ON payer.account_id = payer_id
          JOIN account AS payee ON payee.account_id = payee_id;

        UPDATE account
           SET balance = after.balance
          FROM transaction_log AS log
         CROSS JOIN LATERAL (VALUES (log.from_account_id, log.from_balance_after), (log.to_account_id, log.to_balance_after)) AS after (account_id, balance)
         WHERE log.transaction_id > head.last_transaction_id
           AND account.account_id = after.account_id
           AND after.account_id <> 1000;
        UPDATE account SET balance = hot WHERE account_id = 1000;

        INSERT INTO ledger_block (block_id, last_transaction_id, last_account_event_id, hash_format, previous_hash, hash, created_at)
        VALUES (head.last_block_id + 1, head.last_transaction_id + size, head.last_account_event_id, 1, head.last_hash,
                ledger_block_hash(head.last_hash, head.last_block_id + 1, now, head.last_transaction_id, head.last_transaction_id + size,
                                  head.last_account_event_id, head.last_account_event_id), now);
        UPDATE ledger_head
           SET last_block_id = block.block_id, last_transaction_id = block.last_transaction_id, last_created_at = now, last_hash = block.hash
          FROM ledger_block AS block WHERE only_row AND block.block_id = head.last_block_id + 1;
        COMMIT;
    END LOOP;
END
$body$;
