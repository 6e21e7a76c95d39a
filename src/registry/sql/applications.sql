-- Apps that share a database. What one app's code defines, another's cannot take: a queue, a kind of job, and what
-- has a name in pawl.owned_kind have one owner. Default queues that no app configures, and what nobody defines any more, have none ('').

create or replace function pawl.set_payload_limit() returns void
language sql volatile as $$
  insert into pawl.setting as s (name, value)
  select 'payload_bytes_max', to_jsonb(max(a.payload_bytes_max)) from pawl.application a having count(*) > 0
  on conflict (name) do update set value = excluded.value where s.value <> excluded.value
$$;

-- What of the given names another app defines, each with that app. A queue that is defined alike is shared.
create or replace function pawl.names_of_others(p_definitions jsonb, p_jobs text[]) returns table (what text, owner text)
language plpgsql stable as $$
declare
  v_application text := p_definitions ->> 'application';
  v_kind pawl.owned_kind;
begin
  return query
    select 'queue "' || q.name || '"', q.application
      from pawl.queue q
      join jsonb_to_recordset(p_definitions -> 'queues') as d (name text, retry jsonb, timeout_ms int, shards smallint, concurrency int,
        kind_concurrency int, rate jsonb, kind_rate jsonb, key_concurrency int, key_rate jsonb, breaker jsonb, on_dead text, expired_is_dead boolean, keep jsonb, is_default boolean)
        on d.name = q.name
     where q.application not in ('', v_application) and d.is_default is not true and pawl.queue_kind(q.name) = 'queue'
       and (q.retry, q.timeout_ms, q.shards, q.concurrency, q.kind_concurrency, q.rate, q.kind_rate, q.key_concurrency, q.key_rate, q.breaker, q.on_dead, q.expired_is_dead, q.keep)
        is distinct from (nullif(d.retry, 'null'), d.timeout_ms, coalesce(d.shards, 1::smallint), d.concurrency, d.kind_concurrency,
           nullif(d.rate, 'null'), nullif(d.kind_rate, 'null'), d.key_concurrency, nullif(d.key_rate, 'null'), nullif(d.breaker, 'null'), coalesce(d.on_dead, 'block'), coalesce(d.expired_is_dead, false), nullif(d.keep, 'null'));
  return query
    select distinct 'job "' || st.kind || '"', st.application from pawl.stream st
     where st.kind = any (p_jobs) and st.application not in ('', v_application);
  for v_kind in select k.* from pawl.owned_kind k where k.what is not null order by k.kind loop
    return query execute format(
      'select %L || o.name || ''"'', o.application from pawl.%I o where o.name = any ($1) and o.application not in ('''', $2)',
      v_kind.what || ' "', v_kind.relation) using pawl.names_in(p_definitions -> v_kind.kind), v_application;
  end loop;
end $$;

create or replace function pawl.names_in(p_named jsonb) returns text[]
language sql immutable as $$ select array(select d.name from jsonb_to_recordset(p_named) as d (name text)) $$;

-- Takes the names that an app's code defines, and lets go of those that it no longer does; an older revision changes nothing.
-- {"application", "revision", "payload_bytes_max", "queues": as for register_v1, "streams": [{"queue", "kind"}],
--  and for each kind of pawl.owned_kind that has names, such as "sources": [{"name"}]}. Names of a kind that is not given stay as
-- they are: an older Pawl does not know it. Called first, in the transaction that registers them.
create or replace function pawl.own_names_v1(p_definitions jsonb) returns void
language plpgsql volatile as $$
declare
  v_application text := p_definitions ->> 'application';
  v_revision int := (p_definitions ->> 'revision')::int;
  v_queues text[] := array(select d.name from jsonb_to_recordset(p_definitions -> 'queues') as d (name text, is_default boolean)
    where d.is_default is not true);
  v_jobs text[] := array(select d.kind from jsonb_to_recordset(p_definitions -> 'streams') as d (kind text, queue text)
    where pawl.queue_kind(d.queue) = 'queue');
  v_kind pawl.owned_kind;
  v_taken text;
  v_owner text;
begin
  -- one registration at a time: who looks while another writes would miss it
  perform pg_advisory_xact_lock(hashtextextended('pawl.register', 0));
  select string_agg(o.what || ' of app "' || o.owner || '"', ', ' order by o.what), min(o.owner) into v_taken, v_owner
    from (select n.* from pawl.names_of_others(p_definitions, v_jobs) n order by n.what limit 10) o;
  if v_taken is not null then
    raise exception 'app "%" defines names of another app: %', v_application, v_taken using errcode = 'PW015',
      hint = format('rename it in one of them, or give one app a schema of its own (defineApp({ schema })); if both are the same app, give both the same name; if "%s" is gone: pawl apps remove %s',
        v_owner, v_owner);
  end if;
  if exists (select 1 from pawl.application a where a.name = v_application and a.revision > v_revision) then return; end if;
  update pawl.queue q set application = '' where q.application = v_application and q.name <> all (v_queues);
  update pawl.stream st set application = ''
   where st.application = v_application and st.kind <> all (v_jobs)
     and st.queue_id <> all (array(select q.id from pawl.queue q where q.application = v_application));
  for v_kind in select k.* from pawl.owned_kind k where k.what is not null and p_definitions ? k.kind order by k.kind loop
    execute format('update pawl.%I o set application = '''' where o.application = $1 and o.name <> all ($2)', v_kind.relation)
      using v_application, pawl.names_in(p_definitions -> v_kind.kind);
  end loop;
  insert into pawl.application as a (name, revision, payload_bytes_max)
  values (v_application, v_revision, (p_definitions ->> 'payload_bytes_max')::bigint)
  on conflict (name) do update
     set revision = excluded.revision, payload_bytes_max = excluded.payload_bytes_max, registered_at = pawl.now();
  perform pawl.set_payload_limit();
