// @ts-check
// The groups that the list shows: what is pinned, and the rest by when it was saved.

/** @typedef {{label: string, conversations: Saved[]}} Group */

const month = new Intl.DateTimeFormat(document.documentElement.lang || "en", {month: "long", year: "numeric"});
const midnight = (/** @type {number} */ time) => new Date(time).setHours(0, 0, 0, 0);

/**
 * Return what the days around a time are called.
 * @param {number} time in milliseconds
 * @param {number} today the midnight that today began with
 */
function period(time, today) {
    const days = Math.round((today - midnight(time)) / 86_400_000);  // some last 23 hours, or 25
    if (days < 1) return "Today";
    if (days === 1) return "Yesterday";
    if (days <= 7) return "Previous 7 days";
    if (days <= 30) return "Previous 30 days";
    return month.format(time);
}

/**
 * Return conversations in groups, in the order that they have.
 * @param {Saved[]} conversations the latest first
 * @returns {Group[]}
 */
function grouped(conversations) {
    const today = midnight(Date.now());
    /** @type {Map<string, Saved[]>} */
    const groups = new Map([["Pinned", []]]);  // the first, wherever its own would be
    for (const one of conversations) {
        const label = one.pinned ? "Pinned" : period(one.time, today);
        if (!groups.get(label)?.push(one)) groups.set(label, [one]);
    }
    return [...groups].map(([label, conversations]) => ({label, conversations}))
        .filter(({conversations}) => conversations.length);
}
