-- The clock within a statement, and what our statements need of a transaction.

-- The same clock within a statement: for what happens after waiting for a lock.
create or replace function pawl.clock_now() returns timestamptz
language sql volatile return pawl.now() + (clock_timestamp() - statement_timestamp());

-- Whoever changes tasks must see, in each statement, what has been committed by then.
create or replace function pawl.require_read_committed() returns void
language plpgsql stable as $$
begin
  if current_setting('transaction_isolation') <> 'read committed' then
    raise exception 'this must run in READ COMMITTED, the transaction is in %', upper(current_setting('transaction_isolation'))
      using errcode = 'PW010', hint = 'begin the transaction with "isolation level read committed", or set default_transaction_isolation of the role or database';
  end if;
end $$;
