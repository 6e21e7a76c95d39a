-- What operators do to destinations.

insert into pawl.part_queue (like_pattern, part, hint) values
  ('destination:%', 'outbox', 'a delivery is made by recording an event'),
  ('pawl', 'outbox', 'Pawl makes the tasks of its own work, such as a replay')
on conflict (like_pattern) do update set hint = excluded.hint;

-- What an operator may change by name; refuses what the code owns.
create or replace function pawl.operators_destination(p_name text) returns pawl.destination
language plpgsql stable as $$
declare
  v_row pawl.destination;
begin
  select d.* into v_row from pawl.destination d where d.name = p_name and d.removed_at is null;
  if not found then
    raise exception 'no destination "%"', p_name using errcode = 'PW018',
      hint = coalesce('known: ' || (select string_agg(d.name, ', ' order by d.name) from pawl.destination d where d.removed_at is null), 'there is none yet');
  end if;
  perform pawl.refuse_owned_by_code(format('destination "%s"', p_name), v_row.application, 'pausing and resuming');
  return v_row;
end $$;

-- Refuses what people write that programs could not read again: all lists would fail for it.
create or replace function pawl.refuse_unreadable(p_what text, p_value jsonb) returns void
language plpgsql immutable as $$
declare
  v_fault text := pawl.json_fault(p_value, 262144);
begin
  if v_fault is not null then
    raise exception '%: %', p_what, v_fault using errcode = 'PW010', hint = 'write it shorter and flatter';
  end if;
end $$;

-- Makes or changes an operator's destination: {"name", "type", "config", "ordering", "queue": {"retry", "timeout_ms",
-- "concurrency", "rate", "breaker", "on_dead"}}. p_shown: what of it people may see, for the audit. Answers its id.
create or replace function pawl.put_destination_v1(p_destination jsonb, p_is_new boolean, p_shown jsonb, p_by text, p_why text,
  p_action text default null)
returns int
language plpgsql volatile as $$
declare
  v_name text := p_destination ->> 'name';
  v_queue int;
  v_stream int;
  v_row pawl.destination;
begin
  perform pawl.refuse_unreadable('destination "' || v_name || '"', p_destination);
  perform pg_advisory_xact_lock(hashtextextended('pawl.register', 0));
  if p_is_new and exists (select 1 from pawl.destination d where d.name = v_name and d.removed_at is null) then
    raise exception 'destination "%" is there already', v_name using errcode = 'PW016',
      hint = 'change it with `pawl destinations edit`, or choose another name';
  end if;
  if not p_is_new then
    v_row := pawl.operators_destination(v_name);
    if v_row.type <> p_destination ->> 'type' then
      raise exception 'destination "%" is of type %, and cannot become %', v_name, v_row.type, p_destination ->> 'type'
        using errcode = 'PW010', hint = 'add a new destination, and route to it';
    end if;
  end if;
  insert into pawl.queue as q (name, retry, timeout_ms, concurrency, rate, breaker, on_dead, application)
  select 'destination:' || v_name, n.retry, n.timeout_ms, n.concurrency, nullif(n.rate, 'null'), nullif(n.breaker, 'null'),
         coalesce(n.on_dead, 'block'), ''
    from jsonb_to_record(p_destination -> 'queue')
      as n (retry jsonb, timeout_ms int, concurrency int, rate jsonb, breaker jsonb, on_dead text)
  on conflict (name) do update
     set retry = excluded.retry, timeout_ms = excluded.timeout_ms, concurrency = excluded.concurrency, rate = excluded.rate,
         breaker = excluded.breaker, on_dead = excluded.on_dead, application = excluded.application, defined_at = pawl.now()
  returning q.id into v_queue;
  insert into pawl.stream as st (queue_id, kind, application, defined_at)
  values (v_queue, 'delivery:' || (p_destination ->> 'type'), '', pawl.now())
  on conflict (kind, queue_id, version) do update set defined_at = excluded.defined_at
  returning st.id into v_stream;
  perform pawl.make_shards(v_stream);
  perform pawl.set_limits();
  if nullif(p_destination -> 'queue' -> 'breaker', 'null') is null then
    perform pawl.end_breakers_v1(array[v_stream], 'it has no breaker any more');
  end if;
  if v_row.id is null then
    insert into pawl.destination (name, queue_id, stream_id, type, config, ordering)
    values (v_name, v_queue, v_stream, p_destination ->> 'type', p_destination -> 'config', coalesce(p_destination ->> 'ordering', 'none'))
    returning * into v_row;
  else
    update pawl.destination d
       set config = p_destination -> 'config', ordering = coalesce(p_destination ->> 'ordering', d.ordering),
           revision = d.revision + 1, defined_at = pawl.now()
     where d.id = v_row.id;
  end if;
  perform pawl.audit_v1(p_by, coalesce(p_action, case when p_is_new then 'destinations.add' else 'destinations.edit' end),
    'destination:' || v_name, p_why, p_shown);
  perform pg_notify('pawl.wake', '');
  return v_row.id;
