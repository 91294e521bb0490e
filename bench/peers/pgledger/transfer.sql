-- pgbench: the transfer of by_hand.sql, by pgledger's own function.
\set from random(0, :accounts - 1)
\set to (:from + random(1, :accounts - 1)) % :accounts
SELECT id
  FROM pgledger_create_transfer((SELECT id FROM numbered WHERE account_id = 1000 + :from), (SELECT id FROM numbered WHERE account_id = 1000 + :to), 0.01);
