/**
 * How the answers of our own statements are read. node-postgres' parsers belong to the whole process, and an app may
 * replace them; ours stay as they are.
 */

import type pg from "pg";

type Parser = (text: string) => unknown;

/** OIDs of pg_catalog; they never change. What is not here stays text: numeric, for one, and bigint. */
const OID = {
  bool: 16,
  bytea: 17,
  int2: 21,
  int4: 23,
  oid: 26,
  json: 114,
  float4: 700,
  float8: 701,
  timestamptz: 1184,
  jsonb: 3802,
} as const;

const TEXT_ARRAYS = [1002, 1003, 1009, 1015, 1016, 1231, 2951];
const NUMBER_ARRAYS = [1005, 1007, 1021, 1022, 1028];
const BOOL_ARRAY = 1000;
const TIMESTAMPTZ_ARRAY = 1185;
const JSON_ARRAYS = [199, 3807];

const TIME =
  /^(\d{4,})-(\d\d)-(\d\d) (\d\d):(\d\d):(\d\d)(?:\.(\d{1,6}))?([+-])(\d\d)(?::(\d\d))?(?::(\d\d))?( BC)?$/;

const isTrue: Parser = (text) => text === "t";
const json: Parser = (text) => JSON.parse(text);

const PARSERS = new Map<number, Parser>([
  [OID.bool, isTrue],
  [OID.bytea, (text) => Buffer.from(text.slice(2), "hex")],
  [OID.int2, Number],
  [OID.int4, Number],
  [OID.oid, Number],
  [OID.json, json],
  [OID.jsonb, json],
  [OID.float4, Number],
  [OID.float8, Number],
  [OID.timestamptz, parseTime],
  ...TEXT_ARRAYS.map((oid) => arrayOf(oid, asText)),
  ...NUMBER_ARRAYS.map((oid) => arrayOf(oid, Number)),
  ...JSON_ARRAYS.map((oid) => arrayOf(oid, json)),
  arrayOf(BOOL_ARRAY, isTrue),
  arrayOf(TIMESTAMPTZ_ARRAY, parseTime),
]);

/** pg's `types`, of a client or of one query. */
export const OUR_TYPES: pg.CustomTypesConfig = {
  getTypeParser: (oid) => PARSERS.get(oid) ?? asText,
};

/** The same, times left as text: parsing one costs more than all else of a row. */
export const UNPARSED_TIMES: pg.CustomTypesConfig = {
  getTypeParser: (oid) => (oid === OID.timestamptz ? asText : (PARSERS.get(oid) ?? asText)),
};

function asText(text: string): string {
  return text;
}

function arrayOf(oid: number, parse: Parser): [number, Parser] {
  return [oid, (text) => parseArray(text, parse)];
}

/** A timestamptz in ISO style. `infinity` is a number, as with node-postgres. */
export function parseTime(text: string): Date {
  const found = TIME.exec(text);
  if (found === null) return infinite(text) as unknown as Date;
  const [, year, month, day, hour, minute, second, fraction = "", sign, ...rest] = found;
  const [hours, minutes = 0, seconds = 0, era] = rest;
  const offsetS = Number(hours) * 3600 + Number(minutes) * 60 + Number(seconds);
  const time = new Date(0);
  time.setUTCFullYear(
    era === undefined ? Number(year) : 1 - Number(year),
    Number(month) - 1,
    Number(day),
  );
  const ms = Math.trunc(Number(fraction.padEnd(6, "0")) / 1000);
  time.setUTCHours(Number(hour), Number(minute), Number(second), ms);
  return new Date(time.getTime() + (sign === "-" ? offsetS : -offsetS) * 1000);
}

function infinite(text: string): number {
  if (text === "infinity") return Number.POSITIVE_INFINITY;
  return text === "-infinity" ? Number.NEGATIVE_INFINITY : Number.NaN;
}

/** An array as PostgreSQL writes it; of several dimensions none of ours is. */
function parseArray(text: string, parse: Parser): unknown[] {
  const values: unknown[] = [];
  const element = /"((?:[^"\\]|\\.)*)"|([^,{}"]+)/g;
  for (const [, quoted, plain] of text.slice(text.indexOf("{")).matchAll(element)) {
    if (quoted !== undefined) values.push(parse(quoted.replace(/\\(.)/gs, "$1")));
    else values.push(plain === "NULL" ? null : parse(plain ?? ""));
  }
  return values;
}
