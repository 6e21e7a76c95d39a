/** What people start by hand: each finds what there is to do, and dispatches it (`--async`) or does it now, one after the other. */

import type { AnyJob, Pawl, TaskContext } from "pawl";
import { type client, read, rowsOf } from "./client.ts";
import { discoverLeads } from "./crawl.ts";
import { sendEmail } from "./mail.ts";
import { analyzeLead, generateOffer, generateProposal, syncAresData } from "./sales.ts";

interface Action {
  job: AnyJob;
  help: string;
  /** The inputs, the oldest first. $1: the limit. */
  find: string;
}

const USER = Number(process.env.LEADS_USER ?? 1);

export const ACTIONS: Readonly<Record<string, Action>> = {
  "lead:analyze": {
    job: analyzeLead,
    help: "analyze leads that have no analysis",
    find: `select id as "leadId" from leads.lead l where not exists (select from leads.analysis a where a.lead_id = l.id) order by id limit $1`,
  },
  "lead:discover": {
    job: discoverLeads,
    help: "search for leads as the settings say",
    find: `select source, query, size as "limit" from leads.discovery where enabled order by source, query limit $1`,
  },
  "proposal:generate": {
    job: generateProposal,
    help: "write proposals for analyzed leads",
    find: `select id as "leadId", ${USER} as "userId", 'design' as "proposalType" from leads.lead l where status = 'analyzed'
             and not exists (select from leads.proposal p where p.lead_id = l.id) order by id limit $1`,
  },
  "offer:generate": {
    job: generateOffer,
    help: "write offers for leads with a proposal",
    find: `select distinct lead_id as "leadId", ${USER} as "userId" from leads.proposal p where status = 'draft'
             and not exists (select from leads.offer o where o.lead_id = p.lead_id) order by 1 limit $1`,
  },
  "company:sync-ares": {
    job: syncAresData,
    help: "ask the register for the companies of leads",
    find: `select distinct ico from leads.lead l where ico is not null and not exists (select from leads.company c where c.ico = l.ico) order by 1 limit $1`,
  },
  "email:send": {
    job: sendEmail,
    help: "send offers that are ready",
    find: `select id as "offerId" from leads.offer where status = 'draft' order by id limit $1`,
  },
};

export interface ActionOptions {
  async: boolean;
  limit: number;
  dryRun: boolean;
}

/** Returns a line for each thing. */
export async function act(
  pawl: Awaited<ReturnType<typeof client>>,
  name: string,
  { async: isAsync, limit, dryRun }: ActionOptions,
): Promise<string[]> {
  const action = ACTIONS[name];
  if (action === undefined)
    throw new Error(`no action ${name}; there are ${Object.keys(ACTIONS).join(", ")}`);
  const { job, find } = action;
  const lines: string[] = [];
  for (const input of await read(find, [limit])) {
    const what = `${job.name} ${JSON.stringify(input)}`;
    if (dryRun) lines.push(`would do ${what}`);
    else if (isAsync) {
      const { id, outcome } = await pawl.enqueue(job, input as never);
      lines.push(`task ${id} ${outcome}: ${what}`);
    } else lines.push(`${what}: ${JSON.stringify(await inline(pawl, job, input))}`);
  }
  return lines;
}

/** Runs a handler here, without a task: its writes are one transaction. */
async function inline(pawl: Pawl, job: AnyJob, input: object): Promise<unknown> {
  const checked = await job.input["~standard"].validate(input);
  if (checked.issues !== undefined)
    throw new Error(checked.issues.map(({ message }) => message).join("; "));
  return pawl.transaction(async (tx) => {
    const context: Partial<TaskContext> = {
      tx,
      signal: new AbortController().signal,
      attempt: 1,
      idempotencyKey: `${job.name}-${JSON.stringify(input)}`,
      progress: () => undefined,
    };
    return job.run(checked.value as never, context as never);
  });
}

/** A few leads and settings to begin with. */
export async function seed(pawl: Pawl): Promise<void> {
  await pawl.transaction(async (tx) => {
    await rowsOf(
      tx,
      `insert into leads.lead (url, industry, ico, email) values ('shop.example', 'shops', '12345678', 'ann@shop.example'),
         ('good.example', 'shops', '87654321', 'bob@good.example'), ('gone.example', 'bars', null, null) on conflict do nothing`,
    );
    await rowsOf(
      tx,
      "insert into leads.discovery (source, query) values ('search', 'bakeries') on conflict do nothing",
    );
  });
}
