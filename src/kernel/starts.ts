/** Work other than tasks that is about to start, such as a request of a source: announced, and not yet begun. */

/** See `WorkerView`. */
export type Starting = () => () => boolean;

export class Starts {
  readonly #open = new Set<Promise<void>>();

  /** Returns a function to call when it has begun, or will not begin. */
  begin(): () => void {
    let end: () => void = () => undefined;
    const begun = new Promise<void>((resolve) => {
      end = resolve;
    });
    this.#open.add(begun);
    return () => {
      this.#open.delete(begun);
      end();
    };
  }

  /** Resolves when everything that is open now has begun, or will not begin. */
  async over(): Promise<void> {
    await Promise.all(this.#open);
  }
}
