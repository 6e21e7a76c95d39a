-- Where a task goes: its stream, its queue and its shards.

-- The stream of a kind: the one named, or the newest definition; made when the queue is known but the kind is not.
create or replace function pawl.stream_of(p_kind text, p_queue text, p_version int) returns int
language plpgsql volatile as $$
declare
  v_stream int;
  v_queue int;
begin
  if p_kind is null or p_kind = '' then
    raise exception 'task without a kind' using errcode = 'PW010',
      hint = 'give each task a "kind", the name of a job';
  end if;
  select st.id into v_stream from pawl.stream st join pawl.queue q on q.id = st.queue_id
   where st.kind = p_kind and st.version = p_version and (q.name = p_queue or p_queue is null)
     and (p_queue is not null or st.defined_at is not null)
   order by st.defined_at desc nulls last limit 1;
  if found then return v_stream; end if;
  if p_queue is null then
    raise exception 'unknown kind "%"', p_kind using errcode = 'PW011',
      hint = 'start a worker that defines it, or give the task a "queue" to wait in';
  end if;
  select q.id into v_queue from pawl.queue q where q.name = p_queue;
  if not found then
    raise exception 'unknown queue "%"', p_queue using errcode = 'PW013',
      hint = coalesce('known: ' || (select string_agg(q.name, ', ' order by q.name) from pawl.queue q), 'no queue is defined yet: start a worker');
  end if;
  if p_kind !~ '^\S+$' or length(p_kind) > 200 or octet_length(p_kind) > 600 then -- with a key it stands in an index
    raise exception 'bad kind "%"', left(p_kind, 100) using errcode = 'PW010',
      hint = 'a kind has 1 to 200 characters (at most 600 bytes) and no spaces, such as "send-email"';
  end if;
  insert into pawl.stream (queue_id, kind, version) values (v_queue, p_kind, p_version)
  on conflict do nothing;
  select st.id into v_stream from pawl.stream st
   where st.kind = p_kind and st.queue_id = v_queue and st.version = p_version;
  perform pawl.make_shards(v_stream);
  return v_stream;
end $$;

-- Refuses a queue that a part of Pawl fills itself.
create or replace function pawl.refuse_part(p_queue text) returns void
language plpgsql stable as $$
declare
  v_hint text;
begin
  select q.hint into v_hint from pawl.part_queue q where p_queue like q.like_pattern limit 1;
  if not found then return; end if;
  raise exception 'queue "%" belongs to a part of Pawl, and only that part creates its tasks', p_queue using errcode = 'PW010', hint = v_hint;
end $$;

-- The stream, the queue and the shards that a task goes to; checks what the caller wrote. p_is_part: for a part of Pawl, whose
-- queues nobody else may fill: a request would be signed with any key, and a delivery sent anywhere.
create or replace function pawl.target_of(p_kind text, p_queue text, p_version text, p_priority text, p_is_part boolean,
  out stream_id int, out queue_id int, out shards int[])
language plpgsql volatile as $$
declare
  v_queue text;
begin
  if p_priority !~ '^[0-3]$' then
    raise exception 'expected `priority` of kind "%" to be 0, 1, 2 or 3, got %', p_kind, p_priority
      using errcode = 'PW010', hint = '0 runs first, 1 is the default';
  end if;
  if p_version !~ '^[1-9][0-9]{0,8}$' then
    raise exception 'expected `version` of kind "%" to be a whole number from 1, got %', p_kind, p_version
      using errcode = 'PW010', hint = 'leave it out for version 1';
  end if;
  if not p_is_part and p_queue is not null then perform pawl.refuse_part(p_queue); end if;
  stream_id := pawl.stream_of(p_kind, p_queue, coalesce(p_version::int, 1));
  select st.queue_id, q.name into queue_id, v_queue from pawl.stream st join pawl.queue q on q.id = st.queue_id where st.id = stream_id;
  if not p_is_part and p_queue is null then perform pawl.refuse_part(v_queue); end if;
  shards := pawl.shards_of(stream_id, coalesce(p_priority::int, 1), false);
end $$;
