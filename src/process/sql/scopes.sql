-- What of this part can be turned off: processes, each with all of its versions.
insert into pawl.scope_kind (kind, names, is_queue, kinds_in, unknown) values ('process', 'process_names', false, 'processes', 'PW011')
on conflict (kind) do update set names = excluded.names, is_queue = excluded.is_queue, kinds_in = excluded.kinds_in, unknown = excluded.unknown;

create or replace function pawl.process_names() returns setof text
language sql stable as $$ select distinct v.process from pawl.process_version v $$;
