-- Events that were set aside: stored again, decoded again, or discarded.

-- Lets events that were set aside be stored again, each with a new number; undecoded bytes are decoded again
-- first. Nothing may get a number between a loader's numbers and their commit: the source's row is locked.
create or replace function pawl.retry_inbox_v1(p_numbers bigint[], p_by text, p_why text) returns table (number bigint)
language plpgsql volatile as $$
#variable_conflict use_column
declare
  v_source record;
begin
  perform pawl.require_read_committed();
  for v_source in
    select s.id, s.name, s.requested from pawl.source s
     where s.id in (select b.source_id from pawl.inbox b where b.number = any (p_numbers) and b.state = 'bad')
     order by s.id for no key update
  loop
    perform 1 from pawl.source_storage t where t.source_id = v_source.id for no key update;
    return query
    with mine as (
      select b.number, b.payload is null as is_raw from pawl.inbox b
       where b.number = any (p_numbers) and b.source_id = v_source.id and b.state = 'bad' order by b.number for update
    ), raised as (
      update pawl.inbox b set state = 'raw', attempts = 0, next_at = null from mine m where b.number = m.number and m.is_raw
    )
    select m.number from mine m;
    perform pawl.raise_events(v_source.id, array(select b.number from pawl.inbox b
      where b.number = any (p_numbers) and b.source_id = v_source.id and b.state = 'bad' order by b.number), null);
    perform pawl.audit_v1(p_by, 'inbox.retry', 'source:' || v_source.name, p_why,
      jsonb_build_object('numbers', to_jsonb(p_numbers)));
  end loop;
  perform pawl.wake_v1();
end $$;

-- The rows of the source and of its storing side are locked by the caller.
create or replace function pawl.raise_events(p_source int, p_numbers bigint[], p_decoded jsonb) returns int
language plpgsql volatile as $$
declare
  v_count int;
begin
  update pawl.inbox b
     set number = default, state = 'ready', attempts = 0, next_at = null, error = null, failed_at = null, after_cursor = s.requested,
         payload = coalesce(d.p, b.payload, 'null'), name = coalesce(d.n, b.name), occurred_at = coalesce(d.o, b.occurred_at),
         meta = coalesce(d.m, b.meta)
    from pawl.source s, unnest(p_numbers) u (number)
    left join jsonb_to_recordset(coalesce(p_decoded, '[]')) as d (number bigint, n text, o timestamptz, p jsonb, m jsonb)
      on d.number = u.number
   where b.number = u.number and s.id = p_source and b.source_id = p_source;
  get diagnostics v_count = row_count;
  update pawl.source_storage t set taken = t.taken - v_count, set_aside = t.set_aside - v_count where t.source_id = p_source;
  return v_count;
end $$;

create or replace function pawl.raw_events_v1(p_source int, p_limit int, p_bytes int)
returns table (number bigint, event_id text, raw bytea, is_event boolean)
language sql volatile as $$
  select r.number, r.event_id, r.raw, r.is_event from (
    select b.number, b.event_id, coalesce(b.raw, '') as raw, coalesce(b.is_event, false) as is_event,
           sum(octet_length(b.raw)) over (order by b.number) - octet_length(b.raw) as bytes_before
      from pawl.inbox b
     where b.source_id = p_source and b.state <> 'ready' and b.state = 'raw' and not pawl.is_off_all()
       and not pawl.is_quiet(array['all', 'source:' || (select s.name from pawl.source s where s.id = p_source)])
     order by b.number limit p_limit) r
   where coalesce(r.bytes_before, 0) < p_bytes order by r.number
$$;

-- p_decoded: [{"number", "n", "o", "p", "m"}]; p_failed: [{"number", "error"}].
create or replace function pawl.settle_raw_v1(p_source int, p_decoded jsonb, p_failed jsonb) returns int
language plpgsql volatile as $$
begin
  perform 1 from pawl.source s where s.id = p_source for no key update;
  perform 1 from pawl.source_storage t where t.source_id = p_source for no key update;
  update pawl.inbox b set state = 'bad', attempts = b.attempts + 1, error = left(f.error, 2000), failed_at = pawl.now()
    from jsonb_to_recordset(p_failed) as f (number bigint, error text) where b.number = f.number and b.state = 'raw';
  return pawl.raise_events(p_source, array(select b.number from pawl.inbox b
    join jsonb_to_recordset(p_decoded) as d (number bigint) on d.number = b.number
   where b.state = 'raw' order by b.number for update of b), p_decoded);
end $$;

-- Discards set-aside events.
create or replace function pawl.remove_inbox_v1(p_numbers bigint[], p_by text, p_why text) returns table (number bigint)
language plpgsql volatile as $$
#variable_conflict use_column
begin
  -- in the same order as a retry
  perform 1 from pawl.source_storage t
   where t.source_id in (select b.source_id from pawl.inbox b where b.number = any (p_numbers)) order by t.source_id for no key update;
  return query
  with gone as (
    delete from pawl.inbox b where b.number = any (p_numbers) and b.state in ('bad', 'raw') returning b.number, b.source_id, b.event_id
  ), counted as (
    update pawl.source_storage t set set_aside = t.set_aside - c.count
      from (select g.source_id, count(*) as count from gone g group by g.source_id) c where t.source_id = c.source_id
  ), told as (
    select pawl.audit_v1(p_by, 'inbox.remove', 'source:' || s.name, p_why,
             jsonb_build_object('numbers', jsonb_agg(g.number), 'ids', jsonb_agg(g.event_id)))
      from gone g join pawl.source s on s.id = g.source_id group by s.name
  )
  select g.number from gone g, (select count(*) from told) t;
end $$;
