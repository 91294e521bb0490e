-- Every hold is as the logs say. Its placing is in the account log, its captures are in the log of transactions, between its own
-- accounts and before its expiry, and what is left of it ends once: released or expired.
-- Each row is a hold that changed without an event or a capture, or a hold that is missing.
SELECT COALESCE(hold.hold_id, logged.hold_id) AS hold_id
     , hold.status
     , hold.amount
     , hold.captured_amount
     , logged.placed
     , logged.captured
     , logged.released
     , logged.expired
  FROM hold
  FULL JOIN (SELECT entry.hold_id
                  , pg_catalog.sum(entry.amount) FILTER (WHERE entry.type = 'hold_placed') AS placed
                  , COALESCE(pg_catalog.sum(entry.amount) FILTER (WHERE entry.type = 'capture'), 0) AS captured
                  , pg_catalog.sum(entry.amount) FILTER (WHERE entry.type = 'hold_released') AS released
                  , pg_catalog.sum(entry.amount) FILTER (WHERE entry.type = 'hold_expired') AS expired
                  , pg_catalog.count(*) FILTER (WHERE entry.type <> 'capture') AS events
               FROM (SELECT hold_id, type, amount
                       FROM account_log
                      WHERE hold_id IS NOT NULL
                      UNION ALL
                     SELECT hold_id, 'capture', amount
                       FROM transaction_log
                      WHERE hold_id IS NOT NULL) AS entry
              GROUP BY entry.hold_id) AS logged
    ON logged.hold_id = hold.hold_id
  LEFT JOIN account_log AS placed_event
    ON placed_event.account_event_id = hold.hold_id
   AND placed_event.type = 'hold_placed'
 WHERE hold.hold_id IS NULL
    OR placed_event.account_event_id IS NULL
    OR placed_event.account_id <> hold.account_id
    OR placed_event.amount <> hold.amount
    OR placed_event.hold_to_account_id IS DISTINCT FROM hold.to_account_id
    OR placed_event.hold_expires_at <> hold.expires_at
    OR placed_event.created_at <> hold.created_at
    OR logged.placed <> hold.amount
    OR logged.captured <> hold.captured_amount
    OR hold.status <> CASE WHEN logged.expired IS NOT NULL THEN 'expired'
                           WHEN logged.released IS NULL AND logged.captured < hold.amount THEN 'pending'
                           WHEN hold.status = 'released' AND logged.released IS NOT NULL THEN 'released'
                           ELSE 'captured'
                      END
    -- It ends once, with all that was left of it.
    OR logged.events > 2
    OR COALESCE(logged.released, logged.expired, hold.amount - logged.captured) <> hold.amount - logged.captured
    OR EXISTS (SELECT
                 FROM transaction_log AS capture
                 LEFT JOIN currency ON currency.code = hold.currency
                WHERE capture.hold_id = hold.hold_id
                  AND (capture.from_account_id <> hold.account_id
                       OR capture.to_account_id <> COALESCE(hold.to_account_id, currency.numeric_code)
                       OR capture.type <> CASE WHEN hold.to_account_id IS NULL THEN 'withdrawal' ELSE 'transfer' END
                       OR capture.created_at >= hold.expires_at))
 ORDER BY 1;
