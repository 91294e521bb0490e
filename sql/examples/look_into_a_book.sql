-- look_into_a_book: what the book holds, and one account's story.
--
-- Run    psql -v account_id=1000 -f sql/examples/look_into_a_book.sql
-- Reads  All accounts once, for the first two queries. The others read a few rows through an index.
\if :{?account_id} \else \set account_id 1000 \endif

-- How much do the customers hold in each currency? The settlement account's balance is minus that sum.
SELECT currency
     , count(*)     FILTER (WHERE kind = 'customer')   AS customers
     , sum(balance) FILTER (WHERE kind = 'customer')   AS customers_balance
     , sum(balance) FILTER (WHERE kind = 'settlement') AS settlement_balance
     , sum(balance)                                    AS must_be_zero
  FROM account
 GROUP BY currency
HAVING count(*) > 1
 ORDER BY currency;

-- Which ten accounts hold the most?
SELECT account_id
     , owner_name
     , currency
     , balance
     , held
     , balance - held + overdraft_limit AS available
     , status
  FROM account
 WHERE kind = 'customer'
 ORDER BY balance DESC, account_id
 LIMIT 10;

-- The account's last ten entries. Each shows the balance it left behind.
SELECT transaction_id
     , type
     , direction
     , amount
     , currency
     , balance_after
     , counterparty_account_id AS counterparty
     , reference
     , date_trunc('second', created_at) AS created_at
  FROM account_entry
 WHERE account_id = :account_id
 ORDER BY transaction_id DESC
 LIMIT 10;

-- What else happened to it: who opened, changed, froze or closed it, and why.
SELECT account_event_id
     , type
     , status_after
     , overdraft_limit_after
     , client_id
     , reason
     , date_trunc('second', created_at) AS created_at
  FROM account_log
 WHERE account_id = :account_id
 ORDER BY account_event_id DESC
 LIMIT 10;

-- Where does the book end? Keep this block and its hash outside the database, and compare them later with verify --against.
SELECT last_block_id
     , last_transaction_id
     , last_account_event_id
     , last_account_id
     , date_trunc('second', last_created_at) AS last_created_at
     , encode(last_hash, 'hex')              AS last_hash
  FROM ledger_head \gx

-- Is the book right? Then every file in sql/checks returns no rows. This is one of them.
\ir ../checks/books_sum_to_zero.sql
