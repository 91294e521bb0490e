-- Every currency has one settlement account. Its id is the currency's numeric code.
-- Each row is a currency without that account, or a settlement account without its currency.
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
