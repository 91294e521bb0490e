-- Within a currency all balances, the settlement account's included, sum to zero: money is moved, never made.
SELECT currency
     , pg_catalog.sum(balance) AS out_by
  FROM account
 GROUP BY currency
HAVING pg_catalog.sum(balance) <> 0::pg_catalog.numeric
 ORDER BY currency;
