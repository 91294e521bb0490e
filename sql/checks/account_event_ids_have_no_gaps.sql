-- The ids of account events run from 1 to the head without a gap. In that order, created_at and after_transaction_id never decrease.
-- Each row is an event with a missing or later event before it, or a head that is not at the end of the log.
SELECT account_event_id
     , previous_id
     , created_at
     , previous_created_at
     , after_transaction_id
     , previous_after_transaction_id
  FROM (SELECT account_event_id
             , created_at
             , after_transaction_id
             , pg_catalog.lag(account_event_id, 1, 0::pg_catalog.int8) OVER by_id AS previous_id
             , pg_catalog.lag(created_at) OVER by_id AS previous_created_at
             , pg_catalog.lag(after_transaction_id) OVER by_id AS previous_after_transaction_id
          FROM (SELECT account_event_id, created_at, after_transaction_id
                  FROM account_log
                 UNION ALL
                SELECT head.last_account_event_id + 1, head.last_created_at, head.last_transaction_id
                  FROM (SELECT) AS book
                  LEFT JOIN ledger_head AS head ON true) AS log_and_head
        WINDOW by_id AS (ORDER BY account_event_id)) AS neighbours
 WHERE account_event_id IS DISTINCT FROM previous_id + 1
    OR created_at < previous_created_at
    OR after_transaction_id < previous_after_transaction_id
 ORDER BY account_event_id;
