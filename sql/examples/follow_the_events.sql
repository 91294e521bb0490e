-- follow_the_events: what happened after a place in the book, in the order of commits. The API's feed of events says the same.
--
-- Run    psql -v after_transaction_id=42 -v after_account_event_id=7 -v rows=500 -f sql/examples/follow_the_events.sql
--        Keep the last line's cursor, which is the last ids of both logs. The next run goes on after it and misses nothing.
--        Without them it starts at the beginning.
-- Reads  At most so many rows of each log, through their primary keys.
\if :{?after_transaction_id} \else \set after_transaction_id 0 \endif
\if :{?after_account_event_id} \else \set after_account_event_id 0 \endif
\if :{?rows} \else \set rows 15 \endif

-- Both logs are in the order of commits, and an event comes right after its after_transaction_id. One statement reads both, so both
-- end at the same commit.
SELECT GREATEST(:after_transaction_id, max(transaction_id) OVER place)
       || '-' || GREATEST(:after_account_event_id, max(account_event_id) OVER place) AS cursor
     , what
     , account_id
     , to_account_id
     , amount
     , client_id
     , note
  FROM ((SELECT transaction_id
              , NULL::bigint    AS account_event_id
              , type            AS what
              , from_account_id AS account_id
              , to_account_id
              , amount
              , client_id
              , reference       AS note
              , transaction_id  AS after_transaction_id
           FROM transaction_log
          WHERE transaction_id > :after_transaction_id
          ORDER BY transaction_id
          LIMIT :rows)
         UNION ALL
        (SELECT NULL
              , account_event_id
              , type
              , account_id
              , hold_to_account_id
              , amount
              , client_id
              , reason
              , after_transaction_id
           FROM account_log
          WHERE account_event_id > :after_account_event_id
          ORDER BY account_event_id
          LIMIT :rows)) AS happened
WINDOW place AS (ORDER BY after_transaction_id, account_event_id NULLS FIRST ROWS UNBOUNDED PRECEDING)
 ORDER BY after_transaction_id, account_event_id NULLS FIRST
 LIMIT :rows;
