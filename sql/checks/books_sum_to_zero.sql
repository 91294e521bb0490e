-- Within a currency all balances, the settlement account's included, sum to zero: money is moved, never made.
SELECT currency
     , sum(balance) AS out_by
  FROM account
 GROUP BY currency
HAVING sum(balance) <> 0
 ORDER BY currency;
