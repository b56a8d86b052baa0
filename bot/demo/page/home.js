/** The app's Home tab. */

import { act } from "./act.js";
import { drawView } from "./view.js";

const NAME = "home";

export class Home {
  #root;
  #visited = null;

  constructor(root) {
    this.#root = root;
  }

  /** Tells the app that this person opened its Home, once per visit. */
  visit(user, isOpen) {
    const visit = isOpen ? user : null;
    if (visit !== null && visit !== this.#visited) act("open_home");
    this.#visited = visit;
  }

  /** Draws the view of the snapshot, or says that none was published. */
  draw(home) {
    this.#root.querySelector(".empty").hidden = home !== null;
    drawView(this.#root, home?.id ?? NAME, home?.blocks ?? [], {});
  }
}
