import { describe, expect, test } from "vitest";
import { Shares } from "../../src/kernel/shares.ts";
import { random } from "../support/random.ts";

const SLOTS = 20;
const RECEIVERS = 50;
const PER_HOST = 10;
const TIMEOUT_MS = 30_000;
const LOOK_MS = 50;

interface Run {
  hanging: number;
  perSecond: number;
}

interface Waiting {
  at: number;
  host: number;
  no: number;
}

/**
 * A worker with the decisions of the real one, in virtual time: requests come by chance to one of 50 receivers, of which some
 * hang until the timeout and the others answer within 100 ms. No breaker helps. Answers what those for the others waited.
 */
function simulate({ hanging, perSecond }: Run): { p99: number; most: number; count: number } {
  const { next } = random(4711);
  let now = 0;
  const shares = new Shares({ slots: SLOTS, isGuarded: () => true, now: () => now });
  const seconds = Math.max(300, Math.min(6_000 / perSecond, 3_600));
  const arrivals: Waiting[] = [];
  for (let at = 0, no = 0; at < seconds * 1_000; no += 1) {
    at += (-Math.log(1 - next()) * 1_000) / perSecond;
    arrivals.push({ at, host: Math.floor(next() * RECEIVERS), no });
  }
  const queues = new Map<number, Waiting[]>();
  const running = new Map<number, { host: number; ends: number }>();
  const inHost = (host: number) => [...running.values()].filter((one) => one.host === host).length;
  const waits: number[] = [];
  const pick = (): number | undefined => {
    if (running.size >= SLOTS) return undefined;
    const open = [...queues.keys()].filter((host) => inHost(host) < PER_HOST);
    const room = shares.rooms(() => new Set(open));
    return open.find((one) => room(one) > 0);
  };
  const start = (host: number) => {
    const [one, ...rest] = queues.get(host) ?? [];
    if (one === undefined) return;
    if (rest.length > 0) queues.set(host, rest);
    else queues.delete(host);
    const isHanging = host < hanging;
    if (!isHanging) waits.push(now - one.at);
    shares.began(host, String(one.no));
    running.set(one.no, { host, ends: now + (isHanging ? TIMEOUT_MS : 5 + next() * 95) });
  };
  let arrived = 0;
  while (arrived < arrivals.length) {
    now += LOOK_MS / 5;
    for (const [no, { host, ends }] of running) {
      if (ends > now) continue;
      running.delete(no);
      shares.ended(host, String(no), host >= hanging);
    }
    for (let one = arrivals[arrived]; one !== undefined && one.at <= now; one = arrivals[arrived]) {
      arrived += 1;
      queues.set(one.host, [...(queues.get(one.host) ?? []), one]);
    }
    for (let host = pick(); host !== undefined; host = pick()) start(host);
  }
  const sorted = waits.toSorted((a, b) => a - b);
  const p99 = sorted[Math.floor(sorted.length * 0.99)] ?? 0;
  return { p99, most: sorted.at(-1) ?? 0, count: sorted.length };
}

describe("R114: what requests to healthy receivers wait while others of 50 hang, without a breaker", () => {
  const rows: string[] = [];
  test.each(
    [1, 3, 10].flatMap((hanging) => [0.5, 5, 50].map((perSecond) => ({ hanging, perSecond }))),
  )("$hanging hang, $perSecond a second: p99 at most 1 s", (run) => {
    const { p99, most, count } = simulate(run);
    rows.push(
      `${run.hanging} hang, ${run.perSecond}/s: ${count} healthy, p99 ${Math.round(p99)} ms, longest ${Math.round(most)} ms`,
    );
    expect(p99).toBeLessThanOrEqual(1_000);
  });
  test("the table", () => {
    console.log(rows.join("\n"));
    expect(rows).toHaveLength(9);
  });
});

describe("R114: how many slots a stream may take", () => {
  function shares(isGuarded: (stream: number) => boolean = () => true) {
    let now = 0;
    let seq = 0;
    const all = new Shares({ slots: SLOTS, isGuarded, now: () => now });
    const seqs = new Map<number, string[]>();
    return {
      pass: (ms: number) => {
        now += ms;
      },
      begin: (stream: number, count = 1) => {
        for (let n = 0; n < count; n += 1) {
          seq += 1;
          all.began(stream, String(seq));
          seqs.set(stream, [...(seqs.get(stream) ?? []), String(seq)]);
        }
      },
      end: (stream: number, isGood = true) => {
        const [first = "", ...rest] = seqs.get(stream) ?? [];
        seqs.set(stream, rest);
        all.ended(stream, first, isGood);
      },
      room: (stream: number, ...waiting: number[]) =>
        all.rooms(() => new Set([stream, ...waiting]))(stream),
    };
  }

  test("a quick one may take all, whoever waits", () => {
    const { begin, end, room } = shares();
    begin(1);
    end(1, false); // refused at once: it frees its slot as quickly
    expect(room(1, 2, 3)).toBe(SLOTS);
  });

  test("a new one half where nothing else waits, a sixth beside others; a sixth once it hangs", () => {
    const { begin, pass, room } = shares();
    expect([room(1), room(1, 2)]).toEqual([10, 3]);
    begin(1);
    expect(room(1)).toBe(9);
    pass(1_000);
    expect([room(1), room(1, 2)]).toEqual([2, 2]);
    begin(1, 2);
    expect(room(1)).toBeLessThanOrEqual(0);
  });

  test("those that hang take half together; a new one still gets a slot, one that is known to be well all that are left", () => {
    const { begin, end, pass, room } = shares();
    begin(9);
    end(9);
    begin(1, 10);
    pass(1_000);
    expect([room(1), room(2), room(9)]).toEqual([-7, 1, SLOTS]);
    for (const stream of [2, 3, 4, 5, 6]) begin(stream);
    expect(room(7)).toBe(0);
    expect(room(9)).toBe(SLOTS);
  });

  test("an answer that comes late but well is trusted again; a timeout is not", () => {
    const { begin, end, pass, room } = shares();
    begin(1, 3);
    pass(15_000);
    end(1, false);
    end(1, false);
    end(1, false);
    expect(room(1)).toBe(3);
    begin(1);
    pass(3_000);
    end(1, true);
    expect(room(1)).toBe(SLOTS);
  });

  test("a slow one takes all alone, and an equal part while others wait that can start", () => {
    const { begin, end, pass, room } = shares(() => false);
    expect([room(1), room(1, 2), room(1, 2, 3, 4, 5, 6, 7)]).toEqual([SLOTS, 10, 5]);
    begin(1, 12);
    pass(1_000);
    expect([room(1), room(1, 2), room(1, 2, 3)]).toEqual([SLOTS, -2, -5]);
    for (let n = 0; n < 12; n += 1) end(1);
    expect(room(1, 2)).toBe(10);
    begin(1);
    end(1);
    expect(room(1, 2)).toBe(SLOTS); // quick again
  });
});
