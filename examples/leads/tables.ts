/** The tables of the example, in a schema of their own. */

import type { Pawl } from "pawl";

const TABLES = `
create schema if not exists leads;
create table if not exists leads.lead (
  id int generated always as identity primary key, url text not null unique, industry text, ico text, email text,
  status text not null default 'new', screenshot bytea, certificate_until timestamptz, created_at timestamptz not null default now());
create table if not exists leads.analysis (
  id int generated always as identity primary key, lead_id int not null references leads.lead, score int not null,
  findings jsonb not null, created_at timestamptz not null default now());
create table if not exists leads.proposal (
  id int generated always as identity primary key, lead_id int not null references leads.lead, user_id int not null, type text not null,
  body text not null, status text not null default 'draft', expires_at timestamptz not null default now() + interval '30 days',
  unique (lead_id, type));
create table if not exists leads.offer (
  id int generated always as identity primary key, lead_id int not null references leads.lead, user_id int not null, body text not null,
  status text not null default 'draft', message_id text unique, sent_at timestamptz, unique (lead_id));
create table if not exists leads.company (ico text primary key, name text not null, address text not null, synced_at timestamptz not null default now());
create table if not exists leads.benchmark (industry text primary key, leads int not null, score int not null, calculated_at timestamptz not null default now());
create table if not exists leads.mail_event (id text primary key, at timestamptz not null default now());
create table if not exists leads.suppressed (email text primary key, why text not null);
create table if not exists leads.discovery (source text not null, query text not null, size int not null default 20, enabled boolean not null default true,
  primary key (source, query));
`;

export async function makeTables(pawl: Pawl): Promise<void> {
  await pawl.transaction((tx) => tx.query(TABLES));
}
