-- Recording an event, in the caller's transaction.

-- Recording stays one INSERT from anywhere; the wake-up costs nothing unless a worker is idle.
create or replace function pawl.event_recorded() returns trigger
language plpgsql security definer as $$ begin perform pawl.wake_v1(); return null; end $$;

-- Refuses payloads and metas that are too large or too deep, however the event is recorded. What is shorter is neither. Pawl's
-- own events are never refused: whoever records one has something to settle. The meta of one that a delivery raised holds that
-- delivery too, which takes less than 1 KiB.
create or replace function pawl.check_event() returns trigger
language plpgsql as $$
declare
  v_limit bigint;
  v_fault text;
begin
  select (s.value #>> '{}')::bigint into v_limit from pawl.setting s where s.name = 'payload_bytes_max';
  v_fault := coalesce('payload of event "' || new.name || '" ' || pawl.json_fault(new.payload, v_limit),
                      'meta of event "' || new.name || '" ' || pawl.json_fault(new.meta, v_limit + case when new.meta ? 'deliveryId' then 1024 else 0 end));
  if v_fault is not null then
    raise exception '%', v_fault using errcode = 'PW012',
      hint = 'store the data elsewhere and record a reference to it, or raise maxPayloadBytes';
  end if;
  return new;
end $$;

create or replace function pawl.record(name text, aggregate_type text, aggregate_id text, payload jsonb, meta jsonb default '{}')
returns uuid
language plpgsql volatile security definer as $$
#variable_conflict use_variable
declare
  v_id uuid;
begin
  if name is null or name !~ '^[A-Za-z0-9_.:-]+$' or length(name) > 200 then
    raise exception 'bad event name %', coalesce('"' || left(name, 100) || '"', 'null') using errcode = 'PW010',
      hint = 'use 1 to 200 letters, digits, "_", ".", ":" and "-", such as "order.placed.v1"';
  end if;
  if name like 'pawl' || '.%' then
    raise exception 'event name "%" begins with "pawl.", as only Pawl''s own do', name using errcode = 'PW010', hint = 'choose another name';
  end if;
  if aggregate_type is null or aggregate_id is null then
    raise exception 'event "%" without an aggregate', name using errcode = 'PW010',
      hint = 'name the type and the id of what the event is about, such as ''order'', ''42''';
  end if;
  if length(aggregate_type) not between 1 and 200 or length(aggregate_id) not between 1 and 500 then
    raise exception 'event "%": bad aggregate ("%", "%")', name, left(aggregate_type, 100), left(aggregate_id, 100) using errcode = 'PW010',
      hint = 'its type has 1 to 200 characters, its id 1 to 500';
  end if;
  if jsonb_typeof(meta) not in ('object', 'null') then
    raise exception 'event "%": meta is of type %', name, jsonb_typeof(meta) using errcode = 'PW010', hint = 'meta is an object, such as ''{"correlation": "r-17"}''';
  end if;
  insert into pawl.event (name, aggregate_type, aggregate_id, payload, meta)
  values (name, aggregate_type, aggregate_id, coalesce(payload, 'null'), coalesce(nullif(meta, 'null'), '{}')) returning id into v_id;
  return v_id;
end $$;

-- The destination that an event is sent to explicitly. p_type null: of any type.
create or replace function pawl.target_destination(p_type text, p_name text) returns int
language plpgsql stable as $$
declare
  v_id int;
begin
  select d.id into v_id from pawl.destination d where d.name = p_name and (p_type is null or d.type = p_type) and d.removed_at is null;
  if not found then
    raise exception 'no destination "%"%', p_name, coalesce(' of type "' || p_type || '"', '') using errcode = 'PW018',
      hint = coalesce('known: ' || (select string_agg(d.type || ' ' || d.name, ', ' order by d.name) from pawl.destination d
        where d.removed_at is null), 'there is none yet: start a worker');
  end if;
  return v_id;
end $$;

-- Records an event for one destination, whatever the routes say.
create or replace function pawl.send_to(destination_type text, destination text, name text, aggregate_type text, aggregate_id text,
  payload jsonb, meta jsonb default '{}') returns uuid
language plpgsql volatile security definer as $$
#variable_conflict use_variable
declare
  v_target int := pawl.target_destination(destination_type, destination);
  v_id uuid := pawl.record(name, aggregate_type, aggregate_id, payload, meta);
begin
  update pawl.event e set target_id = v_target where e.id = v_id;
  return v_id;
end $$;

-- What the typed API calls; p_xid as in enqueue_each_v1. p_target: the name of its only destination, of p_target_type where that is given.
create or replace function pawl.record_v1(p_name text, p_aggregate_type text, p_aggregate_id text, p_payload jsonb, p_meta jsonb, p_xid text,
  p_target_type text, p_target text) returns table (id text)
language plpgsql volatile as $$
begin
  if p_xid <> coalesce(pg_current_xact_id_if_assigned()::text, '') then return; end if;
  if p_target is null then
    return query select pawl.record(p_name, p_aggregate_type, p_aggregate_id, p_payload, p_meta)::text;
  else
    return query select pawl.send_to(p_target_type, p_target, p_name, p_aggregate_type, p_aggregate_id, p_payload, p_meta)::text;
  end if;
end $$;

-- Records what a delivery raises: also under a name of Pawl's own events, which no app may record.
create or replace function pawl.raise_v1(p_name text, p_aggregate_type text, p_aggregate_id text, p_payload jsonb, p_meta jsonb) returns table (id text)
language sql volatile as $$
  insert into pawl.event as e (name, aggregate_type, aggregate_id, payload, meta)
  values (p_name, p_aggregate_type, p_aggregate_id, p_payload, p_meta) returning e.id::text
$$;
