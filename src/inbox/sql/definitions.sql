-- Sources as the fleet's code defines them.
insert into pawl.owned_kind (kind, relation, what) values ('sources', 'source', 'source')
on conflict (kind) do update set relation = excluded.relation, what = excluded.what;

-- {"application", "revision", "sources": [{"name", "type", "config", "cursor", "is_push", "start", "gap_ms", "idle_ms",
--   "on_fault", "retry", "high_water", "low_water", "ordering", "has_handler"}]}
-- Where loading stands is never changed by a definition; a changed kind of cursor is refused.
create or replace function pawl.register_sources_v1(p_definitions jsonb) returns void
language plpgsql volatile as $$
declare
  v_application text := p_definitions ->> 'application';
  v_revision int := (p_definitions ->> 'revision')::int;
  v_changed text;
begin
  perform pg_advisory_xact_lock(hashtextextended('pawl.register', 0));
  select s.name into v_changed from pawl.source s
    join jsonb_to_recordset(p_definitions -> 'sources') as d (name text, cursor text) on d.name = s.name
   where d.cursor <> s.cursor_kind order by s.name limit 1;
  if found then
    raise exception 'source "%" has the other kind of cursor in the database', v_changed using errcode = 'PW010',
      hint = 'give the source a new name: its events keep their places under the old one';
  end if;
  insert into pawl.source as s (name, type, config, cursor_kind, is_push, start, gap, idle, on_fault, retry, high_water,
    low_water, ordering, has_handler, application, revision, requested, highest)
  select d.name, d.type, d.config, d.cursor, d.is_push, d.start, d.gap_ms * interval '1 ms', d.idle_ms * interval '1 ms',
         d.on_fault, d.retry, d.high_water, d.low_water, d.ordering, d.has_handler, v_application, v_revision, d.start, d.start
    from jsonb_to_recordset(p_definitions -> 'sources') as d (name text, type text, config jsonb, cursor text,
      is_push boolean, start text, gap_ms int, idle_ms int, on_fault jsonb, retry jsonb, high_water bigint,
      low_water bigint, ordering text, has_handler boolean)
   order by d.name
  on conflict (name) do update
     set type = excluded.type, config = excluded.config, is_push = excluded.is_push, start = excluded.start,
         gap = excluded.gap, idle = excluded.idle, on_fault = excluded.on_fault, retry = excluded.retry,
         high_water = excluded.high_water, low_water = excluded.low_water, ordering = excluded.ordering,
         has_handler = excluded.has_handler, application = excluded.application, revision = excluded.revision,
         defined_at = pawl.now()
   where s.application = '' or (s.application = excluded.application and s.revision <= excluded.revision);
  insert into pawl.source_storage (source_id, stored)
  select s.id, s.start from pawl.source s
    join jsonb_to_recordset(p_definitions -> 'sources') as d (name text) on d.name = s.name order by s.id
  on conflict do nothing;
end $$;
