-- Named leases: the right to a name for one owner at a time, with an epoch that fences.

-- Takes a free lease. epoch is null if somebody else has it: then holder and lease_until say who and until when.
create or replace function pawl.take_lease_v1(p_name text, p_owner text, p_length interval)
returns table (epoch bigint, holder text, lease_until timestamptz)
language plpgsql volatile
set lock_timeout = '2s' as $$
#variable_conflict use_column
begin
  if p_name is null or p_name !~ '^[A-Za-z0-9_.:/@-]+$' or length(p_name) > 200 then
    raise exception 'bad name of a lease: %', coalesce('"' || left(p_name, 100) || '"', 'null') using errcode = 'PW010',
      hint = 'use 1 to 200 letters, digits, "_", ".", ":", "/", "@" and "-", such as "source:orders"';
  end if;
  return query
  insert into pawl.lease as l (name, epoch, owner, taken_at, heartbeat_at, lease_until)
  values (p_name, 1, p_owner, pawl.now(), pawl.now(), pawl.now() + p_length)
  on conflict (name) do update
     set epoch = l.epoch + 1, owner = p_owner, taken_at = pawl.now(), heartbeat_at = pawl.now(),
         lease_until = pawl.now() + p_length
   where l.lease_until <= pawl.now()
  returning l.epoch, l.owner, l.lease_until;
  if not found then
    return query select null::bigint, l.owner, l.lease_until from pawl.lease l where l.name = p_name;
  end if;
end $$;

create or replace function pawl.no_such_lease(p_name text, p_epoch bigint) returns void
language plpgsql stable as $$
begin
  raise exception 'lease "%": lost (epoch %)', p_name, p_epoch using errcode = 'PW002',
    hint = coalesce((select format('%s has it with epoch %s', l.owner, l.epoch) from pawl.lease l
      where l.name = p_name and l.epoch > p_epoch and l.lease_until > pawl.now()), 'it ran out; take it again');
end $$;

-- The heartbeat of a named lease.
create or replace function pawl.renew_lease_v1(p_name text, p_epoch bigint, p_length interval) returns timestamptz
language plpgsql volatile
set lock_timeout = '1s' as $$
declare
  v_until timestamptz;
begin
  update pawl.lease l set heartbeat_at = pawl.now(), lease_until = pawl.now() + p_length, is_begun = true
   where l.name = p_name and l.epoch = p_epoch and l.lease_until > pawl.now() returning l.lease_until into v_until;
  if not found then perform pawl.no_such_lease(p_name, p_epoch); end if;
  return v_until;
end $$;

-- Fences what the caller's transaction writes: until its end nobody else can take the lease.
create or replace function pawl.hold_lease_v1(p_name text, p_epoch bigint) returns void
language plpgsql volatile as $$
begin
  perform 1 from pawl.lease l where l.name = p_name and l.epoch = p_epoch and l.lease_until > pawl.now() for share;
  if not found then perform pawl.no_such_lease(p_name, p_epoch); end if;
end $$;

-- Reserves the next slot, at least p_gap after the last one, and renews the lease: one UPDATE. Returns how long to
-- wait for it.
create or replace function pawl.reserve_slot_v1(p_name text, p_epoch bigint, p_gap interval, p_length interval) returns interval
language plpgsql volatile
set lock_timeout = '2s' as $$
declare
  v_slot timestamptz;
begin
  update pawl.lease l
     set next_slot = greatest(l.next_slot, pawl.now()) + p_gap, heartbeat_at = pawl.now(),
         lease_until = pawl.now() + p_length
   where l.name = p_name and l.epoch = p_epoch and l.lease_until > pawl.now()
  returning l.next_slot - p_gap into v_slot;
  if not found then perform pawl.no_such_lease(p_name, p_epoch); end if;
  return greatest(v_slot - pawl.now(), interval '0');
end $$;

-- Returns false if it was no longer the caller's: a later owner keeps it.
create or replace function pawl.release_lease_v1(p_name text, p_epoch bigint) returns boolean
language plpgsql volatile
set lock_timeout = '1s' as $$
begin
  update pawl.lease l set lease_until = pawl.now()
   where l.name = p_name and l.epoch = p_epoch and l.lease_until > pawl.now();
  return found;
end $$;

-- Takes a free lease for work that switches hold: under the gate's lock, so that nobody takes one once `off` has committed. Its holder may begin
-- a moment later; its first renewal says that it has, and `off` waits for that. off, quiet: the switches and the quiet hours that hold it, as
-- something that takes p_takes at most; then nothing is taken.
create or replace function pawl.take_lease_if_on(p_name text, p_owner text, p_length interval, p_kind text, p_names text[], p_takes interval,
  out epoch bigint, out off jsonb, out quiet jsonb)
language plpgsql volatile as $$
begin
  perform pawl.require_read_committed();
  perform pg_advisory_xact_lock_shared(pawl.gate_lock());
  select pawl.switches_of(p_kind, p_names) into off; -- a statement of its own: it sees what was committed before the lock was taken
  select pawl.quiet_reasons(p_kind, p_names, p_takes) into quiet;
  if off is not null or quiet is not null then return; end if;
  select t.epoch into epoch from pawl.take_lease_v1(p_name, p_owner, p_length) t;
  update pawl.lease l set is_begun = false where l.name = p_name and l.epoch = take_lease_if_on.epoch;
end $$;

-- The owner of this epoch still has it.
create or replace function pawl.is_lease_held(p_name text, p_epoch bigint) returns boolean
language sql stable return exists (
  select 1 from pawl.lease l where l.name = p_name and l.epoch = p_epoch and l.lease_until > pawl.now());

-- When the owner of this epoch was last heard of; null when somebody had it after.
create or replace function pawl.lease_heard_at(p_name text, p_epoch bigint) returns timestamptz
language sql stable return (select l.heartbeat_at from pawl.lease l where l.name = p_name and l.epoch = p_epoch);

-- Takes it away from whoever has it or had it last: nothing of that epoch counts any more. Returns whether somebody had it.
create or replace function pawl.fence_lease(p_name text) returns boolean
language plpgsql volatile as $$
declare
  v_was_held boolean;
begin
  select l.lease_until > pawl.now() into v_was_held from pawl.lease l where l.name = p_name for update;
  update pawl.lease l set epoch = l.epoch + 1, lease_until = pawl.now() where l.name = p_name;
  return coalesce(v_was_held, false);
end $$;

-- The lease is for something of these scopes, or of a part of one: command:import:10 is one of command:import.
create or replace function pawl.is_lease_of(p_name text, p_scopes text[]) returns boolean
language sql stable return p_name not like 'pawl' || ':%' and exists (
  select from unnest(p_scopes) s (scope) where s.scope = 'all' or p_name = s.scope or starts_with(p_name, s.scope || ':'));
