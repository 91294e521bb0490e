-- Every currency has its settlement account, whose id is the currency's numeric code.
SELECT currency.code
     , currency.numeric_code
     , account.account_id
  FROM currency
  FULL JOIN (SELECT account_id, currency
               FROM account
              WHERE kind = 'settlement') AS account
    ON account.currency = currency.code
 WHERE account.account_id IS DISTINCT FROM currency.numeric_code
 ORDER BY currency.code;
