-- 0007_ledger_block: a chain of hashes over both logs.
--
-- Why    The owner of the tables can switch triggers off and rewrite a log. This chain makes that visible. Each write
--        transaction adds a block. Its hash covers the block before it and every column of its own rows in transaction_log and
--        account_log. A row that is changed, removed, added or renumbered breaks the chain at its block. To hide that, the
--        whole chain after it must be rewritten, and then the head changes. Keep the head outside (GET /api/audit_head) and
--        compare it later (verify --against).
-- Locks  A new table that nobody uses yet: nothing waits.
-- Older  Safe: the first version of the service came with this script.
-- Undo   DROP TABLE ledger_block; DROP FUNCTION ledger_block_hash;

CREATE TABLE ledger_block (
    block_id              bigint      NOT NULL,
    last_transaction_id   bigint      NOT NULL,
    last_account_event_id bigint      NOT NULL,
    hash_format           smallint    NOT NULL,
    previous_hash         bytea       NOT NULL,
    hash                  bytea       NOT NULL,
    created_at            timestamptz NOT NULL,

    CONSTRAINT ledger_block_pk PRIMARY KEY (block_id),
    CONSTRAINT ledger_block_id_is_positive CHECK (block_id > 0),
    CONSTRAINT ledger_block_hash_format_is_known CHECK (hash_format = 1),
    CONSTRAINT ledger_block_hashes_are_sha256 CHECK (octet_length(previous_hash) = 32 AND octet_length(hash) = 32)
);

-- Turns an instant into the last ids before it. All rows of a block share its time, and two blocks may too.
CREATE INDEX ledger_block_created_at_idx ON ledger_block (created_at, block_id);

COMMENT ON TABLE  ledger_block             IS 'One row per write transaction. Its log rows are those after the last ids of the block before it, up to its own last ids.';
COMMENT ON COLUMN ledger_block.block_id    IS 'From ledger_head: no gaps.';
COMMENT ON COLUMN ledger_block.hash_format IS 'The list of columns that the hash covers: 1 is ledger_block_hash below. A later column gets a new format, so old blocks stay verifiable.';

-- A block's hash in format 1, for the service that writes it. The check computes it without this function
-- (checks/block_chain_is_intact.sql), because the owner could change the function.
-- record_send writes every value with its type and length, so a text that moves from one column to the next changes the hash.
-- Texts go in as UTF-8 bytes. plpgsql plans the queries once per session. A function in SQL would parse and plan them for every
-- block.
CREATE FUNCTION ledger_block_hash(
    previous_hash bytea, block_id bigint, created_at timestamptz,
    after_transaction_id bigint, last_transaction_id bigint, after_account_event_id bigint, last_account_event_id bigint) RETURNS bytea
    LANGUAGE plpgsql STABLE SET search_path FROM CURRENT
AS $body$
BEGIN
    RETURN sha256(record_send(ROW($1, $2, $3, $5, $7))
        || COALESCE((SELECT string_agg(record_send(ROW(log.transaction_id
                                                     , convert_to(log.type, 'UTF8')
                                                     , log.from_account_id
                                                     , log.to_account_id
                                                     , log.amount
                                                     , convert_to(log.currency, 'UTF8')
                                                     , log.from_balance_after
                                                     , log.to_balance_after
                                                     , log.reverses_transaction_id
                                                     , log.hold_id
                                                     , convert_to(log.client_id, 'UTF8')
                                                     , convert_to(log.idempotency_key, 'UTF8')
                                                     , log.part
                                                     , log.request_hash
                                                     , convert_to(log.reference, 'UTF8')
                                                     , convert_to(log.metadata::text, 'UTF8')
                                                     , log.created_at)), ''::bytea ORDER BY log.transaction_id)
                       FROM transaction_log AS log
                      WHERE log.transaction_id > $4
                        AND log.transaction_id <= $5), ''::bytea)
        || CASE WHEN $7 > $6 THEN
                    (SELECT string_agg(record_send(ROW(log.account_event_id
                                                     , convert_to(log.type, 'UTF8')
                                                     , log.account_id
                                                     , log.hold_id
                                                     , log.amount
                                                     , log.hold_to_account_id
                                                     , log.hold_expires_at
                                                     , convert_to(log.status_after, 'UTF8')
                                                     , log.overdraft_limit_after
                                                     , log.held_after
                                                     , log.balance_after
                                                     , log.after_transaction_id
                                                     , convert_to(log.client_id, 'UTF8')
                                                     , convert_to(log.idempotency_key, 'UTF8')
                                                     , log.request_hash
                                                     , convert_to(log.reason, 'UTF8')
                                                     , log.created_at)), ''::bytea ORDER BY log.account_event_id)
                       FROM account_log AS log
                      WHERE log.account_event_id > $6
                        AND log.account_event_id <= $7)
                ELSE ''::bytea
           END);
END;
$body$;