end $$;

-- False: a newer revision of the app has registered, and what only an older one defines is not written.
create or replace function pawl.is_current_v1(p_application text, p_revision int) returns boolean
language sql stable as $$ select not exists (select 1 from pawl.application a where a.name = p_application and a.revision > p_revision) $$;

-- How many of each kind an app defines, besides queues and jobs.
create or replace function pawl.owned_by(p_application text) returns table (kind text, count int)
language plpgsql stable as $$
declare
  v_kind pawl.owned_kind;
begin
  for v_kind in select k.* from pawl.owned_kind k loop
    return query execute format('select $1, count(*)::int from pawl.%I o where o.application = $2', v_kind.relation)
      using v_kind.kind, p_application;
  end loop;
end $$;

-- The apps of this database, with what they own and how many workers of each live. owned: {"sources": 2}
create or replace function pawl.apps_v1() returns table (name text, revision int, registered_at timestamptz, workers int, queues int,
  jobs int, owned json)
language sql stable as $$
  select a.name, a.revision, a.registered_at,
         (select count(*)::int from pawl.worker w where w.application = a.name and w.ended_at is null and w.lease_until > pawl.now()),
         (select count(*)::int from pawl.queue q where q.application = a.name and pawl.queue_kind(q.name) = 'queue'),
         (select count(*)::int from pawl.stream st join pawl.queue q on q.id = st.queue_id
           where st.application = a.name and pawl.queue_kind(q.name) = 'queue'),
         (select json_object_agg(o.kind, o.count order by o.kind) from pawl.owned_by(a.name) o)
    from pawl.application a order by a.name
$$;

-- For an app that is gone, or has another name now: its names are free for another app's code. What has a name stays, with all
-- that is in it; what has none, such as a route, is removed.
create or replace function pawl.remove_app_v1(p_name text, p_by text, p_why text) returns void
language plpgsql volatile as $$
declare
  v_app record;
  v_kind pawl.owned_kind;
begin
  perform pg_advisory_xact_lock(hashtextextended('pawl.register', 0));
  select a.* into v_app from pawl.apps_v1() a where a.name = p_name;
  if not found then
    raise exception 'no app "%"', p_name using errcode = 'PW010',
      hint = coalesce('known: ' || (select string_agg(a.name, ', ' order by a.name) from pawl.application a), 'none has registered yet');
  end if;
  if v_app.workers > 0 then
    raise exception 'app "%" has % live workers', p_name, v_app.workers using errcode = 'PW010',
      hint = 'stop them first, and whatever starts them: an app that is only removed here registers again';
  end if;
  update pawl.queue q set application = '' where q.application = p_name;
  update pawl.stream st set application = '' where st.application = p_name;
  for v_kind in select k.* from pawl.owned_kind k order by k.kind loop
    execute format(case when v_kind.what is null then 'delete from pawl.%I o where o.application = $1'
      else 'update pawl.%I o set application = '''' where o.application = $1' end, v_kind.relation) using p_name;
  end loop;
  delete from pawl.application a where a.name = p_name;
  perform pawl.set_payload_limit();
  perform pawl.audit_v1(p_by, 'apps.remove', 'app:' || p_name, p_why,
    jsonb_build_object('queues', v_app.queues, 'jobs', v_app.jobs) || v_app.owned::jsonb);
end $$;
