-- What the roles may call of this part, and read: see pawl.grant_roles_v1.
delete from pawl.role_grant where part = 'queue';
insert into pawl.role_grant (part, role, calls, privileges) values
  ('queue', 'producer', '{enqueue, enqueue_each_v1, enqueue_many_v1}', '{}');
