-- find_what_was_reversed: which payments were given back, how much of each, by whom and why.
--
-- Run    psql -v since=2026-01-31 -v reversed_id=1 -f sql/examples/find_what_was_reversed.sql
--        The default for "since" is today. Midnight is that of the session's time zone: set it with PGTZ=Europe/Berlin.
--        The last query is about the payment reversed_id.
-- Reads  All reversals once, through an index of their own, and the originals of those that show.
\if :{?since} \else \set since today \endif
\if :{?reversed_id} \else \set reversed_id 1 \endif

-- What was reversed, and why? A reversal has no reason of its own: its reference says why, if its client sent one.
-- The last column is what is left of the original after this reversal.
SELECT reversal.transaction_id
     , original.transaction_id AS reverses
     , original.type           AS original_type
     , original.reference      AS original_reference
     , original.client_id      AS original_client
     , original.amount         AS original_amount
     , reversal.amount
     , reversal.currency
     , reversal.client_id
     , reversal.reference      AS why
     , original.amount - (SELECT sum(earlier.amount)
                            FROM transaction_log AS earlier
                           WHERE earlier.reverses_transaction_id = original.transaction_id
                             AND earlier.transaction_id <= reversal.transaction_id) AS left_after
  FROM transaction_log AS reversal
  JOIN transaction_log AS original ON original.transaction_id = reversal.reverses_transaction_id
 WHERE reversal.reverses_transaction_id IS NOT NULL
   AND reversal.created_at >= :'since'::timestamptz
 ORDER BY reversal.transaction_id;

-- How much did each client reverse, and of what?
SELECT reversal.client_id
     , original.type        AS original_type
     , reversal.currency
     , count(*)             AS reversals
     , sum(reversal.amount) AS amount
  FROM transaction_log AS reversal
  JOIN transaction_log AS original ON original.transaction_id = reversal.reverses_transaction_id
 WHERE reversal.reverses_transaction_id IS NOT NULL
   AND reversal.created_at >= :'since'::timestamptz
 GROUP BY reversal.client_id, original.type, reversal.currency
 ORDER BY reversal.client_id, original.type, reversal.currency;

-- One payment and its reversals. The payment's own row never changes.
SELECT transaction_id
     , type
     , from_account_id
     , to_account_id
     , CASE type WHEN 'reversal' THEN -amount ELSE amount END                                     AS amount
     , sum(CASE type WHEN 'reversal' THEN -amount ELSE amount END) OVER (ORDER BY transaction_id) AS left_after
     , client_id
     , reference
  FROM transaction_log
 WHERE transaction_id = :reversed_id
    OR reverses_transaction_id = :reversed_id
 ORDER BY transaction_id;

-- Does no payment give back more than it moved? Then sql/checks/reversals_stay_within_their_originals.sql returns no rows.
