-- 0003_hold: money that is promised, but not paid yet.
--
-- Why    A card payment, or a marketplace's order, reserves money first and takes it later, in one part or in several.
--        account.held is the sum of an account's pending holds, so a posting is still decided from the account's row alone.
--        A capture is a row of transaction_log. The placing of a hold, its release and its expiry are rows of account_log.
--        This table says where each hold stands now. checks/holds_equal_the_logs.sql compares it with both logs.
-- Locks  A new table that nobody uses yet: nothing waits.
-- Older  Safe: the first version of the service came with this script.
-- Undo   DROP TABLE hold;

CREATE TABLE hold (
    hold_id         bigint        NOT NULL,
    account_id      bigint        NOT NULL,
    to_account_id   bigint,
    currency        text          NOT NULL,
    amount          numeric(19,4) NOT NULL,
    captured_amount numeric(19,4) NOT NULL DEFAULT 0,
    status          text          NOT NULL DEFAULT 'pending',
    expires_at      timestamptz   NOT NULL,
    reference       text,
    metadata        jsonb,
    created_at      timestamptz   NOT NULL,

    CONSTRAINT hold_pk PRIMARY KEY (hold_id),
    -- With the currency in the key, both accounts are of the hold's currency.
    CONSTRAINT hold_account_exists_in_that_currency FOREIGN KEY (account_id, currency) REFERENCES account (account_id, currency),
    CONSTRAINT hold_to_account_exists_in_that_currency FOREIGN KEY (to_account_id, currency) REFERENCES account (account_id, currency),
    CONSTRAINT hold_id_is_positive CHECK (hold_id > 0),
    CONSTRAINT hold_accounts_differ CHECK (to_account_id <> account_id),
    CONSTRAINT hold_amount_is_above_zero CHECK (amount > 0),
    CONSTRAINT hold_captures_stay_within_its_amount CHECK (captured_amount BETWEEN 0 AND amount),
    CONSTRAINT hold_status_is_known CHECK (status IN ('pending', 'captured', 'released', 'expired')),
    CONSTRAINT hold_has_something_left_while_pending CHECK (status <> 'pending' OR captured_amount < amount),
    CONSTRAINT hold_has_a_capture_when_captured CHECK (status <> 'captured' OR captured_amount > 0),
    CONSTRAINT hold_expires_after_it_was_placed CHECK (expires_at > created_at),
    CONSTRAINT hold_reference_has_at_most_140_characters CHECK (char_length(reference) <= 140),
    CONSTRAINT hold_metadata_is_an_object CHECK (jsonb_typeof(metadata) = 'object')
)
-- Room on each page for new versions of its rows.
WITH (fillfactor = 70);

-- Serves list_holds, newest first.
CREATE INDEX hold_account_idx ON hold (account_id, hold_id);
-- Finds the holds that are due: of some accounts, for a posting ...
CREATE INDEX hold_due_of_account_idx ON hold (account_id, expires_at) WHERE status = 'pending';
-- ... and of all, for the sweeper.
CREATE INDEX hold_due_idx ON hold (expires_at, hold_id) WHERE status = 'pending';

COMMENT ON COLUMN hold.hold_id         IS 'The id of the event that placed it (account_log.account_event_id).';
COMMENT ON COLUMN hold.to_account_id   IS 'Who is paid by its captures. NULL: they are paid out, as withdrawals.';
COMMENT ON COLUMN hold.captured_amount IS 'The sum of its captures. What is left of a pending hold is amount - captured_amount.';
COMMENT ON COLUMN hold.status          IS 'pending; captured, released and expired are final, and what was left is free again.';
COMMENT ON COLUMN hold.expires_at      IS 'From this instant on, by this database''s clock, it cannot be captured.';
