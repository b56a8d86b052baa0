/** The live connection: one WebSocket that comes back by itself. */

const FIRST_PAUSE = 400; // ms
const LONGEST_PAUSE = 3000;

export class Live {
  #socket = null;
  #user = null;
  #pause = FIRST_PAUSE;
  #timer = 0;
  #onSnapshot;
  #onLink;

  /**
   * @param {(snapshot) => void} onSnapshot
   * @param {(up: boolean) => void} onLink  whether the server is there
   */
  constructor(onSnapshot, onLink) {
    this.#onSnapshot = onSnapshot;
    this.#onLink = onLink;
  }

  /** Watches as this person (null: whoever the server starts with). */
  watch(user) {
    this.#user = user;
    this.#pause = FIRST_PAUSE;
    this.#open();
  }

  #open() {
    clearTimeout(this.#timer);
    const old = this.#socket;
    const scheme = location.protocol === "https:" ? "wss:" : "ws:";
    const asked = this.#user === null ? "" : `?user=${encodeURIComponent(this.#user)}`;
    const socket = new WebSocket(`${scheme}//${location.host}/page/stream${asked}`);
    this.#socket = socket;
    old?.close();
    socket.onmessage = (event) => {
      if (socket !== this.#socket) return;
      this.#pause = FIRST_PAUSE;
      this.#onLink(true);
      this.#onSnapshot(JSON.parse(event.data));
    };
    socket.onclose = () => socket === this.#socket && this.#lost();
  }

  #lost() {
    this.#onLink(false);
    this.#timer = setTimeout(() => this.#open(), this.#pause);
    this.#pause = Math.min(this.#pause * 1.5, LONGEST_PAUSE);
  }
}
