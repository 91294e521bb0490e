-- Every hold is as the logs say. Its placing is in the account log. Its captures are in the log of transactions, before its expiry,
-- between its own accounts and with its own reference and metadata. What is left of it ends once: released before its expiry, or expired.
-- Each row is a hold that changed without an event or a capture, or that is missing, or one with a forged event or capture.
SELECT COALESCE(hold.hold_id, event.hold_id, capture.hold_id) AS hold_id
     , hold.status
     , hold.amount
     , event.placed
     , hold.captured_amount
     , capture.amount AS captured
     , event.released
     , event.expired
     , event.wrong AS wrong_events
     , capture.wrong AS wrong_captures
  FROM hold
  FULL JOIN (SELECT event.hold_id
                  , pg_catalog.sum(event.amount) FILTER (WHERE event.type = 'hold_placed') AS placed
                  , pg_catalog.sum(event.amount) FILTER (WHERE event.type = 'hold_released') AS released
                  , pg_catalog.sum(event.amount) FILTER (WHERE event.type = 'hold_expired') AS expired
                  , pg_catalog.count(*) FILTER (WHERE event.type <> 'hold_placed') AS ends
                  -- A final capture releases the rest under its own key.
                  , pg_catalog.bool_or(final.hold_id IS NOT NULL) AS has_final_capture
                  , pg_catalog.count(*) FILTER (
                        WHERE event.account_id <> hold.account_id
                           OR (event.type = 'hold_placed'
                               AND (event.hold_to_account_id IS DISTINCT FROM hold.to_account_id
                                    OR event.hold_expires_at <> hold.expires_at
                                    OR event.created_at <> hold.created_at))
                           OR (event.type = 'hold_released' AND event.created_at >= hold.expires_at)
                           OR (event.type = 'hold_expired' AND event.created_at < hold.expires_at)) AS wrong
               FROM account_log AS event
               LEFT JOIN hold ON hold.hold_id = event.hold_id
               LEFT JOIN transaction_log AS final
                 ON final.hold_id = event.hold_id
                AND final.client_id = event.client_id
                AND final.idempotency_key = event.idempotency_key
              WHERE event.hold_id IS NOT NULL
              GROUP BY event.hold_id) AS event
    ON event.hold_id = hold.hold_id
  FULL JOIN (SELECT capture.hold_id
                  , pg_catalog.sum(capture.amount) AS amount
                  , pg_catalog.count(*) FILTER (
                        WHERE capture.from_account_id <> hold.account_id
                           OR capture.to_account_id IS DISTINCT FROM COALESCE(hold.to_account_id, currency.numeric_code)
                           OR capture.type <> CASE WHEN hold.to_account_id IS NULL THEN 'withdrawal' ELSE 'transfer' END
                           OR capture.currency <> hold.currency
                           OR capture.reference IS DISTINCT FROM hold.reference
                           OR capture.metadata IS DISTINCT FROM hold.metadata
                           OR capture.created_at >= hold.expires_at) AS wrong
               FROM transaction_log AS capture
               LEFT JOIN hold ON hold.hold_id = capture.hold_id
               LEFT JOIN currency ON currency.code = hold.currency
              WHERE capture.hold_id IS NOT NULL
              GROUP BY capture.hold_id) AS capture
    ON capture.hold_id = hold.hold_id
  LEFT JOIN account ON account.account_id = hold.account_id
 WHERE hold.hold_id IS NULL
    OR account.currency IS DISTINCT FROM hold.currency
    OR event.placed IS DISTINCT FROM hold.amount
    OR hold.captured_amount <> COALESCE(capture.amount, 0)
    OR event.wrong > 0
    OR capture.wrong > 0
    OR event.ends > 1
    OR COALESCE(event.released, event.expired, hold.amount - hold.captured_amount) <> hold.amount - hold.captured_amount
    OR hold.status <> CASE WHEN event.expired IS NOT NULL THEN 'expired'
                           WHEN event.released IS NOT NULL AND NOT event.has_final_capture THEN 'released'
                           WHEN event.released IS NULL AND hold.captured_amount < hold.amount THEN 'pending'
                           ELSE 'captured'
                      END
 ORDER BY 1;
