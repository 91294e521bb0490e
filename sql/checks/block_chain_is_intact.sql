-- Every block carries the hash of the block before it and the hash of its own log rows, and the head stands at the last one.
-- A row is a block at which the chain breaks: in it, or between it and the one before, a log row is no longer what was written.
SELECT block.last_transaction_id
     , encode(block.hash, 'hex') AS hash
  FROM (SELECT last_transaction_id
             , previous_hash
             , hash
             , lag(last_transaction_id, 1, 0::bigint) OVER (ORDER BY last_transaction_id) AS after_transaction_id
             , lag(hash, 1, sha256('')) OVER (ORDER BY last_transaction_id) AS hash_before
          FROM ledger_block) AS block
 WHERE block.previous_hash <> block.hash_before
    OR block.hash IS DISTINCT FROM ledger_block_hash(block.previous_hash, block.after_transaction_id, block.last_transaction_id)
 UNION ALL
SELECT head.last_transaction_id
     , encode(head.last_hash, 'hex')
  FROM (SELECT) AS book
  LEFT JOIN ledger_head AS head ON true
  LEFT JOIN (SELECT last_transaction_id, hash
               FROM ledger_block
              ORDER BY last_transaction_id DESC
              LIMIT 1) AS block ON true
 WHERE head.last_hash IS DISTINCT FROM COALESCE(block.hash, sha256(''))
    OR head.last_transaction_id IS DISTINCT FROM COALESCE(block.last_transaction_id, 0);
