-- state_an_account: an account's balance at an instant, and its statement of a period. The API's balance_at and statement say the same.
--
-- Run    psql -v account_id=1000 -v from=2026-01-01 -v to=2026-02-01 -f sql/examples/state_an_account.sql
--        The period starts at "from" and ends before "to". The default is today so far. The account exists.
--        Midnight is that of the session's time zone. Set it with PGTZ=Europe/Berlin.
--        Once the period is over, the answers never change: the log is append-only.
-- Reads  Two blocks and the account's rows of the period, through indexes.
\if :{?account_id} \else \set account_id 1000 \endif
\if :{?from} \else \set from today \endif
\if :{?to} \else \set to tomorrow \endif

-- Turn the two instants into ids: the last block before an instant names the last transaction before it.
SELECT COALESCE((SELECT last_transaction_id
                   FROM ledger_block
                  WHERE created_at < :'from'::timestamptz
                  ORDER BY created_at DESC, block_id DESC
                  LIMIT 1), 0) AS last_before
     , COALESCE((SELECT last_transaction_id
                   FROM ledger_block
                  WHERE created_at < :'to'::timestamptz
                  ORDER BY created_at DESC, block_id DESC
                  LIMIT 1), 0) AS last
\gset
\echo Transactions after :last_before, up to :last

-- What was the balance at both instants? It is the one after the account's last transaction before the instant. No row: 0.
SELECT place.name
     , entry.transaction_id
     , entry.balance_after AS balance
     , entry.currency
  FROM (VALUES ('opening', :last_before), ('closing', :last)) AS place (name, transaction_id)
 CROSS JOIN LATERAL (SELECT transaction_id, balance_after, currency
                       FROM account_entry
                      WHERE (account_id, transaction_id) <= (:account_id, place.transaction_id)
                        AND account_id >= :account_id
                      ORDER BY account_id DESC, transaction_id DESC
                      LIMIT 1) AS entry
 ORDER BY place.name DESC;

-- What moved it? Oldest first, with the balance after each.
SELECT transaction_id
     , date_trunc('second', created_at) AS created_at
     , type
     , CASE direction WHEN 'debit' THEN -amount ELSE amount END AS amount
     , balance_after
     , counterparty_account_id
     , reverses_transaction_id
     , hold_id
     , reference
  FROM account_entry
 WHERE (account_id, transaction_id) > (:account_id, :last_before)
   AND (account_id, transaction_id) <= (:account_id, :last)
 ORDER BY account_id, transaction_id;

-- What came in, and what went out? The closing balance is the opening balance plus the first, less the second.
SELECT direction
     , count(*)    AS transactions
     , sum(amount) AS amount
     , currency
  FROM account_entry
 WHERE (account_id, transaction_id) > (:account_id, :last_before)
   AND (account_id, transaction_id) <= (:account_id, :last)
 GROUP BY direction, currency
 ORDER BY direction;
