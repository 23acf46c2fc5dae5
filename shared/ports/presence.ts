// Whether a process is there: for those who take over what a dead one held. Liveness only, never the safety argument.

export interface Presence {
  /** Answers for `id` until the returned function is called. */
  answer(id: string): () => void;
  /** `gone`: nobody answers for it; `silent`: no answer in time, it may hang. */
  ask(id: string, timeoutMs: number): Promise<'there' | 'gone' | 'silent'>;
}
