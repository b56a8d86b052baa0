/** The one line that tells a first visitor what to try; once dismissed it stays away. */

const DISMISSED = "hint-dismissed";

/** @param {Element} hint  the line, with one button in it */
export function watchHint(hint) {
  hint.hidden = localStorage.getItem(DISMISSED) === "yes";
  hint.querySelector("button").addEventListener("click", () => {
    localStorage.setItem(DISMISSED, "yes");
    hint.hidden = true;
  });
}
