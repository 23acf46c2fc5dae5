// Messages to subjects of the user's own, outside of all streams of the engine.

export type PublishOutcome =
  | { readonly kind: 'published' }
  /** `nobody`: no stream takes the subject; `refused`: one does, and would not store it; `lost`: no answer. */
  | { readonly kind: 'nobody' | 'refused' | 'lost'; readonly reason: string };

export interface SubjectPublisher {
  /** Sends a message; with `stored` it resolves when a stream has it, else when the server has it. Within the deadline. */
  publish(
    subject: string,
    payload: Uint8Array,
    options: { readonly id: string; readonly stored: boolean; readonly deadlineMs: number },
  ): Promise<PublishOutcome>;
}
