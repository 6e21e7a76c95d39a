/** What holds something, in words: the switches that are off, and quiet hours; and how such a line quotes a text. */

import { iso } from "../../operate/table.ts";

/** A switch that is off. */
export interface OffSwitch {
  scope: string;
  by: string;
  why: string | null;
  since: Date;
  until: Date | null;
}

/** Quiet hours that hold something now, or that it could last into. */
export interface QuietWindow {
  name: string;
  beginsAt: Date;
  until: Date;
  why: string | null;
}

export function offText(off: readonly OffSwitch[]): string {
  return off.map(switchText).join("; ");
}

function switchText({ scope, by, why, until }: OffSwitch): string {
  const reason = why === null ? "" : ` (${why})`;
  return `${scope} is off by ${by}${reason}${until === null ? "" : ` until ${iso(until)}`}`;
}

export function quietText(quiet: readonly QuietWindow[]): string {
  return quiet.map(windowText).join("; ");
}

/** Before they begin, what could last into them does not start. */
function windowText({ name, beginsAt, until, why }: QuietWindow): string {
  const reason = why === null ? "" : ` (${why})`;
  return `quiet hours ${name}${reason} from ${iso(beginsAt)} until ${iso(until)}`;
}

const QUOTE_CHARS_MAX = 120;

/** ` ("…")`: the first line of a text, of limited length. */
export function quotedLine(text: string): string {
  const [line = ""] = text.split("\n", 1);
  const chars = Array.from(line);
  return ` ("${chars.length > QUOTE_CHARS_MAX ? `${chars.slice(0, QUOTE_CHARS_MAX).join("")}…` : line}")`;
}
