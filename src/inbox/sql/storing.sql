-- The storing side: batches from the inbox to where events end up.

-- Sources with events that wait to be stored.
create or replace function pawl.sources_to_store_v1(p_names text[]) returns table (id int, name text, raw boolean)
language sql stable
set enable_seqscan = off set enable_bitmapscan = off set jit = off as $$
  select s.id, s.name, r.there
    from pawl.source s join pawl.source_storage t on t.source_id = s.id
    cross join lateral (select exists (select 1 from pawl.inbox b
      where b.source_id = s.id and b.state <> 'ready' and b.state = 'raw' limit 1) as there) r
   where s.name = any (p_names) and t.next_at <= pawl.now() and not pawl.is_off_all() and not pawl.is_quiet(array['all', 'source:' || s.name])
     and (r.there or exists (select 1 from pawl.inbox b where b.source_id = s.id and b.state = 'ready' and b.number >= t.floor
       and (b.next_at is null or b.next_at <= pawl.now())))
   order by t.last_stored_at nulls first, s.id
$$;

-- The next events of a source to store, held until the transaction's end. In order: by one mover at a time, and nothing
-- beyond an event that waits for another attempt. Empty if another mover has them, or everything is off.
create or replace function pawl.take_events(p_source int, p_limit int) returns bigint[]
language plpgsql volatile
set enable_seqscan = off set enable_bitmapscan = off set jit = off set plan_cache_mode = force_generic_plan as $$
declare
  v_floor bigint;
  v_is_ordered boolean;
  v_is_quiet boolean;
  v_numbers bigint[];
  v_stop bigint;
begin
  perform pawl.require_read_committed();
  if not pawl.begin_batch() then return '{}'; end if;
  select s.ordering = 'source', pawl.is_quiet(array['all', 'source:' || s.name]) into v_is_ordered, v_is_quiet from pawl.source s where s.id = p_source;
  if v_is_quiet then return '{}'; end if;
  if v_is_ordered and not pg_try_advisory_xact_lock(hashtextextended('pawl.inbox', p_source)) then return '{}'; end if;
  select t.floor into v_floor from pawl.source_storage t where t.source_id = p_source;
  if v_is_ordered then
    select b.number into v_stop from pawl.inbox b
     where b.source_id = p_source and b.state = 'ready' and b.number >= v_floor and b.next_at > pawl.now()
     order by b.number limit 1;
  end if;
  select array_agg(x.number order by x.number) into v_numbers from (
    select b.number from pawl.inbox b
     where b.source_id = p_source and b.state = 'ready' and b.number >= v_floor and b.number < coalesce(v_stop, 9223372036854775807)
       and (b.next_at is null or b.next_at <= pawl.now())
     order by b.number limit p_limit for update skip locked) x;
  return coalesce(v_numbers, '{}');
end $$;

-- Sets the floor and the stored cursor after events have left. The row is locked first, so that the query that follows sees
-- what other movers have committed.
create or replace function pawl.note_stored(p_source int, p_last bigint, p_taken int, p_stored int, p_duplicates int, p_set_aside int) returns void
language plpgsql volatile
set enable_seqscan = off set enable_bitmapscan = off set jit = off as $$
declare
  v_storage pawl.source_storage;
begin
  select t.* into v_storage from pawl.source_storage t where t.source_id = p_source for no key update;
  update pawl.source_storage t
     set floor = greatest(t.floor, coalesce(l.number, p_last + 1)), taken = t.taken + p_taken,
         stored_count = t.stored_count + p_stored, duplicates = t.duplicates + p_duplicates,
         set_aside = t.set_aside + p_set_aside, last_stored_at = case when p_stored > 0 then pawl.now() else t.last_stored_at end,
         failures = case when p_taken > 0 then 0 else t.failures end, error = case when p_taken > 0 then null else t.error end,
         stored = case
           when s.cursor_kind = 'opaque' then coalesce(l.after_cursor, s.requested)
           else greatest(t.stored::numeric, coalesce(l.event_id::numeric - 1, s.requested::numeric))::text end
    from pawl.source s left join lateral (
      select b.number, b.event_id, b.after_cursor from pawl.inbox b
       where b.source_id = s.id and b.state = 'ready' and b.number >= v_storage.floor order by b.number limit 1) l on true
   where t.source_id = p_source and s.id = p_source;
end $$;

-- One batch from the inbox to the table stored_event.
create or replace function pawl.store_events_v1(p_source int, p_limit int) returns table (taken int, stored int)
language plpgsql volatile
set enable_seqscan = off set enable_bitmapscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off as $$
declare
  v_numbers bigint[] := pawl.take_events(p_source, p_limit);
