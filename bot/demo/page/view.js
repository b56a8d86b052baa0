/** Draws the blocks of a view (a modal or the Home tab) and the warning of its last failed tap. */

import { drawBlocks } from "./blocks.js";
import { keepingFocus } from "./keyed.js";
import { warningLine } from "./message.js";
import { viewSurface, warningOf } from "./press.js";

const WHOLE_VIEW = ""; // the key of an error that is said of the view, not of one block

/**
 * @param {Element} root  holds `.view-warning` and `.blocks`
 * @param {Object<string, string>} errors  by block_id
 */
export function drawView(root, id, blocks, errors) {
  const warning = errors[WHOLE_VIEW] ?? warningOf(id);
  root.querySelector(".view-warning").replaceChildren(...(warning ? [warningLine(warning)] : []));
  keepingFocus(() => drawBlocks(root.querySelector(".blocks"), blocks, viewSurface(id, errors)));
}
