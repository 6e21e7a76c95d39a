/** The reasons why a task is where it is as one sentence, with the command that would free it. */

import { showDuration } from "../../base/duration.ts";
import { quotedLine } from "./held-text.ts";
import type {
  DeadFacts,
  EndedFacts,
  LockedFacts,
  ParkedFacts,
  ReadyFacts,
  RunningFacts,
  WhyReason,
} from "./why-reason.ts";

const HOLDS: ReadonlySet<WhyReason["reason"]> = new Set([
  "off",
  "quiet",
  "concurrency",
  "kind_concurrency",
  "rate",
  "kind_rate",
  "breaker",
]);

interface About {
  id: string;
  /** The database's clock. */
  now: Date;
}

export function whyText(reasons: readonly WhyReason[], about: About): string {
  const holds = reasons.filter(isHold);
  // a held task does not wait for a slot: besides the hold, only a missing worker is worth saying
  const told = holds.length === 0 ? reasons : reasons.filter(({ reason }) => reason !== "queued");
  const text = told.map((one) => phrase(one, about)).join("; ");
  if (holds.length > 0) return `ready, held: ${text}`;
  const ready = reasons.find(isReady);
  return ready === undefined ? text : `ready for ${passed(ready.since, about)}: ${text}`;
}

function isReady({ reason }: WhyReason): boolean {
  return reason === "no_worker" || reason === "off_here" || reason === "queued";
}

function isHold({ reason }: WhyReason): boolean {
  return HOLDS.has(reason);
}

function phrase(one: WhyReason, about: About): string {
  switch (one.reason) {
    case "running":
      return runningText(one.detail, { ...about, since: one.since });
    case "scheduled":
      return scheduledText(one, about);
    case "parked":
      return parkedText(one.detail);
    case "arrived":
      return arrivedText(one, about);
    case "lane": {
      const { lane, headId, before } = one.detail;
      const behind = headId === null ? "whose head has just ended" : `behind task ${headId}`;
      return `waits in lane ${lane} for ${passed(one.since, about)}, ${behind} (${many(before)} before it)`;
    }
    case "limit_key":
      return limitKeyText(one, about);
    case "off": {
      const { scope, by, why } = one.detail;
      const end = one.until === null ? "" : ` until ${time(one.until)}`;
      return `${scope} has been off for ${passed(one.since, about)} by ${by}${quoted(why)}${end}; \`pawl on ${scope}\``;
    }
    case "quiet":
      return quietText(one, about);
    case "concurrency":
      return `its queue runs ${one.detail.running} of at most ${one.detail.limit} at once; the end of one frees a place`;
    case "kind_concurrency":
      return `its kind runs ${one.detail.running} of at most ${one.detail.limit} at once; the end of one frees a place`;
    case "breaker":
      return breakerText(one, about);
    case "rate":
    case "kind_rate": {
      const { limit, perMs } = one.detail;
      const whose = one.reason === "rate" ? "queue" : "kind";
      return `its ${whose} starts at most ${limit} in ${showDuration(perMs)}; the next may start in ${ahead(one.until, about)}`;
    }
    case "no_worker":
      return `no live worker knows kind ${one.detail.kind} in queue ${one.detail.queue}; start \`pawl work\` with an app that defines it`;
    case "off_here":
      return offHereText(one.detail);
    case "queued":
      return queuedText(one.detail);
    case "locked":
      return lockedText(one.detail, { ...about, since: one.since });
    case "dead":
      return deadText(one.detail, { ...about, since: one.since });
    case "ended":
      return endedText(one.detail, { ...about, since: one.since });
    default:
      return one satisfies never;
  }
}

function parkedText({ left, after, dead }: ParkedFacts): string {
  if (left === 0) return "parked: it waits until something wakes it, such as a signal";
  const more = left > after.length ? " …" : "";
  const which = `${left === 1 ? "task" : `${left} tasks:`} ${after.join(", ")}${more}`;
  const stuck =
    dead.length === 0
      ? ""
      : `; dead of these: ${dead.slice(0, 10).join(", ")}; \`pawl dead retry ${dead[0]}\``;
  return `waits for the end of ${which}${stuck}`;
}

function limitKeyText(
  { detail, until }: Extract<WhyReason, { reason: "limit_key" }>,
  about: About,
): string {
  const { key, limit, rate, running, before } = detail;
  const places = limit === null ? "" : `, which runs ${running} of at most ${limit} at once`;
  const pace =
    rate === null || until === null
      ? ""
      : `, which starts at most ${rate.limit} in ${showDuration(rate.perMs)}; the next may start in ${ahead(until, about)}`;
  return `waits for limit key ${key}${pace === "" ? places : pace} (${many(before)} before it)`;
}

function quietText(
  { detail: { window, beginsAt, why }, since, until }: Extract<WhyReason, { reason: "quiet" }>,
  about: About,
): string {
  const end = until === null ? "" : ` until ${time(until)}`;
  const when =
    since === null
      ? `begin in ${ahead(beginsAt, about)}, before its attempt could end, and hold it${end}`
      : `hold it${end}`;
  return `quiet hours ${window}${quoted(why)} ${when}; \`pawl quiet force ${window}\` lets it start`;
}

