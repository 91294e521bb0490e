-- 0008_append_only: what is written stays written.
--
-- Why    Nobody may change or remove a row of the logs or of their chain, remove an account, a hold, a currency or the head,
--        or change what an account, a hold or a currency is.
--        The triggers fire ALWAYS: for a superuser too, and under session_replication_role = replica.
--        The statement triggers refuse even a statement that would change no row. The row triggers catch changes that come
--        another way (through a parent table, by logical replication). TRUNCATE has triggers of its own: a distributed
--        PostgreSQL creates no trigger on its nodes that names TRUNCATE beside other events.
--        A reversal corrects a mistake: a new transaction in the other direction.
--        checks/protection_is_armed.sql finds a trigger that is missing or switched off.
-- Locks  SHARE ROW EXCLUSIVE on each table, for an instant: waits for running writes, and writes wait for it.
-- Older  Safe: the first version of the service came with this script.
-- Undo   DROP FUNCTION refuse_change() CASCADE;   -- drops the triggers too

CREATE FUNCTION refuse_change() RETURNS trigger
    LANGUAGE plpgsql SET search_path FROM CURRENT
AS $body$
BEGIN
    RAISE EXCEPTION '% of % refused: %', TG_OP, TG_TABLE_NAME, TG_ARGV[0]
        USING ERRCODE = 'restrict_violation'
            , HINT = 'Correct a transaction with a reversal. Nothing in the book is rewritten.';
END;
$body$;

CREATE TRIGGER transaction_log_statement_is_append_only
    BEFORE UPDATE OR DELETE ON transaction_log
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change('the transaction log is append-only');
CREATE TRIGGER transaction_log_row_is_append_only
    BEFORE UPDATE OR DELETE ON transaction_log
    FOR EACH ROW EXECUTE FUNCTION refuse_change('the transaction log is append-only');
CREATE TRIGGER transaction_log_is_never_truncated
    BEFORE TRUNCATE ON transaction_log
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change('the transaction log is append-only');
ALTER TABLE transaction_log ENABLE ALWAYS TRIGGER transaction_log_statement_is_append_only;
ALTER TABLE transaction_log ENABLE ALWAYS TRIGGER transaction_log_row_is_append_only;
ALTER TABLE transaction_log ENABLE ALWAYS TRIGGER transaction_log_is_never_truncated;

CREATE TRIGGER account_log_statement_is_append_only
    BEFORE UPDATE OR DELETE ON account_log
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change('the account log is append-only');
CREATE TRIGGER account_log_row_is_append_only
    BEFORE UPDATE OR DELETE ON account_log
    FOR EACH ROW EXECUTE FUNCTION refuse_change('the account log is append-only');
CREATE TRIGGER account_log_is_never_truncated
    BEFORE TRUNCATE ON account_log
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change('the account log is append-only');
ALTER TABLE account_log ENABLE ALWAYS TRIGGER account_log_statement_is_append_only;
ALTER TABLE account_log ENABLE ALWAYS TRIGGER account_log_row_is_append_only;
ALTER TABLE account_log ENABLE ALWAYS TRIGGER account_log_is_never_truncated;

CREATE TRIGGER ledger_block_statement_is_append_only
    BEFORE UPDATE OR DELETE ON ledger_block
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change('the chain of blocks is append-only');
CREATE TRIGGER ledger_block_row_is_append_only
    BEFORE UPDATE OR DELETE ON ledger_block
    FOR EACH ROW EXECUTE FUNCTION refuse_change('the chain of blocks is append-only');
CREATE TRIGGER ledger_block_is_never_truncated
    BEFORE TRUNCATE ON ledger_block
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change('the chain of blocks is append-only');
ALTER TABLE ledger_block ENABLE ALWAYS TRIGGER ledger_block_statement_is_append_only;
ALTER TABLE ledger_block ENABLE ALWAYS TRIGGER ledger_block_row_is_append_only;
ALTER TABLE ledger_block ENABLE ALWAYS TRIGGER ledger_block_is_never_truncated;

CREATE TRIGGER account_statement_is_never_removed
    BEFORE DELETE ON account
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change('an account is never removed');
CREATE TRIGGER account_row_is_never_removed
    BEFORE DELETE ON account
    FOR EACH ROW EXECUTE FUNCTION refuse_change('an account is never removed');
CREATE TRIGGER account_is_never_truncated
    BEFORE TRUNCATE ON account
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change('an account is never removed');
-- They name their columns, so that an update of a balance does not pay for them. Logical replication names all columns in
-- its updates, so the row triggers also compare them.
CREATE TRIGGER account_statement_keeps_its_identity
    BEFORE UPDATE OF account_id, kind, currency, created_at ON account
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change('an account keeps its id, kind, currency and time of opening');
CREATE TRIGGER account_row_keeps_its_identity
    BEFORE UPDATE OF account_id, kind, currency, created_at ON account
    FOR EACH ROW WHEN ((OLD.account_id, OLD.kind, OLD.currency, OLD.created_at) IS DISTINCT FROM
                       (NEW.account_id, NEW.kind, NEW.currency, NEW.created_at))
    EXECUTE FUNCTION refuse_change('an account keeps its id, kind, currency and time of opening');
