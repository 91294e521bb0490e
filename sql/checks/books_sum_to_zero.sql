-- The balances of each currency, with its settlement account, sum to zero: a posting moves money and makes none.
-- Each row is a currency that does not sum to zero, and by how much.
SELECT currency
     , pg_catalog.sum(balance) AS out_by
  FROM account
 GROUP BY currency
HAVING pg_catalog.sum(balance) <> 0::pg_catalog.numeric
 ORDER BY currency;
