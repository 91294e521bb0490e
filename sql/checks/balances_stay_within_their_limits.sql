-- Every customer's balance covers what is held of it, down to minus its overdraft limit.
SELECT account_id
     , balance
     , held
     , overdraft_limit
  FROM account
 WHERE kind = 'customer'
   AND balance - held < -overdraft_limit
 ORDER BY account_id;
