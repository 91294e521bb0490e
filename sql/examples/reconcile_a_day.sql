-- reconcile_a_day: opening balance, what moved, closing balance, for each currency.
--
-- Why    A settlement account stands for the world outside the book, such as your account at another bank. Its day here must
--        match that bank's statement, with the opposite sign.
-- Run    psql -v from=2026-01-31 -v to=2026-02-01 -f sql/examples/reconcile_a_day.sql
--        The day starts at "from" and ends before "to". The default is today so far; for yesterday: -v from=yesterday -v to=today.
--        Midnight is that of the session's time zone. Set it with PGTZ=Europe/Berlin.
--        Once the day is over, the answer never changes: the log is append-only.
-- Reads  All accounts once, and the day's rows through indexes. On a busy book, run it on a standby.
\if :{?from} \else \set from today \endif
\if :{?to} \else \set to tomorrow \endif

-- Turn the two instants into ids: the last block before an instant names the last transaction before it.
SELECT COALESCE((SELECT last_transaction_id
                   FROM ledger_block
                  WHERE created_at < :'from'::timestamptz
                  ORDER BY created_at DESC, block_id DESC
                  LIMIT 1), 0) AS last_before_the_day
     , COALESCE((SELECT last_transaction_id
                   FROM ledger_block
                  WHERE created_at < :'to'::timestamptz
                  ORDER BY created_at DESC, block_id DESC
                  LIMIT 1), 0) AS last_of_the_day
\gset
\echo Transactions after :last_before_the_day, up to :last_of_the_day

-- The day of each settlement account. A deposit leaves it, a withdrawal reaches it.
-- The two balances are read from one entry each, the sums from all entries of the day. So the difference must be zero.
-- A currency without any posting does not show.
SELECT account.currency
     , account.account_id                                          AS settlement_account
     , opening.balance                                             AS opening_balance
     , day.received
     , day.sent
     , closing.balance                                             AS closing_balance
     , opening.balance + day.received - day.sent - closing.balance AS difference
  FROM account
 CROSS JOIN LATERAL (SELECT balance_after AS balance
                       FROM account_entry AS entry
                      WHERE entry.account_id = account.account_id
                        AND entry.transaction_id <= :last_of_the_day
                      ORDER BY entry.transaction_id DESC
                      LIMIT 1) AS closing
 CROSS JOIN LATERAL (SELECT COALESCE((SELECT balance_after
                                        FROM account_entry AS entry
                                       WHERE entry.account_id = account.account_id
                                         AND entry.transaction_id <= :last_before_the_day
                                       ORDER BY entry.transaction_id DESC
                                       LIMIT 1), 0.0000) AS balance) AS opening
 CROSS JOIN LATERAL (SELECT COALESCE(sum(amount) FILTER (WHERE direction = 'credit'), 0.0000) AS received
                          , COALESCE(sum(amount) FILTER (WHERE direction = 'debit'), 0.0000)  AS sent
                       FROM account_entry AS entry
                      WHERE entry.account_id = account.account_id
                        AND entry.transaction_id > :last_before_the_day
                        AND entry.transaction_id <= :last_of_the_day) AS day
 WHERE account.kind = 'settlement'
 ORDER BY account.currency;

-- What the day consisted of. A transfer stays inside the book and touches no settlement account.
SELECT currency
     , type
     , count(*)    AS postings
     , sum(amount) AS amount
  FROM transaction_log
 WHERE transaction_id > :last_before_the_day
   AND transaction_id <= :last_of_the_day
 GROUP BY currency, type
 ORDER BY currency, type;
