// How far a channel was heard, and what was heard too early.

import { EARLY_CHARS_MAX, EARLY_MAX } from "./limits.js";

/** How far a channel was heard. Offsets of two epochs say nothing about each other. */
export class Cursor {
  /** `{ epoch, offset }`, or `null` while nothing is known. */
  position = null;

  /** Moves to a message's offset, and tells whether it is new. One without an offset always is. */
  takes(offset) {
    if (offset === undefined) return true;
    if (this.position !== null && offset <= this.position.offset) return false;
    this.position = Object.freeze({ epoch: this.position?.epoch ?? null, offset });
    return true;
  }

  /** Moves to where the channel is: forward, or anywhere in another epoch. */
  move(position) {
    const same = this.position !== null && this.position.epoch === position.epoch;
    if (!same || position.offset > this.position.offset) this.position = position;
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