ALTER TABLE account ENABLE ALWAYS TRIGGER account_statement_is_never_removed;
ALTER TABLE account ENABLE ALWAYS TRIGGER account_row_is_never_removed;
ALTER TABLE account ENABLE ALWAYS TRIGGER account_is_never_truncated;
ALTER TABLE account ENABLE ALWAYS TRIGGER account_statement_keeps_its_identity;
ALTER TABLE account ENABLE ALWAYS TRIGGER account_row_keeps_its_identity;

CREATE TRIGGER hold_statement_is_never_removed
    BEFORE DELETE ON hold
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change('a hold is never removed');
CREATE TRIGGER hold_row_is_never_removed
    BEFORE DELETE ON hold
    FOR EACH ROW EXECUTE FUNCTION refuse_change('a hold is never removed');
CREATE TRIGGER hold_is_never_truncated
    BEFORE TRUNCATE ON hold
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change('a hold is never removed');
CREATE TRIGGER hold_statement_keeps_its_identity
    BEFORE UPDATE OF hold_id, account_id, to_account_id, currency, amount, expires_at, reference, metadata, created_at ON hold
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change('of a hold only its status and its captured amount change');
CREATE TRIGGER hold_row_keeps_its_identity
    BEFORE UPDATE OF hold_id, account_id, to_account_id, currency, amount, expires_at, reference, metadata, created_at ON hold
    FOR EACH ROW WHEN ((OLD.hold_id, OLD.account_id, OLD.to_account_id, OLD.currency, OLD.amount, OLD.expires_at,
                        OLD.reference, OLD.metadata, OLD.created_at) IS DISTINCT FROM
                       (NEW.hold_id, NEW.account_id, NEW.to_account_id, NEW.currency, NEW.amount, NEW.expires_at,
                        NEW.reference, NEW.metadata, NEW.created_at))
    EXECUTE FUNCTION refuse_change('of a hold only its status and its captured amount change');
ALTER TABLE hold ENABLE ALWAYS TRIGGER hold_statement_is_never_removed;
ALTER TABLE hold ENABLE ALWAYS TRIGGER hold_row_is_never_removed;
ALTER TABLE hold ENABLE ALWAYS TRIGGER hold_is_never_truncated;
ALTER TABLE hold ENABLE ALWAYS TRIGGER hold_statement_keeps_its_identity;
ALTER TABLE hold ENABLE ALWAYS TRIGGER hold_row_keeps_its_identity;

CREATE TRIGGER currency_statement_is_never_removed
    BEFORE DELETE ON currency
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change('amounts already written depend on a currency''s code and digits');
CREATE TRIGGER currency_row_is_never_removed
    BEFORE DELETE ON currency
    FOR EACH ROW EXECUTE FUNCTION refuse_change('amounts already written depend on a currency''s code and digits');
CREATE TRIGGER currency_is_never_truncated
    BEFORE TRUNCATE ON currency
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change('amounts already written depend on a currency''s code and digits');
CREATE TRIGGER currency_statement_keeps_its_identity
    BEFORE UPDATE OF code, numeric_code, minor_unit ON currency
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change('amounts already written depend on a currency''s code and digits');
CREATE TRIGGER currency_row_keeps_its_identity
    BEFORE UPDATE OF code, numeric_code, minor_unit ON currency
    FOR EACH ROW WHEN ((OLD.code, OLD.numeric_code, OLD.minor_unit) IS DISTINCT FROM
                       (NEW.code, NEW.numeric_code, NEW.minor_unit))
    EXECUTE FUNCTION refuse_change('amounts already written depend on a currency''s code and digits');
ALTER TABLE currency ENABLE ALWAYS TRIGGER currency_statement_is_never_removed;
ALTER TABLE currency ENABLE ALWAYS TRIGGER currency_row_is_never_removed;
ALTER TABLE currency ENABLE ALWAYS TRIGGER currency_is_never_truncated;
ALTER TABLE currency ENABLE ALWAYS TRIGGER currency_statement_keeps_its_identity;
ALTER TABLE currency ENABLE ALWAYS TRIGGER currency_row_keeps_its_identity;

CREATE TRIGGER ledger_head_statement_is_never_removed
    BEFORE DELETE ON ledger_head
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change('a book always has its head');
CREATE TRIGGER ledger_head_row_is_never_removed
    BEFORE DELETE ON ledger_head
    FOR EACH ROW EXECUTE FUNCTION refuse_change('a book always has its head');
CREATE TRIGGER ledger_head_is_never_truncated
    BEFORE TRUNCATE ON ledger_head
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change('a book always has its head');
ALTER TABLE ledger_head ENABLE ALWAYS TRIGGER ledger_head_statement_is_never_removed;
ALTER TABLE ledger_head ENABLE ALWAYS TRIGGER ledger_head_row_is_never_removed;
ALTER TABLE ledger_head ENABLE ALWAYS TRIGGER ledger_head_is_never_truncated;
