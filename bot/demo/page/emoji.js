/** The emoji names we know; any other name stays as it was written. */

const TABLE = {
  "+1": "👍", "-1": "👎", thumbsup: "👍", thumbsdown: "👎", wave: "👋", clap: "👏", pray: "🙏", eyes: "👀",
  raised_hand: "✋", hand: "✋", point_right: "👉", ok_hand: "👌", muscle: "💪", bust_in_silhouette: "👤",
  white_check_mark: "✅", heavy_check_mark: "✔️", ballot_box_with_check: "☑️", x: "❌", no_entry: "⛔",
  no_entry_sign: "🚫", negative_squared_cross_mark: "❎", heavy_multiplication_x: "✖️",
  warning: "⚠️", rotating_light: "🚨", bangbang: "‼️", exclamation: "❗", question: "❓",
  grey_question: "❔", information_source: "ℹ️", octagonal_sign: "🛑", construction: "🚧", zap: "⚡",
  hourglass: "⌛", hourglass_flowing_sand: "⏳", stopwatch: "⏱️", timer_clock: "⏲️", alarm_clock: "⏰",
  clock1: "🕐", clock3: "🕒", calendar: "📅", date: "📅", spiral_calendar_pad: "🗓️", zzz: "💤",
  double_vertical_bar: "⏸️", arrow_forward: "▶️", black_square_for_stop: "⏹️", play_or_pause_button: "⏯️",
  leftwards_arrow_with_hook: "↩️", arrow_right: "➡️", arrow_left: "⬅️", arrow_up: "⬆️", arrow_down: "⬇️",
  arrow_right_hook: "↪️", arrows_counterclockwise: "🔄", repeat: "🔁", rewind: "⏪", fast_forward: "⏩",
  red_circle: "🔴", large_orange_circle: "🟠", large_yellow_circle: "🟡", large_green_circle: "🟢",
  large_blue_circle: "🔵", white_circle: "⚪", black_circle: "⚫", large_purple_circle: "🟣",
  moneybag: "💰", money_with_wings: "💸", dollar: "💵", euro: "💶", credit_card: "💳", receipt: "🧾",
  shopping_cart: "🛒", shopping_trolley: "🛒", package: "📦", gift: "🎁", label: "🏷️", ticket: "🎫",
  key: "🔑", old_key: "🗝️", lock: "🔒", unlock: "🔓", shield: "🛡️", link: "🔗", gear: "⚙️", wrench: "🔧",
  hammer: "🔨", mag: "🔍", bell: "🔔", no_bell: "🔕", mega: "📣", loudspeaker: "📢", email: "📧",
  envelope: "✉️", inbox_tray: "📥", outbox_tray: "📤", memo: "📝", pencil: "📝", pencil2: "✏️",
  clipboard: "📋", page_facing_up: "📄", bookmark: "🔖", pushpin: "📌", paperclip: "📎",
  file_folder: "📁", card_index: "📇", bar_chart: "📊", chart_with_upwards_trend: "📈",
  chart_with_downwards_trend: "📉", speech_balloon: "💬", thought_balloon: "💭", robot_face: "🤖",
  busts_in_silhouette: "👥", office: "🏢", house: "🏠", globe_with_meridians: "🌐", earth_africa: "🌍",
  tada: "🎉", sparkles: "✨", star: "⭐", fire: "🔥", rocket: "🚀", mortar_board: "🎓", trophy: "🏆",
  seedling: "🌱", sunny: "☀️", sunrise: "🌅", moon: "🌔", crescent_moon: "🌙", coffee: "☕", bulb: "💡",
  heart: "❤️", broken_heart: "💔", smile: "😄", slightly_smiling_face: "🙂", thinking_face: "🤔",
  sweat_smile: "😅", joy: "😂", cry: "😢", scream: "😱", sleeping: "😴", skull: "💀", bug: "🐛",
  polar_bear: "🐻‍❄️", bear: "🐻", snowflake: "❄️", recycle: "♻️", new: "🆕", ok: "🆗", up: "🆙",
};

/** The character of `:name:`, or undefined. */
export function emoji(name) {
  return Object.hasOwn(TABLE, name) ? TABLE[name] : undefined;
}

/** Plain text with the `:names:` we know replaced. */
export function withEmoji(text) {
  return text.replace(/:([a-z0-9_+'-]+):/g, (written, name) => emoji(name) ?? written);
}
