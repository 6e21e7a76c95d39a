-- Requests: what finds them by tenant, and the keys that operators made for signing them.

create index task_of_tenant on pawl.task ((meta #>> '{tenant,company}'), id) where meta ? 'tenant';
create index dead_of_tenant on pawl.dead ((meta #>> '{tenant,company}'), id) where meta ? 'tenant';
create index finished_of_tenant on pawl.finished ((meta #>> '{tenant,company}'), id) where meta ? 'tenant';

-- What operators made beside the keys of code. secrets: the current one first, then those that it replaced; each
-- {"env"}, {"file"}, or {"sealed", "context"}.
create table pawl.key (
  name text primary key,
  algorithm text not null,
  kid text,
  secrets jsonb not null check (jsonb_typeof(secrets) = 'array'),
  changed_at timestamptz not null default pawl.now(),
  changed_by text not null
);
