-- Every customer's account is as its last event left it. Its first event is its opening, and its id came from the head.
-- Captures of its holds since that event have made the held amount smaller.
-- A settlement account has no events.
-- Each row is an account that changed without an event, or that was never opened.
SELECT account.account_id
     , account.status
     , last_event.status_after
     , account.overdraft_limit
     , last_event.overdraft_limit_after
     , account.held
     , last_event.held_after
     , captured.amount AS captured_since
     , first_event.type AS first_event
     , head.last_account_id
  FROM account
  LEFT JOIN ledger_head AS head ON true
  LEFT JOIN LATERAL (SELECT status_after, overdraft_limit_after, held_after, after_transaction_id
                       FROM account_log
                      WHERE account_log.account_id = account.account_id
                      ORDER BY account_event_id DESC
                      LIMIT 1) AS last_event ON true
  LEFT JOIN LATERAL (SELECT pg_catalog.sum(log.amount) AS amount
                       FROM hold
                       JOIN transaction_log AS log ON log.hold_id = hold.hold_id
                      WHERE hold.account_id = account.account_id
                        AND log.transaction_id > last_event.after_transaction_id) AS captured ON true
  LEFT JOIN LATERAL (SELECT type, created_at
                       FROM account_log
                      WHERE account_log.account_id = account.account_id
                      ORDER BY account_event_id
                      LIMIT 1) AS first_event ON true
 WHERE (account.kind = 'customer'
        AND (account.status IS DISTINCT FROM last_event.status_after
             OR account.overdraft_limit IS DISTINCT FROM last_event.overdraft_limit_after
             OR account.held IS DISTINCT FROM last_event.held_after - COALESCE(captured.amount, 0)
             OR first_event.type IS DISTINCT FROM 'opened'
             OR first_event.created_at IS DISTINCT FROM account.created_at
             OR (account.account_id <= head.last_account_id) IS NOT TRUE))
    OR (account.kind = 'settlement' AND last_event.status_after IS NOT NULL)
 ORDER BY account.account_id;
