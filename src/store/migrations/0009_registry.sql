-- Apps that share a database.

create table pawl.application (
  name text primary key check (name <> '' and length(name) <= 60),
  revision int not null,
  payload_bytes_max bigint not null,
  registered_at timestamptz not null default pawl.now()
);