end $$;

-- Removes an operator's destination with its routes. What still waits for it is cancelled; answers how many those were.
create or replace function pawl.remove_destination_v1(p_name text, p_by text, p_why text) returns int
language plpgsql volatile as $$
declare
  v_row pawl.destination;
  v_cancelled int;
begin
  perform pawl.refuse_member('queue', 'destination:' || p_name);
  v_row := pawl.operators_destination(p_name);
  perform pawl.wait_for_router();
  perform pawl.end_breakers_v1(array[v_row.stream_id], 'the destination was removed');
  update pawl.destination d set removed_at = pawl.now() where d.id = v_row.id;
  delete from pawl.route r where r.destination_id = v_row.id;
  delete from pawl.switch w where w.scope = 'queue' and w.name = 'destination:' || p_name;
  v_cancelled := pawl.drop_waiting_v1(v_row.id, p_by, coalesce(p_why, 'its destination was removed'), 'destinations.remove');
  perform pawl.audit_v1(p_by, 'destinations.remove', 'destination:' || p_name, p_why, jsonb_build_object('cancelled', v_cancelled));
  return v_cancelled;
end $$;

-- Cancels what waits for a destination.
create or replace function pawl.drop_waiting_v1(p_destination int, p_by text, p_why text, p_action text) returns int
language sql volatile as $$
  select count(*)::int from pawl.cancel_v1(
    array(select l.id from pawl.destination d cross join lateral pawl.live_tasks_of(d.queue_id) l (id) where d.id = p_destination),
    p_by, p_why, p_action)
$$;

-- Turns a destination off. What comes for it waits, or, with p_drops, goes nowhere, as does what waits already.
create or replace function pawl.pause_destination_v1(p_name text, p_drops boolean, p_by text, p_why text, p_until timestamptz,
  p_action text default null)
returns int
language plpgsql volatile as $$
declare
  v_id int;
begin
  if p_drops then perform pawl.wait_for_router(); end if;
  select d.id into v_id from pawl.destination d where d.name = p_name and d.removed_at is null;
  perform pawl.off_v1('destination:' || p_name, p_by, p_why, p_until, coalesce(p_action, 'destinations.pause'));
  update pawl.switch w set drops = p_drops where w.scope = 'queue' and w.name = 'destination:' || p_name;
  if not p_drops then return 0; end if;
  return pawl.drop_waiting_v1(v_id, p_by, coalesce(p_why, 'its destination was turned off'), coalesce(p_action, 'destinations.pause'));
end $$;

create or replace function pawl.resume_destination_v1(p_name text, p_by text, p_why text) returns boolean
language plpgsql volatile as $$
begin
  return pawl.on_v1('destination:' || p_name, p_by, p_why, 'destinations.resume');
end $$;

-- A receiver wants no more: its destination is turned off, once, and people are told.
create or replace function pawl.disable_destination_v1(p_name text, p_why text) returns void
language plpgsql volatile as $$
begin
  perform pg_advisory_xact_lock(pawl.gate_lock()); -- what follows sees what another delivery has done
  if exists (select 1 from pawl.switch w where w.scope = 'queue' and w.name = 'destination:' || p_name
              and (w.until is null or w.until > pawl.now()))
     or not exists (select 1 from pawl.destination d where d.name = p_name and d.removed_at is null) then return; end if;
  perform pawl.off_v1('destination:' || p_name, 'pawl', p_why, null, 'destinations.pause');
  if pawl.is_wanted('pawl' || '.destination.disabled') then
    insert into pawl.event (name, aggregate_type, aggregate_id, payload)
    values ('pawl' || '.destination.disabled', 'destination', p_name, jsonb_build_object('destination', p_name, 'why', p_why));
  end if;
end $$;
