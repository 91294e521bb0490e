-- psql: pgledger (https://github.com/pgr0ss/pgledger) with :accounts accounts. Before this, put its pgledger.sql and the two files of
-- its vendor/scoville-pgsql-ulid beside this file.
\ir uuid-to-ulid.sql
\ir ulid-to-uuid.sql
\ir pgledger.sql
-- Its ids are random. This numbers them as the benchmark does.
CREATE TABLE numbered (account_id bigint PRIMARY KEY, id text NOT NULL);
INSERT INTO numbered
SELECT number, (pgledger_create_account('Customer ' || number, 'USD')).id
  FROM generate_series(1000::bigint, 999 + :accounts) AS number;
VACUUM ANALYZE;
