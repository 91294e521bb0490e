-- The ids of transactions run from 1 to the head without a gap. In that order, created_at never decreases.
-- Each row is a transaction with a missing or later one before it, or a head that is not at the end of the log.
SELECT transaction_id
     , previous_id
     , created_at
     , previous_created_at
  FROM (SELECT transaction_id
             , created_at
             , pg_catalog.lag(transaction_id, 1, 0::pg_catalog.int8) OVER by_id AS previous_id
             , pg_catalog.lag(created_at) OVER by_id AS previous_created_at
          FROM (SELECT transaction_id, created_at
                  FROM transaction_log
                 UNION ALL
                SELECT head.last_transaction_id + 1, head.last_created_at
                  FROM (SELECT) AS book
                  LEFT JOIN ledger_head AS head ON true) AS log_and_head
        WINDOW by_id AS (ORDER BY transaction_id)) AS neighbours
 WHERE transaction_id IS DISTINCT FROM previous_id + 1
    OR created_at < previous_created_at
 ORDER BY transaction_id;