begin
  taken := cardinality(v_numbers);
  stored := 0;
  if taken = 0 then return next; return; end if;
  with gone as (
    delete from pawl.inbox b where b.number = any (v_numbers)
    returning b.source_id, b.event_id, b.number, b.name, b.occurred_at, b.received_at, b.payload, b.meta
  ), put as (
    insert into pawl.stored_event (source_id, event_id, number, name, occurred_at, received_at, payload, meta)
    select g.source_id, g.event_id, g.number, g.name, g.occurred_at, g.received_at, g.payload, g.meta from gone g
    on conflict do nothing returning 1
  )
  select count(*) into stored from put;
  perform pawl.note_stored(p_source, v_numbers[taken], taken, stored, taken - stored, 0);
  return next;
end $$;

-- One batch for a handler of the app; is_seen: it was stored before, and is only to be dropped.
-- At most p_bytes of JSON, but at least one event: the rest stays in the inbox, locked until this transaction ends.
create or replace function pawl.claim_events_v1(p_source int, p_limit int, p_bytes int)
returns table (number bigint, event_id text, name text, occurred_at text, received_at text, payload_text text, meta_text text,
  attempts int, is_seen boolean)
language plpgsql volatile
set enable_seqscan = off set enable_bitmapscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off as $$
#variable_conflict use_column
declare
  v_numbers bigint[] := pawl.take_events(p_source, p_limit);
begin
  return query
  select b.number, b.event_id, b.name, to_char(b.occurred_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'),
         to_char(b.received_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'), b.payload_text, b.meta_text, b.attempts,
         exists (select 1 from pawl.inbox_seen z where z.source_id = p_source and z.event_id = b.event_id)
    from (
      select i.*, x.payload_text, x.meta_text, x.bytes, sum(x.bytes) over (order by i.number) as bytes_so_far
        from pawl.inbox i cross join lateral (
          select t.*, octet_length(t.payload_text) + coalesce(octet_length(t.meta_text), 0) as bytes
            from (select i.payload::text as payload_text, i.meta::text as meta_text offset 0) t) x
       where i.number = any (v_numbers)) b
   where b.bytes_so_far <= p_bytes or b.bytes_so_far = b.bytes order by b.number;
end $$;

-- Records what became of that batch, in the same transaction. p_failed: [{"number", "error", "delay_ms"}]; without a delay the
-- event is set aside.
create or replace function pawl.settle_events_v1(p_source int, p_stored bigint[], p_seen bigint[], p_failed jsonb) returns void
language plpgsql volatile
set enable_seqscan = off set enable_bitmapscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off as $$
declare
  v_aside int;
  v_last bigint;
begin
  with gone as (
    delete from pawl.inbox b where b.number = any (p_stored) returning b.source_id, b.event_id
  )
  insert into pawl.inbox_seen (source_id, event_id) select g.source_id, g.event_id from gone g order by g.event_id
  on conflict do nothing;
  delete from pawl.inbox b where b.number = any (p_seen);
  with failed as (
    select f.number, f.error, f.delay_ms from jsonb_to_recordset(p_failed) as f (number bigint, error text, delay_ms bigint)
  ), kept as (
    update pawl.inbox b
       set attempts = b.attempts + 1, error = left(f.error, 2000), failed_at = pawl.now(),
           state = case when f.delay_ms is null then 'bad' else 'ready' end,
           next_at = pawl.now() + f.delay_ms * interval '1 ms'
      from failed f where b.number = f.number returning b.state
  )
  select count(*) filter (where k.state = 'bad') into v_aside from kept k;
  select max(n) into v_last from unnest(p_stored || p_seen) n;
  perform pawl.note_stored(p_source, coalesce(v_last, -1), cardinality(p_stored) + cardinality(p_seen) + v_aside,
    cardinality(p_stored), cardinality(p_seen), v_aside);
end $$;

-- Records that storing as such fails, not one event: it is tried again later, and nothing is set aside.
create or replace function pawl.note_storing_failed_v1(p_source int, p_error text, p_delay interval) returns void
language sql volatile as $$
  update pawl.source_storage t set failures = t.failures + 1, error = left(p_error, 2000), next_at = pawl.now() + p_delay
   where t.source_id = p_source
$$;

-- True if, as far as is known, events of these sources are still to be fetched or stored. p_since: when the caller began.
create or replace function pawl.has_inbox_work_v1(p_load text[], p_store text[], p_since timestamptz) returns boolean
language sql stable as $$
  select not pawl.is_off_all() and (exists (
    select 1 from pawl.source s left join pawl.source_window w on w.id = s.window_id and w.reserved_at = s.window_at
     where s.name = any (p_load) and s.state = 'active' and not pawl.is_source_off(s.name) and not s.is_push
       and (w.state is distinct from 'empty' or s.last_fetch_at is null or s.last_fetch_at < p_since)
       and (s.failures = 0 or s.next_at < pawl.now() + interval '1 second'))
  or exists (
    select 1 from pawl.source s join pawl.source_storage t on t.source_id = s.id
     where s.name = any (p_store) and not pawl.is_quiet(array['all', 'source:' || s.name]) and t.failures = 0 and s.received > t.taken
       and exists (select 1 from pawl.inbox b where b.source_id = s.id and b.state = 'ready' and b.number >= t.floor
         and (b.next_at is null or b.next_at < pawl.now() + interval '1 second'))))
$$;
