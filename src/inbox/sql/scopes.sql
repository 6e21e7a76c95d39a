-- What of this part can be turned off: sources. A source that is off gets no more requests; received events are stored.
insert into pawl.scope_kind (kind, names, is_queue, unknown) values ('source', 'source_names', false, 'PW019')
on conflict (kind) do update set names = excluded.names, is_queue = excluded.is_queue, unknown = excluded.unknown;

create or replace function pawl.source_names() returns setof text
language sql stable as $$ select s.name from pawl.source s $$;

-- It gets no more requests: turned off for itself, in a group or with all else, or in quiet hours.
create or replace function pawl.is_source_off(p_name text) returns boolean
language sql stable return exists (select from pawl.off_now() o where o.scope = 'all' or o.scope = 'source' and o.name = p_name)
  or pawl.is_quiet(array['all', 'source:' || p_name]);
