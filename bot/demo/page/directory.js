/** Who and what the ids in messages stand for, taken from the newest snapshot. */

const COLOURS = 8;
let names = new Map();
let members = [];
let viewer = "";

/** Reads people, groups, the channel and the bot out of a slack snapshot. */
export function readDirectory(slack) {
  viewer = slack.viewer;
  members = slack.users.map((user) => ({ id: user.id, name: user.real_name || user.name }));
  names = new Map([
    ...slack.users.map((user) => [user.id, user.real_name || user.name]),
    ...slack.usergroups.map((group) => [group.id, group.handle]),
    [slack.channel.id, slack.channel.name],
    [slack.bot.user_id, slack.bot.name],
  ]);
}

/** The name behind an id; the id itself when nobody has told us. */
export function nameOf(id) {
  return names.get(id) ?? id;
}

/** Everybody of the workspace, as `{id, name}`. */
export function people() {
  return members;
}

/** The person who looks at the page; mentions of them stand out. */
export function reader() {
  return viewer;
}

/** One of eight colours, always the same for the same id. */
export function colourOf(id) {
  let sum = 0;
  for (const letter of id) sum = (sum * 31 + letter.codePointAt(0)) % 9973;
  return sum % COLOURS;
}

/** Up to two capitals of a name. */
export function initialsOf(name) {
  const words = name.split(/[\s._-]+/).filter(Boolean);
  const letters = words.length > 1 ? [words[0], words.at(-1)] : words;
  return letters.map((word) => [...word][0].toUpperCase()).join("");
}
