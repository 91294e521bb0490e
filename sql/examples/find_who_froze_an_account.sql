-- find_who_froze_an_account: who blocked it, when and why, and what happened around that.
--
-- Run    psql -v account_id=1000 -f sql/examples/find_who_froze_an_account.sql
-- Reads  All accounts once, for the first query. The others read one account's rows through an index.
\if :{?account_id} \else \set account_id 1000 \endif

-- Which accounts are blocked now, by whom, since when and why?
SELECT account.account_id
     , account.owner_name
     , account.status
     , block.client_id                        AS blocked_by
     , date_trunc('second', block.created_at) AS since
     , block.reason
  FROM account
  LEFT JOIN LATERAL (SELECT client_id, created_at, reason
                       FROM account_log AS log
                      WHERE log.account_id = account.account_id
                        AND log.type = 'frozen'
                      ORDER BY log.account_event_id DESC
                      LIMIT 1) AS block ON true
 WHERE account.status IN ('frozen', 'debits_blocked')
 ORDER BY account.account_id;

-- What is the account's whole story? Both logs in one order, oldest first: an event comes right after after_transaction_id.
SELECT date_trunc('second', created_at) AS created_at
     , transaction_id
     , account_event_id
     , what
     , amount
     , balance_after
     , status_after
     , client_id
     , note
  FROM (SELECT created_at
             , transaction_id
             , NULL::bigint                                             AS account_event_id
             , type || ' ' || direction                                 AS what
             , CASE direction WHEN 'debit' THEN -amount ELSE amount END AS amount
             , balance_after
             , NULL                                                     AS status_after
             , client_id
             , reference                                                AS note
             , transaction_id                                           AS place
          FROM account_entry
         WHERE account_id = :account_id
         UNION ALL
        SELECT created_at
             , NULL
             , account_event_id
             , type
             , amount
             , balance_after
             , status_after
             , client_id
             , reason
             , after_transaction_id
          FROM account_log
         WHERE account_id = :account_id) AS story
 ORDER BY place, account_event_id NULLS FIRST;

-- Which blocks seal its freezes? If somebody changes the client or the reason, sql/checks/block_chain_is_intact.sql lists the block.
SELECT log.account_event_id
     , log.type
     , log.client_id
     , block.block_id
     , encode(block.hash, 'hex') AS hash
  FROM account_log AS log
 CROSS JOIN LATERAL (SELECT block_id, hash
                       FROM ledger_block
                      WHERE created_at = log.created_at
                        AND last_account_event_id >= log.account_event_id
                      ORDER BY block_id
                      LIMIT 1) AS block
 WHERE log.account_id = :account_id
   AND log.type IN ('frozen', 'unfrozen')
 ORDER BY log.account_event_id;