function breakerText(
  { detail, since, until }: Extract<WhyReason, { reason: "breaker" }>,
  about: About,
): string {
  const { trips, error, starts } = detail;
  const when = `its breaker has been open for ${passed(since, about)}${quoted(error)}`;
  if (until !== null) return `${when}; one attempt is made as a probe in ${ahead(until, about)}`;
  return trips > 0 && starts === 1
    ? `${when}; one attempt is made as a probe now, and all go on if it ends well`
    : `its breaker closes slowly: at most ${starts} at once for now, ever more while they end well`;
}

type Since = About & { since: Date | null };

function runningText(facts: RunningFacts, { since, ...about }: Since): string {
  const { workerId, host, pid, attempt, leaseUntil, isLeaseOver, cancelRequestedAt } = facts;
  const where = `running for ${passed(since, about)} on worker ${workerId} (${host}, pid ${pid}), attempt ${attempt}`;
  if (isLeaseOver) {
    const over = passed(new Date(leaseUntil), about);
    return `${where}; that worker's lease ran out ${over} ago, and any live worker rescues it; if there is none, start \`pawl work\``;
  }
  if (cancelRequestedAt !== null) {
    const asked = passed(new Date(cancelRequestedAt), about);
    return `${where}; it was asked to end ${asked} ago, and does when its handler obeys the signal, or at its timeout`;
  }
  return `${where}; it ends by itself or at its timeout, or \`pawl tasks cancel ${about.id}\``;
}

function scheduledText(
  { detail, until }: Extract<WhyReason, { reason: "scheduled" }>,
  about: About,
): string {
  const { attempt, error, isLate } = detail;
  const after = error === null ? "" : ` after an error${quoted(error)}`;
  const which = attempt > 0 || error !== null ? `, attempt ${attempt + 1}${after}` : "";
  if (isLate) {
    return `scheduled${which}, and due for ${passed(until, about)}: no live worker makes it ready; start \`pawl work\``;
  }
  const due = until === null ? "" : ` for ${time(until)} (in ${ahead(until, about)})`;
  return `scheduled${due}${which}; \`pawl tasks retry ${about.id}\` starts it now`;
}

function arrivedText(
  { detail, since }: Extract<WhyReason, { reason: "arrived" }>,
  about: About,
): string {
  const { lane, workers } = detail;
  const where = `arrived in lane ${lane} ${passed(since, about)} ago and has no place there yet`;
  return workers === 0
    ? `${where}: no live worker gives it one; start \`pawl work\``
    : `${where}: a worker gives it one within a second, unless a transaction holds a row of that lane`;
}

function offHereText({ kind, queue, hosts }: ReadyFacts): string {
  const where = (hosts ?? []).join(", ");
  return `a file or PAWL_OFF holds queue ${queue} on ${where}, and no worker elsewhere knows kind ${kind}; take it away there, or start \`pawl work\` on another host`;
}

function queuedText(facts: ReadyFacts): string {
  const { kind, before, workers } = facts;
  const who = workers === 1 ? "1 live worker knows" : `${workers} live workers know`;
  return `${many(before)} before it; ${who} kind ${kind}, ${slotsText(facts)}`;
}

function slotsText({ slots, running, share, isSolo }: ReadyFacts): string {
  if (running >= slots) {
    return `all ${slots} slots are taken; wait, start more workers, or raise --concurrency`;
  }
  if (share !== null) {
    return `${share} of it run, which is its share of the ${slots} slots: they are slow or hang, and leave the others to other kinds; the end of one frees a place`;
  }
  const alone = isSolo
    ? ", one such task after the other, since it was lost with its worker twice"
    : "";
  return `${slots - running} of ${slots} slots are free, it starts in a moment${alone}`;
}

function lockedText(facts: LockedFacts, { since, ...about }: Since): string {
  const { what, pid, user, application, state } = facts;
  const who = [user, application, state].filter((one) => one !== null).join(", ");
  const session = `database session ${pid}${who === "" ? "" : ` (${who})`}`;
  const long = since === null ? "" : ` for ${passed(since, about)}`;
  return `${session} has held a lock on ${what}${long}: nothing that needs it goes on until that transaction ends`;
}

function deadText(facts: DeadFacts, { since, ...about }: Since): string {
  const { reason, attempt, error, lane, isBlocking } = facts;
  const blocks = isBlocking ? `, and lane ${lane} waits for it` : "";
  return `dead letter for ${passed(since, about)} (${reason}, attempt ${attempt})${quoted(error)}${blocks}; \`pawl dead retry ${about.id}\`, or \`pawl dead remove ${about.id}\``;
}

function endedText({ outcome, attempt, error }: EndedFacts, { since, ...about }: Since): string {
  const which = attempt > 0 ? ` with attempt ${attempt}` : " without an attempt";
  return `ended as ${outcome} ${passed(since, about)} ago${which}${quoted(error)}`;
}

function passed(since: Date | null, { now }: About): string {
  return showDuration(Math.max(now.getTime() - (since ?? now).getTime(), 0));
}

function ahead(until: Date | null, { now }: About): string {
  return showDuration(Math.max((until ?? now).getTime() - now.getTime(), 0));
}

/** Counting stops at this number. */
function many(count: number): string {
  return count > 10_000 ? "more than 10000" : String(count);
}

function time(date: Date): string {
  return date.toISOString().replace(/\.\d+Z$/, "Z");
}

function quoted(text: string | null): string {
  return text === null ? "" : quotedLine(text);
}
