-- Every customer's balance, less the held amount, is not below minus the overdraft limit.
-- Each row is an account that breaks this rule.
SELECT account_id
     , balance
     , held
     , overdraft_limit
  FROM account
 WHERE kind = 'customer'
   AND balance - held < -overdraft_limit
 ORDER BY account_id;
