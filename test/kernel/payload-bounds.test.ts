/** What SQL refuses of payloads, in all of its functions that take some. */

import { beforeAll, describe, expect, test } from "vitest";
import type { Store } from "../../src/store/store.ts";
import { freshStore } from "../support/database.ts";
import { defineKinds } from "../support/kernel.ts";

let store: Store;

beforeAll(async () => {
  store = await freshStore();
  await defineKinds(store, { kinds: ["k"] });
});

const nested = (levels: number) => `${"[".repeat(levels)}${"]".repeat(levels)}`;
const objects = (levels: number) => `${'{"a":'.repeat(levels)}0${"}".repeat(levels)}`;

const TAKING: [string, (payload: string) => Promise<unknown>][] = [
  ["pawl.enqueue", (p) => store.rows("select pawl.enqueue($1)", [`[{"kind":"k","payload":${p}}]`])],
  [
    "pawl.enqueue, among others",
    (p) =>
      store.rows("select pawl.enqueue($1)", [
        `[{"kind":"k"},${`{"kind":"k","payload":"x"},`.repeat(50)}{"kind":"k","payload":${p}}]`,
      ]),
  ],
  [
    "pawl.enqueue_many_v1",
    (p) => store.rows(`select pawl.enqueue_many_v1('{"kind":"k"}', $1)`, [`[1, ${p}]`]),
  ],
  [
    "pawl.enqueue_many_v1, stored and compressed before",
    (p) =>
      store.rows(
        `with stored as materialized (insert into kept values ($1) returning p)
         select pawl.enqueue_many_v1('{"kind":"k"}', jsonb_build_array(p)) from stored`,
        [p],
      ),
  ],
  ["pawl.record", (p) => store.rows("select pawl.record('a.b', 'order', '1', $1)", [p])],
  [
    "an INSERT",
    (p) =>
      store.rows(
        "insert into pawl.event (name, aggregate_type, aggregate_id, payload) values ('a', 'b', 'c', $1)",
        [p],
      ),
  ],
  [
    "meta of pawl.enqueue",
    (p) => store.rows("select pawl.enqueue($1)", [`[{"kind":"k","meta":{"a":${p}}}]`]),
  ],
  [
    "meta of pawl.enqueue_many_v1",
    (p) => store.rows("select pawl.enqueue_many_v1($1, '[1]')", [`{"kind":"k","meta":{"a":${p}}}`]),
  ],
  [
    "meta of pawl.record",
    (p) => store.rows("select pawl.record('a', 'b', 'c', '1', $1)", [`{"a":${p}}`]),
  ],
];

describe("payloads through SQL", () => {
  beforeAll(() => store.rows("create table kept (p jsonb)"));

  test.each(TAKING)(
    "R113: %s refuses what is too large as text, too deep, or a number without end",
    async (_, take) => {
      for (const good of [
        nested(499),
        objects(499),
        "1e999",
        `-1e-998`,
        "9".repeat(1_000),
        '"\\u0001"',
      ]) {
        await take(good);
      }
      const bad: [string, string][] = [
        [nested(501), "nested more than 500 levels"],
        [objects(502), "nested more than 500 levels"],
        [`{"a": [{"b": ${nested(2_000)}}]}`, "nested more than 500 levels"],
        ["1e1000", "more than 1000 digits"],
        ["-1e-1001", "more than 1000 digits"],
        [`${"9".repeat(501)}.${"8".repeat(501)}`, "more than 1000 digits"],
        [`{"n": [${Array(7).fill("1e131071").join()}]}`, "1000 digits"],
        [`[${Array(10).fill("1e131071").join()}]`, "bytes, the limit is 1048576"],
        [`[${Array(2_000).fill("1e999").join()}]`, "bytes, the limit is 1048576"],
        [`"${"\\u0001".repeat(180_000)}"`, "bytes, the limit is 1048576"],
        [`[${Array(400_000).fill("1").join()}]`, "bytes, the limit is 1048576"],
      ];
      for (const [payload, why] of bad) {
        await expect(take(payload), payload.slice(0, 40)).rejects.toMatchObject({
          code: "payload_too_large",
          message: expect.stringContaining(why),
        });
      }
    },
  );

  test("digits in texts are no numbers, and an emoji counts as one character of a name", async () => {
    for (const [, take] of TAKING) await take(`["${"0".repeat(2_000)}", "${"[".repeat(2_000)}"]`);
    const task = {
      kind: "k",
      key: "😀".repeat(500),
      lane: "😀".repeat(200),
      ref: "😀".repeat(500),
    };
    await store.rows("select pawl.enqueue($1)", [JSON.stringify([task])]);
  });

  test.each([
    ["a key that is too long", { key: "😀".repeat(501) }],
    ["a lane that is too long", { lane: "😀".repeat(201) }],
    ["a ref that is too long", { ref: "x".repeat(501) }],
    ["an empty ref", { ref: "" }],
    ["a tenant that no index can hold", { meta: { tenant: { company: "x".repeat(3_000) } } }],
    ["a plugin that is too long", { meta: { tenant: { plugin: "x".repeat(201) } } }],
    ["meta that is a list", { meta: [1] }],
    ["a kind with a space, which its keys could be mistaken for", { kind: "k b", queue: "q" }],
    ["a kind that is too long", { kind: "k".repeat(201), queue: "q" }],
  ])("%s is refused with what to do", async (_, fields) => {
    await expect(
      store.rows("select pawl.enqueue($1)", [JSON.stringify([{ kind: "k", ...fields }])]),
    ).rejects.toMatchObject({ code: "invalid_option", message: expect.stringMatching(/;/) });
  });
});

test("no two aggregates share a lane", async () => {
  const pairs = [
    ["shop:eu", "42"],
    ["shop", "eu:42"],
    ["shop%3Aeu", "42"],
    ["shop%3A", "eu:42"],
    ["shop", "x".repeat(500)],
    ["sho", `p:${"x".repeat(498)}`],
    [`a:${"x".repeat(198)}`, "y".repeat(400)],
    ["a", `${"x".repeat(198)}:${"y".repeat(300)}`],
  ];
  const rows = await store.rows<{ lane: string }>(
    "select pawl.lane_of(p ->> 0, p ->> 1) as lane from jsonb_array_elements($1) p",
    [JSON.stringify(pairs)],
  );
  const lanes = rows.map((row) => row.lane);
  expect(new Set(lanes).size).toBe(pairs.length);
  expect(lanes.slice(0, 2)).toEqual(["shop%3Aeu:42", "shop:eu:42"]);
  for (const lane of lanes) expect(Buffer.byteLength(lane)).toBeLessThanOrEqual(500);
  // what looks like the name of a long one
  const [long = ""] = lanes.slice(-2);
  const [type = "", ...id] = long.split(" ");
  const [row] = await store.rows<{ lane: string }>("select pawl.lane_of($1, $2) as lane", [
    type,
    id.join(" "),
  ]);
  expect(row?.lane).not.toBe(long);
});
