-- The role that the service runs as: it owns nothing, and can do only what its calls take.
--
-- Why    With this role the service can't change a log, the chain, a trigger or the schema, whatever is done to it.
--        The owner, whom ConnectionStrings__Migrations names, applies the scripts; this role only checks that none is missing.
-- How    As the owner of the book, in its schema, after the scripts and again after an update brought new ones. Where the owner
--        may not create roles, an administrator has done that before (CREATE ROLE banking_service LOGIN):
--          PGOPTIONS='-c search_path=banking' psql -f sql/roles/banking_service.sql ...
--        then give it a password: \password banking_service
--        Another name for another book: PGOPTIONS='-c search_path=savings -c banking.service_role=savings_service' psql -f ...
-- Locks  None that postings wait for.
-- Undo   DROP OWNED BY banking_service; DROP ROLE banking_service;

DO $body$
DECLARE
    service text := COALESCE(NULLIF(current_setting('banking.service_role', true), ''), 'banking_service');
    allowed text;
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = service) THEN
        EXECUTE format('CREATE ROLE %I LOGIN', service);
    END IF;
    EXECUTE format('GRANT USAGE ON SCHEMA %I TO %I', current_schema(), service);
    -- Add rows, and move what a call moves; nothing else of a row can be changed. Locking a row takes the right to update it.
    FOREACH allowed IN ARRAY ARRAY[
        'SELECT ON schema_version, currency, account, hold, transaction_log, account_log, account_entry, ledger_head, ledger_block',
        'INSERT, UPDATE (owner_name, status, balance, held, overdraft_limit) ON account',
        'INSERT, UPDATE (captured_amount, status) ON hold',
        'INSERT ON transaction_log, account_log, ledger_block',
        'UPDATE (last_block_id, last_transaction_id, last_account_event_id, last_account_id, last_created_at, last_hash) ON ledger_head',
        'EXECUTE ON FUNCTION ledger_block_hash']
    LOOP
        EXECUTE format('GRANT %s TO %I', allowed, service);
    END LOOP;
END;
$body$;
