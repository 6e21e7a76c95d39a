/**
 * How many of a worker's slots each stream may take: a stream whose receiver hangs must leave slots to others.
 *
 * - A stream whose attempts are quick (1 s) may take all.
 * - A slow one may take all while nothing else waits, and an equal part while others do; a new one then a quarter, or that.
 * - One with a breaker depends on something outside, and is trusted only once an attempt of it has ended well or quickly.
 *   While it hangs it may take a sixth, and before anything is known, with nothing else waiting, half. All that are not
 *   trusted take half together; of one that is new, the first attempt may still start up to three quarters.
 *
 * Pure but for the clock that it is given.
 */

const QUICK_MS = 1_000;
const NEW_PART = 1 / 4;
const UNTRUSTED_PART = 1 / 6;
const UNTRUSTED_PART_ALL = 1 / 2;
const FIRST_PART_ALL = 3 / 4;

export interface SharesOptions {
  slots: number;
  /** Its stream depends on something outside: it has a breaker. */
  isGuarded: (stream: number) => boolean;
  now: () => number;
}

interface Use {
  /** When each attempt began, the oldest first. */
  readonly began: Map<string, number>;
  /** Claimed for, and not answered yet. */
  asked: number;
  /** undefined: none has ended yet. */
  isSlow: boolean | undefined;
  /** undefined: nothing is known. */
  isTrusted: boolean | undefined;
  /** When the last attempt earned trust. */
  goodAt: number;
}

export class Shares {
  readonly #options: SharesOptions;
  readonly #uses = new Map<number, Use>();

  constructor(options: SharesOptions) {
    this.#options = options;
  }

  began(stream: number, seq: string): void {
    this.#use(stream).began.set(seq, this.#options.now());
  }

  ended(stream: number, seq: string, isGood: boolean): void {
    const use = this.#use(stream);
    const began = use.began.get(seq);
    if (began === undefined) return;
    use.began.delete(seq);
    const now = this.#options.now();
    use.isSlow = now - began >= QUICK_MS;
    use.isTrusted = isGood || !use.isSlow;
    if (use.isTrusted) use.goodAt = now;
  }

  /** A claim for `count` slots was sent, and each of these streams may get them; negative: it was answered. */
  asked(streams: ReadonlySet<number>, count: number): void {
    for (const stream of streams) this.#use(stream).asked += count;
  }

  /**
   * Returns how many more slots a stream may take now, free or not; valid for one decision.
   * @param waiting the streams for which there is work
   */
  rooms(waiting: () => ReadonlySet<number>): (stream: number) => number {
    let all: number | undefined;
    let names: ReadonlySet<number> | undefined;
    return (stream) => {
      const use = this.#uses.get(stream);
      const isTrusted = this.#isTrusted(stream, use);
      if (isTrusted && use !== undefined && !this.#isSlow(use)) return this.#options.slots;
      names ??= waiting();
      if (isTrusted) return this.#roomOfSlow(stream, use, names);
      all ??= this.#takenUntrusted();
      return this.#roomOfUntrusted(stream, use, names, all);
    };
  }

  #roomOfSlow(stream: number, use: Use | undefined, waiting: ReadonlySet<number>): number {
    const { slots } = this.#options;
    const others = this.#others(stream, waiting);
    if (others === 0) return slots;
    const equal = Math.ceil(slots / (others + 1));
    const isNew = use === undefined || (use.isSlow === undefined && this.#oldestMs(use) < QUICK_MS);
    const most = isNew ? Math.max(equal, part(slots, NEW_PART)) : equal;
    return most - (use === undefined ? 0 : taken(use));
  }

  #roomOfUntrusted(
    stream: number,
    use: Use | undefined,
    waiting: ReadonlySet<number>,
    all: number,
  ): number {
    const { slots } = this.#options;
    const has = use === undefined ? 0 : taken(use);
    const isNew =
      use === undefined || (use.isTrusted === undefined && this.#oldestMs(use) < QUICK_MS);
    const isApart = isNew && this.#others(stream, waiting) === 0;
    const most = part(slots, isApart ? UNTRUSTED_PART_ALL : UNTRUSTED_PART);
    const room = Math.min(most - has, part(slots, UNTRUSTED_PART_ALL) - all);
    return isNew && has === 0
      ? Math.max(Math.min(part(slots, FIRST_PART_ALL) - all, 1), room)
      : room;
  }

  /** Number of other streams that run or could start something; those that hang are not counted. */
  #others(stream: number, waiting: ReadonlySet<number>): number {
    let isWaitedFor = false;
    const others = new Set<number>();
    for (const [other, use] of this.#uses) {
      if (taken(use) > 0 && this.#isTrusted(other, use)) others.add(other);
    }
    for (const other of waiting) {
      if (other === stream) continue;
      const use = this.#uses.get(other);
      if (!this.#isTrusted(other, use) && use?.isTrusted !== undefined) continue;
      isWaitedFor = true;
      others.add(other);
    }
    others.delete(stream);
    return isWaitedFor ? others.size : 0;
  }

  #takenUntrusted(): number {
    let all = 0;
    for (const [stream, use] of this.#uses) {
      if (!this.#isTrusted(stream, use)) all += taken(use);
    }
    return all;
  }

  #isSlow(use: Use): boolean {
    return use.isSlow !== false || this.#oldestMs(use) >= QUICK_MS;
  }

  /** It hangs when it has run for long without a good end since it began. */
  #isTrusted(stream: number, use: Use | undefined): boolean {
    if (!this.#options.isGuarded(stream)) return true;
    if (use?.isTrusted !== true) return false;
    const oldestMs = this.#oldestMs(use);
    return oldestMs < QUICK_MS || use.goodAt > this.#options.now() - oldestMs;
  }

  #oldestMs({ began }: Use): number {
    const first = began.values().next();
    return first.done === true ? 0 : this.#options.now() - first.value;
  }

  #use(stream: number): Use {
    const known = this.#uses.get(stream);
    if (known !== undefined) return known;
    const use: Use = {
      began: new Map(),
      asked: 0,
      isSlow: undefined,
      isTrusted: undefined,
      goodAt: Number.NEGATIVE_INFINITY,
    };
    this.#uses.set(stream, use);
    return use;
  }
}

function taken({ began, asked }: Use): number {
  return began.size + asked;
}

function part(slots: number, of: number): number {
  return Math.max(1, Math.floor(slots * of));
}
