-- The role that the service runs as. It owns nothing and has only the rights that the service's calls need.
--
-- Why    As this role, not even a hijacked service can change a log, the chain, a trigger or the schema.
--        The owner (ConnectionStrings__Migrations) applies the scripts. This role only checks that none is missing.
-- How    Run it as the owner of the book, in its schema, after the scripts. Run it again after an update with new scripts:
--          PGOPTIONS='-c search_path=banking' psql -f sql/roles/banking_service.sql ...
--        If the owner may not create roles, an administrator first runs CREATE ROLE banking_service LOGIN.
--        Then set a password: \password banking_service
--        For another name: PGOPTIONS='-c search_path=savings -c banking.service_role=savings_service' psql -f ...
-- Locks  Nothing that postings wait for.
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
    -- The service adds rows and updates these columns, no others. FOR UPDATE needs the right to update one column.
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
