// How far a channel was heard, and what was heard too early.

import { EARLY_CHARS_MAX, EARLY_MAX } from "./limits.js";

/**
 * How far a channel was heard. Offsets of two epochs say nothing about each other; the epoch is ""
 * while nothing was ever said there.
 */
export class Cursor {
  #epoch = null;
  #offset = -1;

  /** `{ epoch, offset }`, or `null` while nobody told the epoch. */
  get position() {
    return this.#epoch === null ? null : { epoch: this.#epoch, offset: this.#offset };
  }

  /** Moves to where a message is, and tells whether it is new. One without an offset always is. */
  takes({ epoch = this.#epoch, offset }) {
    if (offset === undefined) return true;
    if (epoch === this.#epoch && offset <= this.#offset) return false;
    this.#epoch = epoch;
    this.#offset = offset;
    return true;
  }

  /** Moves to where the channel is: forward, or anywhere in another epoch. */
  move({ epoch, offset }) {
    if (epoch === this.#epoch && offset <= this.#offset) return;
    this.#epoch = epoch;
    this.#offset = offset;
  }
}

/** What waits for an acknowledgement or for handlers, in order and within bounds. */
export class Backlog {
  #items = [];
  #chars = 0;
  #dropped = 0;

  /** Keeps an item that was `size` characters long, unless there are too many. */
  push(item, size) {
    if (this.#items.length >= EARLY_MAX || this.#chars + size > EARLY_CHARS_MAX) {
      this.#dropped += 1;
    } else {
      this.#items.push([item, size]);
      this.#chars += size;
    }
  }

  /** Empties it of its pairs of item and size. */
  take() {
    const taken = { items: this.#items, dropped: this.#dropped };
    this.#items = [];
    this.#chars = 0;
    this.#dropped = 0;
    return taken;
  }
}
