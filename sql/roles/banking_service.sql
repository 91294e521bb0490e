-- The role that the service runs as: it owns nothing, and can do only what posting and reading take.
--
-- Why    With this role the service can't change the log, its chain, a trigger or the schema, whatever is done to it.
--        The owner, whom ConnectionStrings__Migrations names, applies the scripts; this role only checks that none is missing.
-- How    As the owner of the book, in its schema, after the scripts and again after an update brought new ones. Where the owner
--        may not create roles, an administrator has done that before (CREATE ROLE banking_service LOGIN):
--          PGOPTIONS='-c search_path=banking' psql -f sql/roles/banking_service.sql ...
--        then give it a password: \password banking_service
-- Locks  None that postings wait for.
-- Undo   DROP OWNED BY banking_service; DROP ROLE banking_service;

DO $body$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'banking_service') THEN
        CREATE ROLE banking_service LOGIN;
    END IF;
    EXECUTE format('GRANT USAGE ON SCHEMA %I TO banking_service', current_schema());
    EXECUTE format('GRANT SELECT ON ALL TABLES IN SCHEMA %I TO banking_service', current_schema());
END;
$body$;

-- Add rows, and move what a posting moves; nothing else of a row can be changed. Locking a row takes the right to update it.
GRANT INSERT, UPDATE (balance) ON account TO banking_service;
GRANT USAGE ON SEQUENCE account_account_id_seq TO banking_service;
GRANT INSERT ON transaction_log, ledger_block TO banking_service;
GRANT UPDATE (last_transaction_id, last_created_at, last_hash) ON ledger_head TO banking_service;
