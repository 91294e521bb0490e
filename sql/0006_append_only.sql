-- 0006_append_only: what is written stays written.
--
-- Why    Nobody may change or remove a row of the log or of its chain of blocks, remove an account or the head, or change what an account or a currency is.
--        The triggers fire ALWAYS: for a superuser's plain statement too, and under session_replication_role = replica.
--        The statement triggers refuse even a statement that would touch no row, and TRUNCATE; the row triggers catch what
--        reaches the rows by another way (a parent table, logical replication).
--        A mistake in the log is corrected by a new posting in the other direction.
-- Locks  SHARE ROW EXCLUSIVE on each table, for an instant: waits for running writes, and writes wait for it.
-- Older  Safe: the first version of the service came with this script.
-- Undo   DROP FUNCTION refuse_change() CASCADE;   -- drops the triggers too

CREATE FUNCTION refuse_change() RETURNS trigger
    LANGUAGE plpgsql
AS $body$
BEGIN
    RAISE EXCEPTION '% of % refused: %', TG_OP, TG_TABLE_NAME, TG_ARGV[0]
        USING ERRCODE = 'restrict_violation'
            , HINT = 'Money is corrected by posting it back; nothing in the book is rewritten.';
END;
$body$;

CREATE TRIGGER transaction_log_statement_is_append_only
    BEFORE UPDATE OR DELETE OR TRUNCATE ON transaction_log
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change('the transaction log is append-only');
CREATE TRIGGER transaction_log_row_is_append_only
    BEFORE UPDATE OR DELETE ON transaction_log
    FOR EACH ROW EXECUTE FUNCTION refuse_change('the transaction log is append-only');
ALTER TABLE transaction_log ENABLE ALWAYS TRIGGER transaction_log_statement_is_append_only;
ALTER TABLE transaction_log ENABLE ALWAYS TRIGGER transaction_log_row_is_append_only;

CREATE TRIGGER ledger_block_statement_is_append_only
    BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger_block
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change('the chain of blocks is append-only');
CREATE TRIGGER ledger_block_row_is_append_only
    BEFORE UPDATE OR DELETE ON ledger_block
    FOR EACH ROW EXECUTE FUNCTION refuse_change('the chain of blocks is append-only');
ALTER TABLE ledger_block ENABLE ALWAYS TRIGGER ledger_block_statement_is_append_only;
ALTER TABLE ledger_block ENABLE ALWAYS TRIGGER ledger_block_row_is_append_only;

CREATE TRIGGER account_is_never_removed
    BEFORE DELETE OR TRUNCATE ON account
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change('an account is never removed');
CREATE TRIGGER account_row_is_never_removed
    BEFORE DELETE ON account
    FOR EACH ROW EXECUTE FUNCTION refuse_change('an account is never removed');
-- Names the columns, so that an update of a balance doesn't pay for it.
CREATE TRIGGER account_identity_never_changes
    BEFORE UPDATE OF account_id, currency, kind, created_at, client_id, idempotency_key, opening_owner_name, opening_overdraft_limit ON account
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change('an account keeps its id, currency, kind and origin');
ALTER TABLE account ENABLE ALWAYS TRIGGER account_is_never_removed;
ALTER TABLE account ENABLE ALWAYS TRIGGER account_row_is_never_removed;
ALTER TABLE account ENABLE ALWAYS TRIGGER account_identity_never_changes;

CREATE TRIGGER ledger_head_is_never_removed
    BEFORE DELETE OR TRUNCATE ON ledger_head
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change('a book always has its head');
ALTER TABLE ledger_head ENABLE ALWAYS TRIGGER ledger_head_is_never_removed;

CREATE TRIGGER currency_never_changes
    BEFORE UPDATE OF code, numeric_code, minor_unit ON currency
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change('amounts already written depend on a currency''s code and digits');
CREATE TRIGGER currency_is_never_removed
    BEFORE DELETE OR TRUNCATE ON currency
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change('amounts already written depend on a currency''s code and digits');
ALTER TABLE currency ENABLE ALWAYS TRIGGER currency_never_changes;
ALTER TABLE currency ENABLE ALWAYS TRIGGER currency_is_never_removed;
