-- follow_a_payment: one posting, its two accounts, its block, and where the money went next.
--
-- Run    psql -v transaction_id=1 -f sql/examples/follow_a_payment.sql
--        If you have the client's key instead of the id:
--        SELECT transaction_id FROM transaction_log WHERE client_id = 'the caller' AND idempotency_key = 'the key';
-- Reads  A few rows through an index.
\if :{?transaction_id} \else \set transaction_id 1 \endif

-- Who asked for what?
SELECT transaction_id
     , type
     , from_account_id
     , to_account_id
     , amount
     , currency
     , reference
     , client_id
     , idempotency_key
     , date_trunc('second', created_at) AS created_at
  FROM transaction_log
 WHERE transaction_id = :transaction_id \gx

-- What did it change? A posting has two sides, each with the balance before and after it.
SELECT entry.account_id
     , account.owner_name
     , entry.direction
     , entry.balance_after - CASE entry.direction WHEN 'credit' THEN entry.amount ELSE -entry.amount END AS balance_before
     , entry.amount
     , entry.balance_after
  FROM account_entry AS entry
  JOIN account ON account.account_id = entry.account_id
 WHERE entry.transaction_id = :transaction_id
 ORDER BY entry.direction DESC;

-- Where did the money go? The next five payments out of the account that received it.
SELECT next.transaction_id
     , next.type
     , next.account_id              AS from_account_id
     , next.counterparty_account_id AS to_account_id
     , next.amount
     , next.balance_after           AS from_balance_after
     , next.client_id
     , next.reference
  FROM transaction_log AS payment
  JOIN account_entry AS next ON next.account_id = payment.to_account_id
 WHERE payment.transaction_id = :transaction_id
   AND next.direction = 'debit'
   AND next.transaction_id > payment.transaction_id
 ORDER BY next.transaction_id
 LIMIT 5;

-- Which block seals it? All rows of a block share its time, so the index on created_at finds it.
SELECT block.block_id
     , block.last_transaction_id
     , encode(block.previous_hash, 'hex') AS previous_hash
     , encode(block.hash, 'hex')          AS hash
  FROM transaction_log AS payment
  JOIN ledger_block AS block ON block.created_at = payment.created_at
 WHERE payment.transaction_id = :transaction_id
   AND block.last_transaction_id >= payment.transaction_id
 ORDER BY block.block_id
 LIMIT 1 \gx

-- To check the seal, run sql/checks/block_chain_is_intact.sql. It computes every hash again and lists the blocks that differ.
