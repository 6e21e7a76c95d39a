/** What `pawl.quiet` offers. */

import type { ActOptions } from "../../../operate/verb.ts";

export interface QuietRow {
  name: string;
  application: string;
  timeZone: string;
  /** As a clock on the wall of the time zone shows it: `23:50`. */
  from: string;
  to: string;
  /** `mon` … `sun`, `1` … `31`, `last`; null: every day. */
  days: string[] | null;
  /** Scopes. */
  holds: string[];
  exempt: string[];
  why: string | null;
  /** Its time that holds now, or comes next; null: none within 5 years. */
  begins: Date | null;
  ends: Date | null;
  /** It holds now. */
  isQuiet: boolean;
  /** Up to this time an operator lets work start in spite of it. */
  passedUntil: Date | null;
  passedBy: string | null;
  passedWhy: string | null;
}

export interface QuietTime {
  name: string;
  begins: Date;
  ends: Date;
  timeZone: string;
  /** An operator lets it pass: it holds nothing. */
  isPassed: boolean;
}

export interface Quiet {
  /** Lists the quiet hours, and when each holds next. */
  list(): Promise<QuietRow[]>;
  /**
   * Lists the times of all quiet hours within `days`, up to 400, default 14; or of those with this name.
   * @throws PawlError `quiet_hours_not_found`
   */
  preview(name?: string, options?: { days?: number }): Promise<QuietTime[]>;
  /**
   * Lets work start in spite of quiet hours, once: in the time that holds now, or in the next one.
   * @throws PawlError `quiet_hours_not_found`, `invalid_option`
   */
  force(name: string, options: ActOptions & { why: string }): Promise<QuietTime>;
}
