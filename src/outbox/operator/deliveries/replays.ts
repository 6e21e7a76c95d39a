/** The noun `deliveries replays`: how far each replay is; one is stopped. */

import { PawlError } from "../../../base/errors.ts";
import { limit } from "../../../kernel/operator/fields.ts";
import { iso } from "../../../operate/table.ts";
import { type Desk, listing, type Noun, type Verb, verb } from "../../../operate/verb.ts";
import { required } from "../../../options/field.ts";
import { numberId } from "../../../options/kinds.ts";
import { type ReplayRow, replays, stopReplay } from "../../replay/sql.ts";
import type { DeliveryReplays } from "./deliveries.ts";

const LIMIT_DEFAULT = 20;

const list: Verb<DeliveryReplays["list"], Desk> = verb({
  help: "List replays, the latest first",
  examples: [["pawl deliveries replays", "how far each is"]],
  input: { limit: limit(LIMIT_DEFAULT) },
  isDefault: true,
  run: ({ store }: Desk, filter) => replays(store, filter),
  ...listing<ReplayRow>("replays", [
    { head: "ID", value: (row) => row.id, align: "right" },
    { head: "STATE", value: (row) => (row.task === "dead" ? "dead" : row.state) },
    { head: "DONE", value: (row) => `${Math.floor(row.share * 100)}%`, align: "right" },
    { head: "MADE", value: (row) => row.made, align: "right" },
    { head: "LEFT ALONE", value: (row) => row.leftAlone, align: "right" },
    { head: "RATE", value: rateText },
    { head: "WHAT", value: whatText },
    { head: "STARTED", value: (row) => iso(row.startedAt) },
    { head: "BY", value: (row) => row.startedBy },
    { head: "TASK", value: (row) => row.taskId, align: "right" },
  ]),
});

const stop: Verb<DeliveryReplays["stop"], Desk> = verb({
  help: "Stop a replay; deliveries that it has already created continue",
  examples: [['pawl deliveries replays stop 3 --why "wrong month"', "nothing more is made"]],
  input: { id: required(numberId("the replay")) },
  args: ["id"],
  changes: true,
  run: async ({ store }: Desk, { id }, act) => {
    const wasRunning = await stopReplay(store, id, act);
    const [replay] = wasRunning === undefined ? [] : await replays(store, { id, limit: 1 });
    if (wasRunning !== undefined && replay !== undefined) return { wasRunning, replay };
    throw new PawlError(
      "replay_not_found",
      `replay ${id}: not there; see \`pawl deliveries replays\``,
      { data: { id } },
    );
  },
  json: (stopped) => ({ action: "stop", ...stopped }),
  text: ({ wasRunning, replay }) =>
    `replay ${replay.id}: ${wasRunning ? "stopped" : `had ended (${replay.state}) before`}`,
});

function whatText(row: ReplayRow): string {
  const { eventId, likePattern, fromAt, toAt, destinations, dead, routed } = row;
  const parts = [
    eventId === null ? undefined : `event ${eventId}`,
    likePattern?.replaceAll("%", "*").replaceAll("\\_", "_"),
    fromAt === null ? undefined : `from ${iso(fromAt)}`,
    toAt === null ? undefined : `to ${iso(toAt)}`,
    dead ? "dead" : undefined,
    routed ? "as routed now" : undefined,
    destinations === null ? undefined : `for ${destinations.join(",")}`,
  ].filter((part) => part !== undefined);
  return parts.length === 0 ? "all events" : parts.join(" ");
}

export function rateText({ rateLimit, ratePerMs }: ReplayRow): string {
  const units: Record<number, string> = { 1000: "s", 60000: "m", 3600000: "h" };
  return `${rateLimit}/${units[ratePerMs] ?? `${ratePerMs}ms`}`;
}

export const replaysNoun: Noun<DeliveryReplays, Desk> = {
  name: "replays",
  help: "List replays, stop one",
  verbs: { list, stop },
};
