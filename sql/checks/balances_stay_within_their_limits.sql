-- No customer's account is below minus its overdraft limit.
SELECT account_id
     , balance
     , overdraft_limit
  FROM account
 WHERE kind = 'customer'
   AND balance < -overdraft_limit
 ORDER BY account_id;
