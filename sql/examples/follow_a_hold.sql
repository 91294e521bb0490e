-- follow_a_hold: who placed it, what was paid out of it, and how it ended.
--
-- Run    psql -v hold_id=1 -f sql/examples/follow_a_hold.sql
--        If you have the id of a payment instead: SELECT hold_id FROM transaction_log WHERE transaction_id = 1;
-- Reads  A few rows through indexes.
\if :{?hold_id} \else \set hold_id 1 \endif

-- Where is it now, and who placed it? The hold's id is the id of the event that placed it.
SELECT hold.hold_id
     , hold.status
     , hold.account_id
     , hold.to_account_id
     , hold.currency
     , hold.amount
     , hold.captured_amount
     , CASE hold.status WHEN 'pending' THEN hold.amount - hold.captured_amount ELSE 0 END AS still_held
     , hold.reference
     , placed.client_id                      AS placed_by
     , date_trunc('second', hold.created_at) AS placed_at
     , hold.expires_at - hold.created_at     AS duration
  FROM hold
  JOIN account_log AS placed ON placed.account_event_id = hold.hold_id
 WHERE hold.hold_id = :hold_id \gx

-- What happened to it? Both logs in one order, oldest first: an event comes right after after_transaction_id.
-- A final capture is two rows: the payment, and the event that releases the rest. Both have the same client and key.
SELECT date_trunc('second', created_at) AS created_at
     , transaction_id
     , account_event_id
     , what
     , amount
     , sum(CASE what WHEN 'hold_placed' THEN amount ELSE -amount END) OVER (ORDER BY place, account_event_id NULLS FIRST) AS left_after
     , client_id
     , reason
  FROM (SELECT created_at
             , NULL::bigint AS transaction_id
             , account_event_id
             , type         AS what
             , amount
             , client_id
             , reason
             , after_transaction_id AS place
          FROM account_log
         WHERE hold_id = :hold_id
         UNION ALL
        SELECT created_at
             , transaction_id
             , NULL
             , 'capture, ' || type
             , amount
             , client_id
             , NULL
             , transaction_id
          FROM transaction_log
         WHERE hold_id = :hold_id) AS story
 ORDER BY place, account_event_id NULLS FIRST;

-- What else is held of the same account, and until when? The sum is account.held.
SELECT other.hold_id
     , other.to_account_id
     , other.amount
     , other.amount - other.captured_amount                                    AS still_held
     , sum(other.amount - other.captured_amount) OVER (ORDER BY other.hold_id) AS held_so_far
     , other.expires_at - other.created_at                                     AS duration
     , other.reference
  FROM hold
  JOIN hold AS other ON other.account_id = hold.account_id
 WHERE hold.hold_id = :hold_id
   AND other.status = 'pending'
 ORDER BY other.hold_id;

-- Do all holds match the logs? Then sql/checks/holds_equal_the_logs.sql and held_equals_the_pending_holds.sql return no rows.
