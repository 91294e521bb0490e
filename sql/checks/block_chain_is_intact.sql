-- Every block has the hash of the block before it, and a hash over its own rows of both logs. The head names the last block.
-- Each row is a block where the chain breaks: one of its log rows, or the block itself, is not what was written.
--
-- This query computes the hash itself (format 1 of 0007_ledger_block.sql) and calls only PostgreSQL's own functions, because the
-- owner of the book could change a function of the book. The hash does not cover account.owner_name, reference and metadata.
SELECT block.block_id
     , block.last_transaction_id
     , block.last_account_event_id
     , pg_catalog.encode(block.hash, 'hex') AS hash
  FROM ledger_block AS block
  LEFT JOIN ledger_block AS before
    ON before.block_id = block.block_id - 1
 WHERE (before.block_id IS NULL AND block.block_id <> 1)
    OR block.previous_hash <> COALESCE(before.hash, pg_catalog.sha256(''))
    OR block.last_transaction_id < COALESCE(before.last_transaction_id, 0)
    OR block.last_account_event_id < COALESCE(before.last_account_event_id, 0)
    OR block.created_at < before.created_at
    OR block.hash_format <> 1
    OR block.hash <> pg_catalog.sha256(
           pg_catalog.record_send(ROW(block.previous_hash, block.block_id, block.created_at, block.last_transaction_id, block.last_account_event_id))
        || COALESCE((SELECT pg_catalog.string_agg(pg_catalog.record_send(ROW(
                            log.transaction_id,
                            pg_catalog.convert_to(log.type, 'UTF8'),
                            log.from_account_id,
                            log.to_account_id,
                            log.amount,
                            pg_catalog.convert_to(log.currency, 'UTF8'),
                            log.from_balance_after,
                            log.to_balance_after,
                            log.reverses_transaction_id,
                            log.hold_id,
                            pg_catalog.convert_to(log.client_id, 'UTF8'),
                            pg_catalog.convert_to(log.idempotency_key, 'UTF8'),
                            log.part,
                            log.request_hash,
                            pg_catalog.convert_to(log.reference, 'UTF8'),
                            pg_catalog.convert_to(log.metadata::pg_catalog.text, 'UTF8'),
                            log.created_at)), ''::pg_catalog.bytea ORDER BY log.transaction_id)
                       FROM transaction_log AS log
                      WHERE log.transaction_id > COALESCE(before.last_transaction_id, 0)
                        AND log.transaction_id <= block.last_transaction_id), ''::pg_catalog.bytea)
        || COALESCE((SELECT pg_catalog.string_agg(pg_catalog.record_send(ROW(
                            log.account_event_id,
                            pg_catalog.convert_to(log.type, 'UTF8'),
                            log.account_id,
                            log.hold_id,
                            log.amount,
                            log.hold_to_account_id,
                            log.hold_expires_at,
                            pg_catalog.convert_to(log.status_after, 'UTF8'),
                            log.overdraft_limit_after,
                            log.held_after,
                            log.balance_after,
                            log.after_transaction_id,
                            pg_catalog.convert_to(log.client_id, 'UTF8'),
                            pg_catalog.convert_to(log.idempotency_key, 'UTF8'),
                            log.request_hash,
                            pg_catalog.convert_to(log.reason, 'UTF8'),
                            log.created_at)), ''::pg_catalog.bytea ORDER BY log.account_event_id)
                       FROM account_log AS log
                      WHERE log.account_event_id > COALESCE(before.last_account_event_id, 0)
                        AND log.account_event_id <= block.last_account_event_id), ''::pg_catalog.bytea))
 UNION ALL
SELECT head.last_block_id
     , head.last_transaction_id
     , head.last_account_event_id
     , pg_catalog.encode(head.last_hash, 'hex')
  FROM (SELECT) AS book
  LEFT JOIN ledger_head AS head ON true
  LEFT JOIN (SELECT block_id, last_transaction_id, last_account_event_id, hash
               FROM ledger_block
              ORDER BY block_id DESC
              LIMIT 1) AS block ON true
 WHERE head.last_hash IS DISTINCT FROM COALESCE(block.hash, pg_catalog.sha256(''))
    OR head.last_block_id IS DISTINCT FROM COALESCE(block.block_id, 0)
    OR head.last_transaction_id IS DISTINCT FROM COALESCE(block.last_transaction_id, 0)
    OR head.last_account_event_id IS DISTINCT FROM COALESCE(block.last_account_event_id, 0);
