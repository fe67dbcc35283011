import type { ChangesPage, ChangesRequest, StateFeed } from '../api/index.ts';
import type { KvStateMachine } from '../kv/index.ts';

/** A member's state as doors follow it, whichever machine is in force. */
export class MemberFeed implements StateFeed {
  readonly #machine: () => KvStateMachine;
  /** False once the state is closed: then there is nothing more. */
  readonly #isOpen: () => boolean;
  readonly #listeners = new Set<() => void>();

  constructor(parts: { machine: () => KvStateMachine; isOpen: () => boolean }) {
    this.#machine = parts.machine;
    this.#isOpen = parts.isOpen;
  }

  get revision(): number {
    return this.#machine().revision;
  }

  get compactRevision(): number {
    return this.#machine().compactRevision;
  }

  get compacting(): boolean {
    return this.#machine().compacting;
  }

  changes(request: ChangesRequest): ChangesPage {
    return this.#isOpen() ? this.#machine().changes(request) : { events: [], next: request.from };
  }

  onApplied(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  /** Something was applied. */
  applied(): void {
    for (const listener of this.#listeners) listener();
  }
}
