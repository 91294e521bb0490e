-- pgbench: one row by its key.
\set id 1000 + random(0, :accounts - 1)
SELECT account_id, owner_name, currency, status, balance, overdraft_limit, created_at FROM account WHERE account_id = :id;
