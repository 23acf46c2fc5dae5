// What a role took and has to give back.

/** Things to give back, in reverse order of taking; each is tried even when one fails. */
export class Belongings {
  readonly #closers: (() => unknown)[] = [];

  own(close: () => unknown): void {
    this.#closers.push(close);
  }

  async close(): Promise<void> {
    const errors: unknown[] = [];
    for (const close of this.#closers.splice(0).reverse()) {
      try {
        await close();
      } catch (error) {
        errors.push(error);
      }
    }
    if (errors.length > 0) throw errors[0];
  }
}

/** Runs `start`; when it throws, gives back what it had taken. */
export async function owning<T>(start: (belongings: Belongings) => Promise<T>): Promise<T> {
  const belongings = new Belongings();
  try {
    return await start(belongings);
  } catch (error) {
    await belongings.close().catch(() => {});
    throw error;
  }
}
