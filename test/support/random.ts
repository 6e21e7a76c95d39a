/** Random numbers of a seed: a fault run prints its seed, and `PAWL_FAULT_SEED` replays its choices. */

export interface Random {
  readonly seed: number;
  /** 0 up to, without, 1. */
  readonly next: () => number;
  /** A whole number from `min` to `max`. */
  readonly whole: (min: number, max: number) => number;
}

export function random(seed: number = seedOfRun()): Random {
  let state = seed >>> 0;
  const next = () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return ((state ^ (state >>> 15)) >>> 0) / 2 ** 32;
  };
  return { seed, next, whole: (min, max) => min + Math.floor(next() * (max - min + 1)) };
}

function seedOfRun(): number {
  const given = Number(process.env.PAWL_FAULT_SEED);
  return Number.isInteger(given) && given > 0 ? given : Date.now() % 2 ** 31;
}
